package master

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"muxd/control"
)

// proxyGrace is how long a ProxyCommand has to end after its connection was
// closed and its group was told so (SIGHUP, as ssh does), before it is killed.
const proxyGrace = 2 * time.Second

// proxyLine bounds a line of a ProxyCommand's stderr.
const proxyLine = 4 << 10

// byCommand connects to the destination by its ProxyCommand: a child of muxd
// with the environment of the client that asked, in / and in a process group of
// its own, because it outlives that client. What it says on stderr goes to
// whoever waits for the connection, and to the log afterwards.
func (m *Master) byCommand(d *destination, p control.Prompter) (net.Conn, error) {
	cmd := exec.Command(d.proxyShell, "-c", "exec "+d.proxy)
	cmd.Dir, cmd.Env = "/", d.proxyEnv
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	fail := func(err error) (net.Conn, error) {
		return nil, &control.Error{Phase: control.NotDialled, Host: d.name, Text: fmt.Sprintf("ProxyCommand: %v", err)}
	}
	// Pipes of our own: os/exec's would be copied by goroutines and closed by
	// Wait under a reader's hands.
	in, toChild, err := os.Pipe()
	if err != nil {
		return fail(err)
	}
	fromChild, out, err := os.Pipe()
	if err != nil {
		return fail(errors.Join(err, in.Close(), toChild.Close()))
	}
	said, stderr, err := os.Pipe()
	if err != nil {
		return fail(errors.Join(err, in.Close(), toChild.Close(), fromChild.Close(), out.Close()))
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, out, stderr
	err = cmd.Start()
	in.Close()
	out.Close()
	stderr.Close()
	if err != nil {
		return fail(errors.Join(err, toChild.Close(), fromChild.Close(), said.Close()))
	}
	c := &proxyConn{r: fromChild, w: toChild, cmd: cmd, d: d, ended: make(chan struct{})}
	go c.relayStderr(said, m, p)
	go c.reap()
	return c, nil
}

// proxyConn is a connection over a child's standard input and output.
type proxyConn struct {
	r, w  *os.File
	cmd   *exec.Cmd
	d     *destination
	once  sync.Once
	ended chan struct{} // closed when the child was waited for
	err   error         // how it ended; set before ended is closed
}

// relayStderr shows the child's lines to the person while the login lasts. A
// child that goes on talking is read for ever: a full pipe would stop it.
func (c *proxyConn) relayStderr(said *os.File, m *Master, p control.Prompter) {
	defer said.Close()
	r := bufio.NewReaderSize(said, proxyLine)
	for {
		line, _, err := r.ReadLine()
		if err != nil {
			return
		}
		if len(line) > 0 && !quiet(c.d.conf) {
			p.Notice(string(line))
		}
		m.cfg.Log.Debug("ProxyCommand", "host", c.d.name, "said", string(line))
	}
}

// reap waits for the child, so that no zombie stays.
func (c *proxyConn) reap() {
	c.err = c.cmd.Wait()
	close(c.ended)
}

func (c *proxyConn) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if err == io.EOF {
		err = c.cause()
	}
	return n, err
}

// cause tells a ProxyCommand that failed from a server that closed the
// connection. The child's end comes a moment after that of its output.
func (c *proxyConn) cause() error {
	select {
	case <-c.ended:
	case <-time.After(endRace):
	}
	select {
	case <-c.ended:
		if c.err != nil {
			return fmt.Errorf("ProxyCommand ended: %w", c.err)
		}
	default:
	}
	return io.EOF
}

func (c *proxyConn) Write(p []byte) (int, error) { return c.w.Write(p) }

// Close ends the connection and sees to it that the child's group ends too.
func (c *proxyConn) Close() error {
	c.once.Do(func() {
		c.w.Close()
		c.r.Close()
		select {
		case <-c.ended:
			return // waited for: its number may be somebody else's by now
		default:
		}
		group := -c.cmd.Process.Pid
		syscall.Kill(group, syscall.SIGHUP)
		go func() {
			select {
			case <-c.ended:
			case <-time.After(proxyGrace):
			}
			// What is left of the group, also when its first process is gone.
			syscall.Kill(group, syscall.SIGKILL)
		}()
	})
	return nil
}

func (c *proxyConn) SetDeadline(t time.Time) error {
	return errors.Join(c.r.SetReadDeadline(t), c.w.SetWriteDeadline(t))
}

func (c *proxyConn) SetReadDeadline(t time.Time) error  { return c.r.SetReadDeadline(t) }
func (c *proxyConn) SetWriteDeadline(t time.Time) error { return c.w.SetWriteDeadline(t) }
func (c *proxyConn) LocalAddr() net.Addr                { return hopAddr("ProxyCommand") }
func (c *proxyConn) RemoteAddr() net.Addr               { return hopAddr(c.d.addr() + " by ProxyCommand") }

// setProxy takes a ProxyCommand into the destination, with what it needs of the
// client. The shell is the client's, as for ssh (sshconnect.c, ssh_proxy_connect).
func (d *destination) setProxy(v *control.Invocation) error {
	d.proxy = d.conf.ProxyCommand()
	if d.proxy == "" {
		return nil
	}
	if d.conf.ProxyUseFdpass() {
		return errors.New("ProxyUseFdpass is not carried out by this version")
	}
	d.proxyEnv = v.Env
	if d.proxyShell = v.Getenv("SHELL"); d.proxyShell == "" {
		d.proxyShell = "/bin/sh"
	}
	return nil
}
