package knownhosts

import (
	"encoding/binary"
	"errors"
	"strings"
)

// wireReader takes SSH's data types (RFC 4251 section 5) off a slice. After the
// first error everything reads as empty, so that whoever reads looks at err
// once.
type wireReader struct {
	data []byte
	err  error
}

var (
	errCutOff   = errors.New("it is cut off")
	errTrailing = errors.New("there is something behind its end")
)

// more reports whether something is left to read.
func (r *wireReader) more() bool { return r.err == nil && len(r.data) > 0 }

func (r *wireReader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

// absorb takes over the error of a part, which must have been read to its end.
func (r *wireReader) absorb(part *wireReader) {
	if part.err == nil && len(part.data) > 0 {
		part.err = errTrailing
	}
	if part.err != nil {
		r.fail(part.err)
	}
}

func (r *wireReader) take(n int) []byte {
	if r.err != nil || n > len(r.data) {
		r.fail(errCutOff)
		return nil
	}
	b := r.data[:n]
	r.data = r.data[n:]
	return b
}

func (r *wireReader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *wireReader) uint32() uint32 {
	if b := r.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (r *wireReader) uint64() uint64 {
	if b := r.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// bytes is a string that may hold anything.
func (r *wireReader) bytes() []byte {
	n := r.uint32()
	if uint64(n) > uint64(len(r.data)) {
		r.fail(errCutOff)
	}
	return r.take(int(n))
}

// cstring is a string of C's: a zero may end it and be nowhere else.
func (r *wireReader) cstring() string {
	s := strings.TrimSuffix(string(r.bytes()), "\x00")
	if strings.Contains(s, "\x00") {
		r.fail(errors.New("a zero in a text"))
	}
	return s
}
