package master

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"

	"muxd/control"
	"muxd/internal/dest"
)

// throughHop connects to the destination through its jump host, which is a
// host of muxd's like any other: logged in once, kept alive, shared by all that
// jump through it. The lease keeps it for as long as the connection lives. The
// slot is taken when the jump host is there (see reach.Slots).
func (m *Master) throughHop(ctx context.Context, h *host, d *dest.Destination, p control.Prompter, urgent bool) (net.Conn, func(), error) {
	via := *d.Via
	via.Patience = 0 // one attempt for one of ours: how long to go on is for those to say who wait for d
	for try := 0; ; try++ {
		h.inLine.Store(true) // behind whatever the jump host waits for
		ls, err := m.acquireHop(ctx, &via, p, h.repeats.Load())
		h.inLine.Store(false)
		if err != nil {
			return nil, nil, hopError(d, err)
		}
		leave, err := h.enter(ctx, d, urgent)
		if err != nil {
			ls.release()
			return nil, nil, err
		}
		debugf(p, d, 1, "connecting to %s through jump host %s", d.Addr(), d.Via.Name)
		nc, err := openThrough(ctx, d, ls)
		if err == nil {
			return nc, leave, nil
		}
		leave()
		answered := hopAnswer(d, err) // by the jump host, which lives
		if answered == nil || !h.post(func() { h.keepHop(ls) }) {
			ls.release()
		}
		switch {
		case ctx.Err() != nil:
			return nil, nil, ctx.Err()
		case answered != nil:
			return nil, nil, answered
		case try > 0 || ls.link.died() == nil && !errors.Is(err, errLinkDoubted):
			return nil, nil, hopError(d, openFailure(d.Via.Name, ls.link, err))
		}
	}
}

// keepHop keeps the hold on a jump host through which the destination was not
// reached, for as long as somebody wants that: with ControlPersist no each
// attempt would otherwise be a login there. Called in run.
func (h *host) keepHop(ls *lease) {
	h.dropHop()
	h.hop = ls
}

func (h *host) dropHop() {
	if ls := h.hop; ls != nil {
		h.hop = nil
		go ls.release() // posts to the jump host, and run waits for nobody
	}
}

// mindHop drops that hold when there is no more need of it.
func (h *host) mindHop() {
	if h.hop == nil {
		return
	}
	_, wanted := h.demand(time.Now())
	if wanted == "" || h.current != nil || h.hop.link.ending() != nil {
		h.dropHop()
	}
}

// openThrough asks the jump host for a connection to the destination. It has
// the time that connecting to an address directly would have.
func openThrough(ctx context.Context, d *dest.Destination, ls *lease) (net.Conn, error) {
	ls.link.addHop(1) // before, so that it does not end as unused meanwhile
	ch, reqs, err := ls.link.openWithin(ctx, d.ConnectLimit(openTimeout), nil, "direct-tcpip", tcpOpen(d.Host, d.Port, nil))
	if err != nil {
		ls.link.addHop(-1)
		return nil, err
	}
	go ssh.DiscardRequests(reqs)
	return newHopConn(ch, ls, d), nil
}

// hopAnswer describes a connection that a jump host which is well did not make,
// and is nil for any other failure.
func hopAnswer(d *dest.Destination, err error) error {
	why := "timed out"
	var oe *ssh.OpenChannelError
	var un unanswered
	switch {
	case errors.As(err, &oe):
		why = said(oe).Error()
	case !errors.As(err, &un):
		return nil
	}
	return &control.Error{Phase: control.Refused, Host: d.Name, Text: fmt.Sprintf("jump host %s: connect to %s: %s", d.Via.Name, d.Addr(), why)}
}

// hopError says that it was the hop that failed, and keeps the marks of what
// only a person can mend and of a busy server.
func hopError(d *dest.Destination, err error) error {
	if isCanceled(err) {
		return err
	}
	text := err.Error()
	var e *control.Error
	if errors.As(err, &e) {
		text = e.Text
	}
	wrapped := &control.Error{Phase: control.Refused, Host: d.Name, Text: fmt.Sprintf("jump host %s: %s", d.Via.Name, text)}
	var p *needsPerson
	if errors.As(err, &p) {
		return &needsPerson{wrapped}
	}
	var name *noName
	if errors.As(err, &name) {
		return &noName{wrapped}
	}
	return stillBusy(err, wrapped)
}

// hopRead is the buffer between a channel of the jump host's and the connection
// over it.
const hopRead = 16 << 10

// hopConn is a connection through a jump host: a net.Conn over a channel. Of
// deadlines it knows only the one that wire.Conn uses to end it, in the past.
type hopConn struct {
	ch      ssh.Channel
	in      *io.PipeReader // what ch reads
	lease   *lease
	d       *dest.Destination
	expired atomic.Bool
	closed  atomic.Bool // by us
}

// newHopConn reads the channel in a goroutine of its own. A channel's Read ends
// when the jump host answers its close or is found dead, and on one that is
// silent neither comes; but the end of a net.Conn ends its readers at once.
func newHopConn(ch ssh.Channel, ls *lease, d *dest.Destination) *hopConn {
	in, w := io.Pipe()
	go func() {
		_, err := io.CopyBuffer(w, struct{ io.Reader }{ch}, make([]byte, hopRead))
		w.CloseWithError(err) // nil is io.EOF
	}()
	return &hopConn{ch: ch, in: in, lease: ls, d: d}
}

func (c *hopConn) Read(p []byte) (int, error) {
	n, err := c.in.Read(p)
	if err == nil || n > 0 {
		return n, nil
	}
	return 0, c.cause(err)
}

func (c *hopConn) Write(p []byte) (int, error) {
	n, err := c.ch.Write(p)
	if err == nil {
		return n, nil
	}
	// Not cause, which waits a moment: who writes holds the SSH library's lock.
	if why := c.lease.link.ending(); why != nil && !c.expired.Load() && !c.closed.Load() {
		err = c.hopLost(why)
	}
	return n, err
}

func (c *hopConn) hopLost(why error) error {
	return fmt.Errorf("jump host %s: connection lost (%w)", c.d.Via.Name, why)
}

// cause tells the end of this connection from the end of the hop's, which the
// SSH library does not.
func (c *hopConn) cause(err error) error {
	if c.expired.Load() {
		return os.ErrDeadlineExceeded
	}
	if c.closed.Load() {
		return net.ErrClosed // nothing to find out, and no time to wait for it
	}
	if why := c.lease.link.died(); why != nil {
		return c.hopLost(why)
	}
	if errors.Is(err, io.EOF) {
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
	c.in.Close()
	go c.ch.Close()
	c.lease.link.addHop(-1)
	c.lease.release()
	return nil
}

func (c *hopConn) SetDeadline(t time.Time) error {
	if !t.IsZero() && t.Before(time.Now()) {
		c.expired.Store(true)
		c.in.Close()
		go c.ch.Close()
	}
	return nil
}

func (c *hopConn) SetReadDeadline(time.Time) error  { return nil }
func (c *hopConn) SetWriteDeadline(time.Time) error { return nil }
func (c *hopConn) LocalAddr() net.Addr              { return hopAddr("127.0.0.1:65535") }
func (c *hopConn) RemoteAddr() net.Addr             { return hopAddr(c.d.Addr() + " via " + c.d.Via.Name) }

// hopAddr is the address of a connection through a hop, for people.
type hopAddr string

func (a hopAddr) Network() string { return "ssh" }
func (a hopAddr) String() string  { return string(a) }
