package reach

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
)

// Command is a ProxyCommand: a line for a shell that connects to somewhere.
type Command struct {
	Shell, Line string
	Env         []string
	To          string // where it leads, for people
	// Said is called for each line that it says on stderr, for as long as it
	// lives.
	Said func(line string)
}

// StartError is a command that did not start.
type StartError struct{ Err error }

func (e *StartError) Error() string { return e.Err.Error() }

// Unwrap returns why.
func (e *StartError) Unwrap() error { return e.Err }

// Pipe starts the command, which carries the bytes on its standard input and
// output for as long as the connection lives. The error is a *StartError.
func (c *Command) Pipe() (net.Conn, error) {
	// Pipes of our own: os/exec's would be copied by goroutines and closed by
	// Wait under a reader's hands.
	in, toChild, err := os.Pipe()
	if err != nil {
		return nil, &StartError{err}
	}
	fromChild, out, err := os.Pipe()
	if err != nil {
		return nil, &StartError{errors.Join(err, in.Close(), toChild.Close())}
	}
	var ch *child
	if err = errScarce; !scarce(out) {
		ch, err = c.start(in, out)
	}
	in.Close()
	out.Close()
	if err != nil {
		return nil, &StartError{errors.Join(err, toChild.Close(), fromChild.Close())}
	}
	return &pipe{r: fromChild, w: toChild, child: ch, to: c.To}, nil
}

// pipe is a connection over a child's standard input and output.
type pipe struct {
	r, w  *os.File
	child *child
	to    string
	spoke atomic.Bool // a byte came
	once  sync.Once
}

func (c *pipe) Read(p []byte) (int, error) {
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
func (c *pipe) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	if errors.Is(err, syscall.EPIPE) {
		err = c.cause(err)
	}
	return n, err
}

// cause tells a ProxyCommand that failed, or ended before it had anything to
// say, from a server that closed the connection, which is err.
func (c *pipe) cause(err error) error {
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
func (c *pipe) Close() error {
	c.once.Do(func() {
		c.w.Close()
		c.r.Close()
		c.child.end(0)
	})
	return nil
}

func (c *pipe) SetDeadline(t time.Time) error {
	return errors.Join(c.r.SetReadDeadline(t), c.w.SetWriteDeadline(t))
}

func (c *pipe) SetReadDeadline(t time.Time) error  { return c.r.SetReadDeadline(t) }
func (c *pipe) SetWriteDeadline(t time.Time) error { return c.w.SetWriteDeadline(t) }
func (c *pipe) LocalAddr() net.Addr                { return address("ProxyCommand") }
func (c *pipe) RemoteAddr() net.Addr               { return address(c.to + " by ProxyCommand") }

// address is that of a connection by a command, for people.
type address string

func (a address) Network() string { return "command" }
func (a address) String() string  { return string(a) }
