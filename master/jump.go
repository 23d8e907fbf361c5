package master

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"

	"muxd/control"
	"muxd/internal/getopt"
	"muxd/internal/sshconf"
)

// maxHops bounds a chain of jump hosts. The configuration of a hop may name
// further hops, so a chain may go in circles.
const maxHops = 8

// resolveVia finds the last jump host of a destination, with the way to it. As
// in ssh a hop has its own configuration, from the same file, and gets of the
// command line only what the list of hops says of it (ssh.c, where ProxyJump
// becomes a command line).
func (m *Master) resolveVia(conf *sshconf.Config, c *commandLine, v *control.Invocation, depth int) (*destination, error) {
	jumps := conf.ProxyJump()
	if len(jumps) == 0 {
		return nil, nil
	}
	if depth >= maxHops {
		return nil, fmt.Errorf("more than %d jump hosts in a chain", maxHops)
	}
	for _, j := range jumps {
		err := getopt.ValidHost(j.Host)
		if err == nil {
			err = getopt.ValidUser(j.User)
		}
		if err != nil {
			return nil, fmt.Errorf("jump host: %w", err)
		}
	}
	last := jumps[len(jumps)-1]
	hop := &commandLine{isHop: true, configFile: c.configFile, dir: c.dir, home: c.home, run: c.run, lookup: c.lookup}
	if last.User != "" {
		hop.set("User", last.User)
	}
	if last.Port != 0 {
		hop.set("Port", strconv.Itoa(last.Port))
	}
	if rest := jumps[:len(jumps)-1]; len(rest) > 0 {
		hop.set("ProxyJump", joinJumps(rest))
	}
	d, err := m.destination(last.Host, last.Host, hop, v, "", depth+1)
	if err != nil {
		return nil, fmt.Errorf("jump host %s: %w", last.Host, err)
	}
	d.batch = d.batch || conf.BatchMode()
	return d, nil
}

// joinJumps writes hops as ProxyJump has them: it will be read, and its tokens
// expanded, once more.
func joinJumps(jumps []sshconf.Jump) string {
	var b strings.Builder
	for i, j := range jumps {
		if i > 0 {
			b.WriteByte(',')
		}
		user := strings.ReplaceAll(j.User, "%", "%%")
		if strings.Contains(user, ",") { // only a URI can hold it, and a URI no IPv6 address
			b.WriteString("ssh://")
			user = escapeUser(user)
		}
		if user != "" {
			b.WriteString(user + "@")
		}
		if strings.Contains(j.Host, ":") {
			b.WriteString("[" + strings.ReplaceAll(j.Host, "%", "%%") + "]")
		} else {
			b.WriteString(strings.ReplaceAll(j.Host, "%", "%%"))
		}
		if j.Port != 0 {
			b.WriteString(":" + strconv.Itoa(j.Port))
		}
	}
	return b.String()
}

// escapeUser writes a user's name as a URI has it: one that holds an @, a
// percent sign or a comma would otherwise be read as something else.
func escapeUser(name string) string {
	var b strings.Builder
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-._~", c) >= 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// throughHop connects to the destination through its jump host, which is a
// host of muxd's like any other: logged in once, kept alive, shared by all that
// jump through it. The lease keeps it for as long as the connection lives. The
// slot is taken when the jump host is there (see reach.Slots).
func (m *Master) throughHop(ctx context.Context, h *host, d *destination, p control.Prompter, urgent bool) (net.Conn, func(), error) {
	via := *d.via
	via.patience = 0 // one attempt for one of ours: how long to go on is for those to say who wait for d
	for try := 0; ; try++ {
		h.inLine.Store(true) // behind whatever the jump host waits for
		ls, err := m.acquireBare(ctx, &via, p)
		h.inLine.Store(false)
		if err != nil {
			return nil, nil, hopError(d, err)
		}
		leave, err := h.enter(ctx, d, urgent)
		if err != nil {
			ls.release()
			return nil, nil, err
		}
		debugf(p, d, 1, "connecting to %s through jump host %s", d.addr(), d.via.name)
		nc, err := openThrough(ctx, d, ls)
		if err == nil {
			return nc, leave, nil
		}
		leave()
		ls.release()
		answered := hopAnswer(d, err) // by the jump host, which lives
		switch {
		case ctx.Err() != nil:
			return nil, nil, ctx.Err()
		case answered != nil:
			return nil, nil, answered
		case try > 0 || ls.link.died() == nil && !errors.Is(err, errLinkDoubted):
			return nil, nil, hopError(d, openFailure(d.via.name, ls.link, err))
		}
	}
}

// openThrough asks the jump host for a connection to the destination. It has
// the time that connecting to an address directly would have.
func openThrough(ctx context.Context, d *destination, ls *lease) (net.Conn, error) {
	ls.link.addHop(1) // before, so that it does not end as unused meanwhile
	ch, reqs, err := ls.link.openWithin(ctx, d.connectLimit(openTimeout), nil, "direct-tcpip", tcpOpen(d.host, d.port))
	if err != nil {
		ls.link.addHop(-1)
		return nil, err
	}
	go ssh.DiscardRequests(reqs)
	return newHopConn(ch, ls, d), nil
}

// hopAnswer describes a connection that a jump host which is well did not make,
// and is nil for any other failure.
func hopAnswer(d *destination, err error) error {
	said := "timed out"
	var oe *ssh.OpenChannelError
	var un unanswered
	switch {
	case errors.As(err, &oe):
		said = oe.Message
	case !errors.As(err, &un):
		return nil
	}
	return &control.Error{Phase: control.Refused, Host: d.name, Text: fmt.Sprintf("jump host %s: connect to %s: %s", d.via.name, d.addr(), said)}
}

// hopError says that it was the hop that failed, and keeps the marks of what
// only a person can mend and of a busy server.
func hopError(d *destination, err error) error {
	if isCanceled(err) {
		return err
	}
	text := err.Error()
	var e *control.Error
	if errors.As(err, &e) {
		text = e.Text
	}
	wrapped := &control.Error{Phase: control.Refused, Host: d.name, Text: fmt.Sprintf("jump host %s: %s", d.via.name, text)}
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

// hopConn is a connection through a jump host: a net.Conn over a channel. Of
// deadlines it knows only the one that wire uses to end it, in the past.
type hopConn struct {
	ch      ssh.Channel
	in      *io.PipeReader // what ch reads
	lease   *lease
	d       *destination
	expired atomic.Bool
	closed  atomic.Bool // by us
}

// newHopConn reads the channel in a goroutine of its own. A channel's Read ends
// when the jump host answers its close or is found dead, and on one that is
// silent neither comes; but the end of a net.Conn ends its readers at once.
func newHopConn(ch ssh.Channel, ls *lease, d *destination) *hopConn {
	in, w := io.Pipe()
	go func() {
		_, err := io.CopyBuffer(w, struct{ io.Reader }{ch}, make([]byte, wireRead))
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
	return fmt.Errorf("jump host %s: connection lost (%w)", c.d.via.name, why)
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
func (c *hopConn) RemoteAddr() net.Addr             { return hopAddr(c.d.addr() + " via " + c.d.via.name) }

// hopAddr is the address of a connection through a hop, for people.
type hopAddr string

func (a hopAddr) Network() string { return "ssh" }
func (a hopAddr) String() string  { return string(a) }
