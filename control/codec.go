package control

import (
	"encoding/binary"
	"errors"
	"math"
	"time"
)

// errShort is a body that ends before its fields do, or goes on after them.
var errShort = errors.New("malformed message")

// maxList bounds the number of elements a decoder allocates for one list, so
// that a count from the wire never decides an allocation alone. An environment
// of 64 Ki variables does not fit in execve's limits either.
const maxList = 64 << 10

// encoder appends fields to b. The zero value is ready for use.
type encoder struct{ b []byte }

func (e *encoder) u8(v uint8)   { e.b = append(e.b, v) }
func (e *encoder) u16(v uint16) { e.b = binary.BigEndian.AppendUint16(e.b, v) }
func (e *encoder) u32(v uint32) { e.b = binary.BigEndian.AppendUint32(e.b, v) }
func (e *encoder) u64(v uint64) { e.b = binary.BigEndian.AppendUint64(e.b, v) }
func (e *encoder) bool(v bool) {
	if v {
		e.u8(1)
		return
	}
	e.u8(0)
}
func (e *encoder) bytes(v []byte) { e.u32(uint32(len(v))); e.b = append(e.b, v...) }
func (e *encoder) str(v string)   { e.u32(uint32(len(v))); e.b = append(e.b, v...) }
func (e *encoder) strs(v []string) {
	e.u32(uint32(len(v)))
	for _, s := range v {
		e.str(s)
	}
}

// dur travels in nanoseconds: both ends are on one machine and of one version.
func (e *encoder) dur(v time.Duration) { e.u64(uint64(v)) }

// ms travels in milliseconds: where a person or a program is told of it, and
// a finer time says nothing. Below 0 is 0.
func (e *encoder) ms(v time.Duration) { e.u64(uint64(max(0, v.Milliseconds()))) }

// when travels in nanoseconds since 1970; the zero time is 0.
func (e *encoder) when(v time.Time) {
	if v.IsZero() {
		e.u64(0)
		return
	}
	e.u64(uint64(v.UnixNano()))
}

// decoder takes fields off the front of b. The first error sticks, and every
// field after it is zero, so that a message is read straight through and
// checked once, by done.
type decoder struct {
	b   []byte
	err error
}

func (d *decoder) take(n int) []byte {
	if d.err != nil || n < 0 || n > len(d.b) {
		d.err = errShort
		return nil
	}
	p := d.b[:n:n]
	d.b = d.b[n:]
	return p
}

func (d *decoder) u8() uint8 {
	if p := d.take(1); p != nil {
		return p[0]
	}
	return 0
}

func (d *decoder) u32() uint32 {
	if p := d.take(4); p != nil {
		return binary.BigEndian.Uint32(p)
	}
	return 0
}

func (d *decoder) u64() uint64 {
	if p := d.take(8); p != nil {
		return binary.BigEndian.Uint64(p)
	}
	return 0
}

func (d *decoder) bool() bool {
	v := d.u8()
	if v > 1 {
		d.err = errShort
	}
	return v == 1
}

// bytes copies, because the frame's buffer is used again.
func (d *decoder) bytes() []byte {
	p := d.take(int(d.u32()))
	if len(p) == 0 {
		return nil
	}
	return append([]byte(nil), p...)
}

func (d *decoder) str() string { return string(d.take(int(d.u32()))) }

// count reads a list's length. Each element takes at least min bytes, so a
// larger count cannot be true and is refused before anything is allocated.
func (d *decoder) count(min int) int {
	n := int(d.u32())
	if n < 0 || n > maxList || n*min > len(d.b) { // below 0: more than an int of 32 bits holds
		d.err = errShort
		return 0
	}
	return n
}

func (d *decoder) strs() []string {
	n := d.count(4)
	if n == 0 {
		return nil
	}
	v := make([]string, 0, n)
	for range n {
		v = append(v, d.str())
	}
	return v
}

func (d *decoder) dur() time.Duration { return time.Duration(d.u64()) }

// ms refuses what no Duration holds.
func (d *decoder) ms() time.Duration {
	n := d.u64()
	if n > uint64(math.MaxInt64/time.Millisecond) {
		d.err = errShort
		return 0
	}
	return time.Duration(n) * time.Millisecond
}

func (d *decoder) when() time.Time {
	if n := d.u64(); n != 0 {
		return time.Unix(0, int64(n))
	}
	return time.Time{}
}

func (d *decoder) done() error {
	if d.err == nil && len(d.b) > 0 {
		return errShort
	}
	return d.err
}
