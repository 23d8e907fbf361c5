package sshtest

import (
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// PipeBuffer is what one direction of a Pipe holds unless told otherwise: the
// most a Linux TCP socket grows its send buffer to by default (tcp_wmem). It
// exceeds one SSH window (2 MiB), so that one channel that nobody reads cannot
// fill it.
const PipeBuffer = 4 << 20

// Conn is one end of a Pipe. It is a net.Conn: safe for concurrent use, with
// deadlines, and its errors are *net.OpError around net.ErrClosed,
// os.ErrDeadlineExceeded, syscall.ECONNRESET (after a cut) or syscall.EPIPE
// (the other end has closed); a Read after the other end's Close first returns
// what was written before it, then io.EOF.
type Conn struct {
	w             *wire
	in, out       *Lane
	local, remote net.Addr

	// guarded by w.mu
	closed      bool
	readBefore  time.Time
	writeBefore time.Time
}

// Pipe returns the two ends of a connection in memory, each direction with a
// buffer of PipeBuffer bytes. Unlike net.Pipe it survives both ends writing
// first, as SSH does.
//
// In a synctest bubble its waits are durable, so that virtual time passes. A
// mutex that a caller holds across Write is not: two goroutines that write
// through golang.org/x/crypto/ssh to a full pipe stop the clock of the bubble.
// Leave the buffer large there, or have one writer.
func Pipe() (a, b *Conn) { return PipeSize(PipeBuffer) }

// PipeSize is Pipe with a buffer of the given number of bytes per direction.
func PipeSize(limit int) (a, b *Conn) {
	w := &wire{}
	w.cond = sync.NewCond(&w.mu)
	ab := &Lane{w: w, limit: limit, cutAt: -1}
	ba := &Lane{w: w, limit: limit, cutAt: -1, back: ab}
	ab.back = ba
	// Addresses of RFC 5737: code that wants a host and a port finds them,
	// and code that dials them by mistake reaches nobody.
	x := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 40000}
	y := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 2), Port: 22}
	return &Conn{w: w, in: ba, out: ab, local: x, remote: y},
		&Conn{w: w, in: ab, out: ba, local: y, remote: x}
}

// In returns the lane that this end reads, Out the one that it writes; the
// other end has the same two, exchanged.
func (c *Conn) In() *Lane { return c.in }

// Out returns the lane that this end writes.
func (c *Conn) Out() *Lane { return c.out }

// Cut resets the connection: both ends fail from now on, and what was on the
// way is lost, as after a TCP RST.
func (c *Conn) Cut() { c.out.CutAfter(0) }

// Stall stalls both lanes, see Lane.Stall.
func (c *Conn) Stall() { c.in.Stall(); c.out.Stall() }

// Resume resumes both lanes.
func (c *Conn) Resume() { c.in.Resume(); c.out.Resume() }

// Slow delays both lanes by d each, so that a round trip takes 2d.
func (c *Conn) Slow(d time.Duration) { c.in.Slow(d); c.out.Slow(d) }

// Read implements net.Conn.
func (c *Conn) Read(p []byte) (int, error) {
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	for {
		if err := c.fault(c.readBefore); err != nil {
			return 0, c.opError("read", err)
		}
		if len(p) == 0 {
			return 0, nil
		}
		n, again, err := c.in.take(p)
		if n > 0 || err != nil {
			c.w.cond.Broadcast() // there is room, or the wire has just been cut
			return n, err
		}
		c.w.wait(earliest(again, c.readBefore))
	}
}

// Write implements net.Conn. It returns when everything is in the buffer.
func (c *Conn) Write(p []byte) (int, error) {
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	for n := 0; ; {
		err := c.fault(c.writeBefore)
		if err == nil {
			err = c.out.refused()
		}
		if err != nil {
			return n, c.opError("write", err)
		}
		k := c.out.put(p[n:])
		n += k
		if k > 0 {
			c.w.cond.Broadcast()
		}
		if n == len(p) {
			return n, nil
		}
		c.w.wait(c.writeBefore)
	}
}

// Close ends both directions. What this end wrote is still delivered; what it
// has not read is dropped.
func (c *Conn) Close() error {
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	if c.closed {
		return c.opError("close", net.ErrClosed)
	}
	c.closed = true
	c.out.finished, c.out.eofDue = true, c.out.dueLocked()
	c.in.abandoned, c.in.queue, c.in.held = true, nil, 0
	c.w.cond.Broadcast()
	return nil
}

// fault returns why neither reading nor writing can go on; w.mu is held.
func (c *Conn) fault(deadline time.Time) error {
	switch {
	case c.closed:
		return net.ErrClosed
	case c.w.reset:
		return syscall.ECONNRESET
	case !deadline.IsZero() && !time.Now().Before(deadline):
		return os.ErrDeadlineExceeded
	}
	return nil
}

func (c *Conn) opError(op string, err error) error {
	return &net.OpError{Op: op, Net: "pipe", Source: c.local, Addr: c.remote, Err: err}
}

// LocalAddr implements net.Conn; the address is of a documentation network.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr implements net.Conn.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline implements net.Conn.
func (c *Conn) SetDeadline(t time.Time) error {
	return c.set(func() { c.readBefore, c.writeBefore = t, t })
}

// SetReadDeadline implements net.Conn.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.set(func() { c.readBefore = t }) }

// SetWriteDeadline implements net.Conn.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.set(func() { c.writeBefore = t }) }

func (c *Conn) set(f func()) error {
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	if c.closed {
		return c.opError("set", net.ErrClosed)
	}
	f()
	c.w.cond.Broadcast()
	return nil
}

// earliest returns the earlier of two instants; zero is never.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
