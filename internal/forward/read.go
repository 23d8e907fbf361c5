package forward

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// A connection at rest holds no buffer to speak of: of 2000 that are open, few
// carry bytes at any moment. burst is what one borrows while they flow, two of
// SSH's largest packets; first is what waits for them where readiness cannot be
// waited for: with its reader it fills a size class of 1 KiB, and no message is
// likely to fill it exactly, which would have the reader borrow for nothing.
const (
	burst = 64 << 10
	first = 992
)

var bursts = sync.Pool{New: func() any { return new([burst]byte) }}

// lent are the bursts that wait with their readers for more: bulk comes in
// pieces that do not fill one, and a few bytes by themselves before each piece
// cost a write each. lentAtRest is how many may, 1 MiB in all.
var lent atomic.Int32

const lentAtRest = 16

// reader is where bytes come from.
type reader interface {
	// next waits for some; they are good until done, and free ends it all.
	next() ([]byte, error)
	done()
	free()
}

// pumped is how a direction ended; one of the two is not nil.
type pumped struct{ read, write error }

// pump moves bytes until either side fails, and counts what was written.
func pump(r reader, w io.Writer, count *atomic.Int64) pumped {
	defer r.free()
	for {
		b, err := r.next()
		if len(b) > 0 {
			n, werr := w.Write(b)
			count.Add(int64(n))
			if werr != nil {
				return pumped{write: werr}
			}
		}
		r.done()
		if err != nil {
			return pumped{read: err}
		}
	}
}

// stepped reads from what can only be waited for by reading: a few bytes at
// first, and more as long as much comes.
type stepped struct {
	r    io.Reader
	few  [first]byte
	many *[burst]byte // borrowed; nil at rest
	more bool         // the last read filled its buffer
	kept bool         // many waits for more, and is counted
}

func (s *stepped) next() ([]byte, error) {
	b := s.few[:]
	if s.more && s.many == nil {
		s.many = bursts.Get().(*[burst]byte)
	}
	if s.many != nil {
		b = s.many[:]
	}
	n, err := s.r.Read(b)
	s.more = err == nil && n == len(b)
	s.keep(err == nil && n > first)
	return b[:n], err
}

// keep has the burst stay, if one was borrowed, or go with what it holds.
func (s *stepped) keep(bulk bool) {
	switch {
	case s.kept && !bulk:
		lent.Add(-1)
		s.kept = false
	case !s.kept && bulk:
		if s.kept = lent.Add(1) <= lentAtRest; !s.kept {
			lent.Add(-1)
		}
	}
}

func (s *stepped) done() {
	if !s.more && !s.kept && s.many != nil {
		bursts.Put(s.many)
		s.many = nil
	}
}

func (s *stepped) free() {
	s.more = false
	s.keep(false)
	s.done()
}

// ready reads from a descriptor, and borrows only once it is readable.
type ready struct {
	raw  syscall.RawConn
	try  func(fd uintptr) bool // made once: it is called for each read
	many *[burst]byte
	n    int
	err  error
}

// source is a reader of a connection's bytes.
func source(nc net.Conn) reader {
	if sc, ok := nc.(syscall.Conn); ok {
		if raw, err := sc.SyscallConn(); err == nil {
			r := &ready{raw: raw}
			r.try = r.read
			return r
		}
	}
	return &stepped{r: nc}
}

// read is called by the runtime, again each time the descriptor became
// readable. Descriptors of package net never block.
func (r *ready) read(fd uintptr) bool {
	r.many = bursts.Get().(*[burst]byte)
	for {
		r.n, r.err = unix.Read(int(fd), r.many[:])
		if r.err != unix.EINTR {
			break
		}
	}
	if r.err == unix.EAGAIN {
		r.done()
		return false
	}
	return true
}

func (r *ready) next() ([]byte, error) {
	r.n, r.err = 0, nil
	if err := r.raw.Read(r.try); err != nil {
		return nil, err
	}
	switch {
	case r.err != nil:
		return nil, r.err
	case r.n == 0:
		return nil, io.EOF
	}
	return r.many[:r.n], nil
}

func (r *ready) done() {
	if r.many != nil {
		bursts.Put(r.many)
		r.many = nil
	}
}

func (r *ready) free() { r.done() }
