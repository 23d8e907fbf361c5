package controltest

import (
	"io"
	"os"
	"sync"
	"syscall"
	"time"
)

// pipeRoom is what one direction of a pipe holds, like a Unix socket's buffer.
const pipeRoom = 208 << 10

// PipeConn is one end of a buffered pipe in memory. It behaves as a Unix
// socket does, deadlines included, and works in a testing/synctest bubble,
// where a socket does not.
type PipeConn struct {
	in, out *half // read from in, write to out
}

// Pipe returns two ends.
func Pipe() (client, server *PipeConn) {
	a, b := newHalf(), newHalf()
	return &PipeConn{a, b}, &PipeConn{b, a}
}

// half is one direction.
type half struct {
	mu         sync.Mutex
	cond       sync.Cond // on mu: anything below changed
	buf        []byte    // guarded by mu
	noMore     bool      // guarded by mu; the writer closed
	unread     bool      // guarded by mu; the reader closed
	read, writ limit     // guarded by mu
}

// limit is a deadline; late is set by its timer.
type limit struct {
	timer *time.Timer
	late  bool
}

func newHalf() *half {
	h := new(half)
	h.cond.L = &h.mu
	return h
}

func (h *half) set(l *limit, t time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if l.timer != nil {
		l.timer.Stop()
	}
	*l = limit{}
	switch d := time.Until(t); {
	case t.IsZero():
	case d <= 0:
		l.late = true
	default:
		var mine *time.Timer
		mine = time.AfterFunc(d, func() {
			h.mu.Lock()
			defer h.mu.Unlock()
			if l.timer == mine {
				l.late = true
				h.cond.Broadcast()
			}
		})
		l.timer = mine
	}
	h.cond.Broadcast()
}

// Read implements control.Conn.
func (c *PipeConn) Read(p []byte) (int, error) {
	h := c.in
	h.mu.Lock()
	defer h.mu.Unlock()
	for len(h.buf) == 0 && !h.noMore && !h.unread && !h.read.late {
		h.cond.Wait()
	}
	switch {
	case h.unread:
		return 0, os.ErrClosed
	case h.read.late:
		return 0, os.ErrDeadlineExceeded
	case len(h.buf) == 0:
		return 0, io.EOF
	}
	n := copy(p, h.buf)
	h.buf = h.buf[n:]
	h.cond.Broadcast()
	return n, nil
}

// Write implements control.Conn.
func (c *PipeConn) Write(p []byte) (n int, err error) {
	h := c.out
	h.mu.Lock()
	defer h.mu.Unlock()
	for n < len(p) {
		for len(h.buf) >= pipeRoom && !h.noMore && !h.unread && !h.writ.late {
			h.cond.Wait()
		}
		switch {
		case h.noMore:
			return n, os.ErrClosed
		case h.unread:
			return n, syscall.EPIPE
		case h.writ.late:
			return n, os.ErrDeadlineExceeded
		}
		m := min(len(p)-n, pipeRoom-len(h.buf))
		h.buf = append(h.buf, p[n:n+m]...)
		n += m
		h.cond.Broadcast()
	}
	return n, nil
}

// Close implements control.Conn.
func (c *PipeConn) Close() error {
	c.out.shut(&c.out.noMore)
	c.in.shut(&c.in.unread)
	return nil
}

func (h *half) shut(what *bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	*what = true
	for _, l := range []*limit{&h.read, &h.writ} {
		if l.timer != nil {
			l.timer.Stop()
		}
	}
	h.cond.Broadcast()
}

// SetReadDeadline implements control.Conn.
func (c *PipeConn) SetReadDeadline(t time.Time) error { c.in.set(&c.in.read, t); return nil }

// SetWriteDeadline implements control.Conn.
func (c *PipeConn) SetWriteDeadline(t time.Time) error { c.out.set(&c.out.writ, t); return nil }

// PeerPID implements control.ServerConn.
func (c *PipeConn) PeerPID() int { return 1 }

// ReadFDs implements control.ServerConn; no descriptor ever comes.
func (c *PipeConn) ReadFDs(p []byte, _ int) (int, []int, error) {
	n, err := c.Read(p)
	return n, nil, err
}
