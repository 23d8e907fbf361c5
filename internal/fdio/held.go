package fdio

import (
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// grace is how long Close waits for a call that the kernel does not give back.
const grace = time.Second

// held is a passed descriptor in use. Its number must not be closed while a
// system call has it, since the next file opened gets the same one: there is
// one turn, which each call takes and gives back and which the end takes for
// good.
type held struct {
	fd   int
	with *os.File      // closed with fd, if not nil
	turn chan struct{} // one place; who fills it may use fd
	gone chan struct{} // closed when close has been called
	once sync.Once
}

func hold(fd int) *held {
	return &held{fd: fd, turn: make(chan struct{}, 1), gone: make(chan struct{})}
}

func (h *held) take() error {
	select {
	case h.turn <- struct{}{}:
		return nil
	case <-h.gone:
		return os.ErrClosed
	}
}

// direct makes a call that waits for nobody, though it may for a disk.
func (h *held) direct(call func() (int, error)) (int, error) {
	if err := h.take(); err != nil {
		return 0, err
	}
	defer func() { <-h.turn }()
	return retry(call)
}

// aside makes a call on a descriptor that was ready a moment ago. It nearly
// always returns at once, but another reader may have been quicker, and a
// terminal that takes something need not take all. Then it blocks in the
// kernel, where nothing reaches it but the other side: so it has a goroutine
// (and thread) of its own, and after the end it is left there, with the
// descriptor. What it reads or writes must be its own memory.
func (h *held) aside(call func() (int, error)) (int, error) {
	if err := h.take(); err != nil {
		return 0, err
	}
	type result struct {
		n   int
		err error
	}
	done := make(chan result, 1)
	go func() {
		n, err := retry(call)
		<-h.turn
		done <- result{n, err}
	}()
	select {
	case r := <-done:
		return r.n, r.err
	case <-h.gone:
	}
	select { // what it did, it mostly has done by now
	case r := <-done:
		return r.n, r.err
	case <-time.After(grace):
		return 0, os.ErrClosed
	}
}

// close runs stop, which wakes those who wait, and closes the descriptor when
// no call has it any more. All who call it wait for the first.
func (h *held) close(stop func()) {
	h.once.Do(func() {
		close(h.gone)
		stop()
		select {
		case h.turn <- struct{}{}:
			h.drop()
		case <-time.After(grace):
			go func() {
				h.turn <- struct{}{}
				h.drop()
			}()
		}
	})
}

// drop is for who has the turn for good.
func (h *held) drop() {
	unix.Close(h.fd)
	h.with.Close() // of nil: an error
}

// all has write take every byte of p.
func all(p []byte, write func([]byte) (int, error)) (done int, err error) {
	for done < len(p) && err == nil {
		var n int
		n, err = write(p[done:])
		if done += n; n == 0 && err == nil {
			err = io.ErrShortWrite
		}
	}
	return done, err
}

// plain serves what is always ready.
type plain struct{ *held }

func (f plain) read(p []byte) (int, error) {
	return f.direct(func() (int, error) { return unix.Read(f.fd, p) })
}

func (f plain) write(p []byte) (int, error) {
	return all(p, func(p []byte) (int, error) {
		return f.direct(func() (int, error) { return unix.Write(f.fd, p) })
	})
}

func (f plain) close() { f.held.close(func() {}) }

// blind uses what can be waited for, but then only be used by calls that might
// block all the same.
type blind struct {
	*held
	wait func() error // until fd is ready; fails when it is closed
	buf  []byte       // a call that was left behind may have it, but that is the last
}

// blindRead bounds the copy that aside needs.
const blindRead = 16 << 10

func (b *blind) read(p []byte) (int, error) {
	n, err := b.next(min(len(p), blindRead), nil, unix.Read)
	return copy(p, b.buf[:n]), err
}

func (b *blind) write(p []byte) (int, error) {
	return all(p, func(p []byte) (int, error) {
		piece := p[:min(len(p), pipeBuf)]
		return b.next(len(piece), piece, unix.Write)
	})
}

// next makes one call on size bytes of buf, which begin as from.
func (b *blind) next(size int, from []byte, call func(int, []byte) (int, error)) (int, error) {
	for {
		if err := b.wait(); err != nil {
			return 0, err
		}
		if len(b.buf) < size {
			b.buf = make([]byte, size)
		}
		copy(b.buf, from)
		buf := b.buf[:size]
		n, err := b.aside(func() (int, error) { return call(b.fd, buf) })
		if err != unix.EAGAIN { // its owner may have it non-blocking
			return n, err
		}
	}
}
