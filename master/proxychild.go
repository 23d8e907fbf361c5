package master

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"muxd/control"
)

// proxyGrace is how long a ProxyCommand has to end after its connection was
// closed and its group was told so (SIGHUP, as ssh does), before it is killed.
const proxyGrace = 2 * time.Second

// proxyLine bounds a line of a ProxyCommand's stderr.
const proxyLine = 4 << 10

// proxyChild is a ProxyCommand that runs: a child of muxd with the environment
// of the client that asked, in / and in a process group of its own, because it
// may outlive that client. What it says on stderr goes to whoever waits for the
// connection, and to the log afterwards.
type proxyChild struct {
	cmd   *exec.Cmd
	d     *destination
	said  chan struct{} // closed when its stderr ended
	ended chan struct{} // closed when it was waited for
	err   error         // how it ended; set before ended is closed
}

// startProxy starts the ProxyCommand on the files given, which stay the
// caller's.
func (m *Master) startProxy(d *destination, p control.Prompter, stdin, stdout *os.File) (*proxyChild, error) {
	cmd := exec.Command(d.proxyShell, "-c", "exec "+d.proxy)
	cmd.Dir, cmd.Env = "/", d.proxyEnv
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	said, stderr, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, stdout, stderr
	err = cmd.Start()
	stderr.Close()
	if err != nil {
		said.Close()
		return nil, err
	}
	c := &proxyChild{cmd: cmd, d: d, said: make(chan struct{}), ended: make(chan struct{})}
	go c.relayStderr(said, m, p)
	go c.reap()
	return c, nil
}

// proxyError is a ProxyCommand's failure under the destination's name.
func proxyError(d *destination, phase control.ErrorPhase, err error) error {
	return &control.Error{Phase: phase, Host: d.name, Text: fmt.Sprintf("ProxyCommand: %v", err)}
}

// relayStderr shows the child's lines to the person while the login lasts. A
// child that goes on talking is read for ever: a full pipe would stop it.
func (c *proxyChild) relayStderr(said *os.File, m *Master, p control.Prompter) {
	defer close(c.said)
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
func (c *proxyChild) reap() {
	c.err = c.cmd.Wait()
	close(c.ended)
}

// heard waits, for a moment at most, until what the child said has been passed
// on.
func (c *proxyChild) heard() {
	select {
	case <-c.said:
	case <-time.After(endRace):
	}
}

// outcome says whether the child ended, and the error if it failed. To be called
// when its output ended: its own end comes a moment later. What it said before
// has been passed on by then, so that the person reads the reason before the
// result.
func (c *proxyChild) outcome() (ended bool, err error) {
	late, cancel := context.WithTimeout(context.Background(), endRace)
	defer cancel()
	for _, done := range []chan struct{}{c.said, c.ended} {
		select {
		case <-done:
		case <-late.Done():
		}
	}
	select {
	case <-c.ended:
		return true, c.err
	default:
		return false, nil
	}
}

// end sees to it, in the background, that the child and its group end: told so
// after a while, and killed after a while more.
func (c *proxyChild) end(after time.Duration) {
	group := -c.cmd.Process.Pid
	go func() {
		select {
		case <-c.ended:
			return // waited for: its number may be somebody else's by now
		case <-time.After(after):
		}
		syscall.Kill(group, syscall.SIGHUP)
		select {
		case <-c.ended:
		case <-time.After(proxyGrace):
		}
		// What is left of the group, also when its first process is gone.
		syscall.Kill(group, syscall.SIGKILL)
	}()
}
