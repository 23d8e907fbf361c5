package master

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"muxd/control"
)

// byCommand connects to the destination by its ProxyCommand, which carries the
// bytes for as long as the connection lives.
func (m *Master) byCommand(d *destination, p control.Prompter) (net.Conn, error) {
	// Pipes of our own: os/exec's would be copied by goroutines and closed by
	// Wait under a reader's hands.
	in, toChild, err := os.Pipe()
	if err != nil {
		return nil, proxyError(d, control.NotDialled, err)
	}
	fromChild, out, err := os.Pipe()
	if err != nil {
		return nil, proxyError(d, control.NotDialled, errors.Join(err, in.Close(), toChild.Close()))
	}
	child, err := m.startProxy(d, p, in, out)
	in.Close()
	out.Close()
	if err != nil {
		return nil, proxyError(d, control.NotDialled, errors.Join(err, toChild.Close(), fromChild.Close()))
	}
	return &proxyConn{r: fromChild, w: toChild, child: child}, nil
}

// proxyConn is a connection over a child's standard input and output.
type proxyConn struct {
	r, w  *os.File
	child *proxyChild
	spoke atomic.Bool // a byte came
	once  sync.Once
}

func (c *proxyConn) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if n > 0 {
		c.spoke.Store(true)
	}
	if err == io.EOF {
		err = c.cause(err)
	}
	return n, err
}

// Write meets the end of the child before Read does when there is much to say.
func (c *proxyConn) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	if errors.Is(err, syscall.EPIPE) {
		err = c.cause(err)
	}
	return n, err
}

// cause tells a ProxyCommand that failed, or ended before it had anything to
// say, from a server that closed the connection, which is err.
func (c *proxyConn) cause(err error) error {
	ended, how := c.child.outcome()
	switch {
	case how != nil:
		return fmt.Errorf("ProxyCommand ended: %w", how)
	case ended && !c.spoke.Load():
		return errors.New("ProxyCommand ended: exit status 0, and not a byte came from it")
	}
	return err
}

// Close ends the connection and sees to it that the child's group ends too.
func (c *proxyConn) Close() error {
	c.once.Do(func() {
		c.w.Close()
		c.r.Close()
		c.child.end(0)
	})
	return nil
}

func (c *proxyConn) SetDeadline(t time.Time) error {
	return errors.Join(c.r.SetReadDeadline(t), c.w.SetWriteDeadline(t))
}

func (c *proxyConn) SetReadDeadline(t time.Time) error  { return c.r.SetReadDeadline(t) }
func (c *proxyConn) SetWriteDeadline(t time.Time) error { return c.w.SetWriteDeadline(t) }
func (c *proxyConn) LocalAddr() net.Addr                { return hopAddr("ProxyCommand") }
func (c *proxyConn) RemoteAddr() net.Addr               { return hopAddr(c.child.d.addr() + " by ProxyCommand") }

// setProxy takes a ProxyCommand into the destination, with what it needs of the
// client. The shell is the client's, as for ssh (sshconnect.c, ssh_proxy_connect).
func (d *destination) setProxy(v *control.Invocation) error {
	d.proxy = d.conf.ProxyCommand()
	if d.proxy == "" {
		return nil
	}
	if d.proxy == "-" {
		return errors.New("ProxyCommand - means a connection on ssh's own standard input, which the background process does not have")
	}
	d.proxyEnv = v.Env
	if d.proxyShell = v.Getenv("SHELL"); d.proxyShell == "" {
		d.proxyShell = "/bin/sh"
	}
	return nil
}
