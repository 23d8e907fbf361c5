package sshlink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"

	"muxd/internal/dest"
)

// Dial asks a jump host, whose link it is, for a connection to d. It has the time
// that connecting to an address directly would have. Its Close releases u.
func (l *Link) Dial(ctx context.Context, u *User, d *dest.Destination) (net.Conn, error) {
	l.addHop(1) // before, so that it does not end as unused meanwhile
	ch, reqs, err := l.openWithin(ctx, d.ConnectLimit(openTimeout), nil, "direct-tcpip", tcpOpen(d.Host, d.Port, nil))
	if err != nil {
		l.addHop(-1)
		return nil, err
	}
	c := newHopConn(ch, l, u, d)
	go func() {
		ssh.DiscardRequests(reqs)
		l.closed(&c.closing)
	}()
	return c, nil
}

// hopRead is the buffer between a channel of the jump host's and the connection
// over it.
const hopRead = 16 << 10

// hopConn is a connection through a jump host: a net.Conn over a channel. Of
// deadlines it knows only the one that wire.Conn uses to end it, in the past.
type hopConn struct {
	ch      ssh.Channel
	in      *io.PipeReader // what ch reads
	l       *Link          // of the jump host
	user    *User          // of the jump host
	d       *dest.Destination
	expired atomic.Bool
	closed  atomic.Bool   // by us
	once    sync.Once     // closes left
	left    chan struct{} // closed when it has expired or was closed
	closing closing
}

// newHopConn reads the channel in a goroutine of its own. A channel's Read ends
// when the jump host answers its close or is found dead, and on one that is
// silent neither comes; but the end of a net.Conn ends its readers at once.
func newHopConn(ch ssh.Channel, l *Link, u *User, d *dest.Destination) *hopConn {
	in, w := io.Pipe()
	go func() {
		_, err := io.CopyBuffer(w, struct{ io.Reader }{ch}, make([]byte, hopRead))
		w.CloseWithError(err) // nil is io.EOF
	}()
	return &hopConn{ch: ch, in: in, l: l, user: u, d: d, left: make(chan struct{})}
}

func (c *hopConn) Read(p []byte) (int, error) {
	n, err := c.in.Read(p)
	if err == nil || n > 0 {
		return n, nil
	}
	return 0, c.cause(err)
}

// hopWrites are copies of what is being written.
var hopWrites = sync.Pool{New: func() any { return new([]byte) }}

// Write writes to the channel in a goroutine of its own: a channel's Write waits for
// its window and for the jump host's connection, and the end of a net.Conn ends its
// writers at once, whatever these do. What is written is a copy, for such a write
// goes on for as long as they let it, until the channel's close is answered. One
// that ends is waited for, and so nothing is overtaken by the next write or by the
// close.
func (c *hopConn) Write(p []byte) (int, error) {
	if c.over() {
		return 0, c.ended()
	}
	type written struct {
		n   int
		err error
	}
	done := make(chan written, 1)
	b := hopWrites.Get().(*[]byte)
	*b = append((*b)[:0], p...)
	go func() {
		n, err := c.ch.Write(*b)
		hopWrites.Put(b)
		done <- written{n, err}
	}()
	var w written
	select {
	case w = <-done:
	case <-c.left:
		return 0, c.ended()
	}
	if w.err == nil {
		return w.n, nil
	}
	// Not cause, which waits a moment: who writes holds the SSH library's lock.
	if why := c.l.Ending(); why != nil && !c.over() {
		w.err = c.hopLost(why)
	}
	return w.n, w.err
}

// over reports an end of ours.
func (c *hopConn) over() bool { return c.expired.Load() || c.closed.Load() }

// ended is what who reads or writes is told of it.
func (c *hopConn) ended() error {
	if c.expired.Load() {
		return os.ErrDeadlineExceeded
	}
	return net.ErrClosed
}

func (c *hopConn) hopLost(why error) error {
	return fmt.Errorf("jump host %s: connection lost (%w)", c.d.Via.Name, why)
}

// cause tells the end of this connection from the end of the hop's, which the
// SSH library does not.
func (c *hopConn) cause(err error) error {
	var why error
	if !c.over() && !c.l.library.keeps(c.l.Conn) {
		why = c.l.died(c.left)
	}
	switch {
	case c.over(): // nothing to find out
		return c.ended()
	case why != nil:
		return c.hopLost(why)
	case errors.Is(err, io.EOF):
		return io.EOF
	}
	return err
}

// Close closes the channel in a goroutine: on a hop that is stuck it would
// block, and whoever gives up this connection must not.
func (c *hopConn) Close() error {
	if c.closed.Swap(true) {
		return nil
	}
	c.leave()
	c.l.addHop(-1)
	c.user.Release()
	return nil
}

func (c *hopConn) SetDeadline(t time.Time) error {
	if !t.IsZero() && t.Before(time.Now()) {
		c.expired.Store(true)
		c.leave()
	}
	return nil
}

// leave frees whoever reads or writes, and closes the channel.
func (c *hopConn) leave() {
	c.once.Do(func() { close(c.left) })
	c.in.Close()
	c.l.closes(&c.closing, func() { readAway(c.ch) })
	go c.ch.Close()
}

func (c *hopConn) SetReadDeadline(time.Time) error  { return nil }
func (c *hopConn) SetWriteDeadline(time.Time) error { return nil }
func (c *hopConn) LocalAddr() net.Addr              { return hopAddr("127.0.0.1:65535") }
func (c *hopConn) RemoteAddr() net.Addr             { return hopAddr(c.d.Addr() + " via " + c.d.Via.Name) }

// hopAddr is the address of a connection through a hop, for people.
type hopAddr string

func (a hopAddr) Network() string { return "ssh" }
func (a hopAddr) String() string  { return string(a) }
