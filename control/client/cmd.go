package client

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"time"

	"muxd/control"
	"muxd/socket"
)

// Cmd is one command on the host, used once, as an exec.Cmd is one here. Its
// fields are set before Start and not touched after. Start, Run, Output and the
// methods that return pipes are for one goroutine; Wait and Signal may be called
// from any once Start has returned.
//
// A command that may have run is never run again, by muxd or by this package,
// and the error says whether it may: see MayHaveRun.
type Cmd struct {
	// Stdin is the command's standard input. Nil is an empty one. It is read when
	// the command runs, and never ahead of what the command was sent by more than
	// 512 KiB; a Read that is under way when the command ends is not waited for,
	// and what it returns is lost.
	Stdin io.Reader
	// Stdout and Stderr get what the command writes, piece by piece and one call at
	// a time, also where they are the same; nil drops it. One that blocks holds up
	// the command and the other one. If Stdout returns an error the command finds
	// its standard output closed, and Wait returns that error.
	Stdout, Stderr io.Writer
	// Env is NAME=value, for the server to let through as its AcceptEnv says
	// (OpenSSH's default is none of them). They come after what the configuration's
	// SendEnv names and before its SetEnv, and of a name the last one holds. A
	// name is of letters, digits and "_". No error tells of one that the server
	// refused.
	Env []string

	c         *Client
	ctx       context.Context
	line      string
	subsystem bool

	started bool
	pipes   []pipe // ends with the command
	run     *running
}

// pipe is one that this package has the other end of.
type pipe interface{ CloseWithError(error) error }

// Command returns a command for the host, not started. Line is one line for the
// login shell there, as the words after the host are on ssh's command line, so
// what is in it for a program has to be quoted for that shell. An empty line is
// the shell itself, reading Stdin. It gets no terminal; New(host, "-tt") asks for
// one. A RemoteCommand of the configuration is not run.
//
// Ctx bounds all of it, the waits for the connection too. When it ends before
// the command was handed over nothing runs. When it ends after that the command
// is sent the signal TERM, its session is closed, and Wait returns. A command
// without a terminal that takes no notice of TERM lives on.
func (c *Client) Command(ctx context.Context, line string) *Cmd {
	return &Cmd{c: c, ctx: ctx, line: line}
}

// Subsystem is Command for a subsystem of the server, as ssh -s: "sftp", say.
func (c *Client) Subsystem(ctx context.Context, name string) *Cmd {
	return &Cmd{c: c, ctx: ctx, line: name, subsystem: true}
}

// StdinPipe returns a pipe to the command's standard input, which ends when the
// pipe is closed. A Write blocks while the command takes nothing; once the
// command has ended it fails, with the error that Wait returns if that is how it
// was lost.
func (k *Cmd) StdinPipe() (io.WriteCloser, error) {
	if k.started || k.Stdin != nil {
		return nil, errors.New("client: Stdin is set, or the command was started")
	}
	r, w := io.Pipe()
	k.Stdin, k.pipes = r, append(k.pipes, r)
	return w, nil
}

// StdoutPipe returns a pipe from the command's standard output. A Read returns
// io.EOF only where the command ended and that is known; where it was lost, the
// error that Wait returns. The pipe is read to its end, or closed, which the
// command finds as a closed standard output: until then Wait does not return, so
// it comes after. Two pipes are read at the same time: one that is not read
// holds up the other.
func (k *Cmd) StdoutPipe() (io.ReadCloser, error) { return k.pipe(&k.Stdout, "Stdout") }

// StderrPipe is StdoutPipe for the command's standard error.
func (k *Cmd) StderrPipe() (io.ReadCloser, error) { return k.pipe(&k.Stderr, "Stderr") }

func (k *Cmd) pipe(to *io.Writer, name string) (io.ReadCloser, error) {
	if k.started || *to != nil {
		return nil, errors.New("client: " + name + " is set, or the command was started")
	}
	r, w := io.Pipe()
	*to, k.pipes = w, append(k.pipes, w)
	return r, nil
}

// Run is Start and Wait.
func (k *Cmd) Run() error {
	if err := k.Start(); err != nil {
		return err
	}
	return k.Wait()
}

// Output is Run and returns what the command wrote to its standard output. An
// *ExitError gets the beginning of its standard error, where Stderr is nil.
func (k *Cmd) Output() ([]byte, error) {
	if k.Stdout != nil {
		return nil, errors.New("client: Stdout is set")
	}
	var out, stderr head
	out.room, stderr.room = -1, stderrKept
	k.Stdout = &out
	if k.Stderr == nil {
		k.Stderr = &stderr
	}
	err := k.Run()
	var x *ExitError
	if errors.As(err, &x) {
		x.Stderr = stderr.b
	}
	return out.b, err
}

// stderrKept is how much of a failed command's standard error Output keeps, in
// bytes.
const stderrKept = 32 << 10

// head keeps the first room bytes that are written to it; below 0, all.
type head struct {
	b    []byte
	room int
}

// Write implements io.Writer.
func (h *head) Write(p []byte) (int, error) {
	n := len(p)
	if h.room >= 0 {
		p = p[:min(n, h.room-len(h.b))]
	}
	h.b = append(h.b, p...)
	return n, nil
}

// Start has the command run and returns when it was handed over, which may need
// a muxd to be started and a login to be made; after an outage it waits for the
// connection as WaitForReady says. A login that has to ask somebody fails: log in
// ahead, by "muxd login HOST". What Start returns is an error as of Wait, but
// never an *ExitError.
func (k *Cmd) Start() error {
	if k.started {
		return errors.New("client: the command was started already")
	}
	k.started = true
	v, err := k.invocation()
	if err == nil {
		k.run, err = attempts(k.ctx, func(sc *socket.Conn) (*running, error) { return k.attempt(sc, v) })
	}
	if err == nil {
		return nil
	}
	if err = k.c.asError(control.NotDialled, err); k.ctx.Err() != nil {
		err = k.stopped(err)
	}
	k.closePipes(err)
	return err
}

// invocation is the command line. What stands first holds: the configuration
// cannot make it something else than this command.
func (k *Cmd) invocation() (*control.Invocation, error) {
	args := []string{"-T", "-o", "FdPass=no", "-o", "PermitLocalCommand=no", "-o", "RemoteCommand=none", "-o", "ForkAfterAuthentication=no"}
	if k.Stdin == nil {
		args = append(args, "-n")
	} else {
		args = append(args, "-o", "StdinNull=no")
	}
	if k.subsystem {
		args = append(args, "-s")
	} else {
		args = append(args, "-o", "SessionType=default")
	}
	for _, kv := range k.Env {
		name, value, ok := strings.Cut(kv, "=")
		if !ok || !isName(name) || strings.Contains(value, "\x00") {
			return nil, &control.Error{Phase: control.NotDialled, Host: k.c.host, Text: "an environment variable that cannot be sent: " + control.CleanLine(name)}
		}
		args = append(args, "-o", "SendEnv="+name)
	}
	v := k.c.commandLine(args...)
	if k.line != "" {
		v.Args = append(v.Args, k.line)
	}
	v.Env = append(v.Env, k.Env...)
	return v, nil
}

// isName reports a name that SendEnv takes for itself, and not for a pattern.
func isName(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !(r == '_' || r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z')
	})
}

// attempt makes one request of a running muxd, and returns once the command was
// handed over.
func (k *Cmd) attempt(sc *socket.Conn, v *control.Invocation) (*running, error) {
	// A muxd that is stopped takes no long request. One that took it is to say how
	// far it had come, also where the context ends in the moment between: a socket
	// that is closed would be told nothing.
	cut := make(chan struct{})
	stop := context.AfterFunc(k.ctx, func() { sc.SetWriteDeadline(time.Now()); close(cut) })
	op, err := control.Run(sc, v)
	if !stop() {
		<-cut
		sc.SetWriteDeadline(time.Time{})
	}
	if err != nil {
		sc.Close()
		return nil, err
	}
	r := newRunning(k, op)
	go r.hear()
	go r.watch()
	select {
	case <-r.opened:
		return r, nil
	case <-r.over:
	}
	if r.isOpen() {
		return r, nil
	}
	return nil, r.err
}

// Wait returns when the command has ended, and everything that it wrote was
// taken by Stdout and Stderr. The error is nil where it ended with status 0 and
// what it read and wrote went well; an *ExitError where it ended otherwise; where
// how it ended is not known, one that wraps a *control.Error, and matches the
// context's where that ended it; and else that of Stdin or Stdout.
func (k *Cmd) Wait() error {
	if k.run == nil {
		return errNotStarted
	}
	<-k.run.over
	return k.run.err
}

// Signal sends the command a signal, by its name without SIG ("TERM", "USR1").
// It does not wait for what comes of that: the server may not pass it on
// (OpenSSH does since 7.9, for a command of the same user). Where the command has
// ended the error is os.ErrProcessDone.
func (k *Cmd) Signal(name string) error {
	if k.run == nil {
		return errNotStarted
	}
	select {
	case <-k.run.over:
		return os.ErrProcessDone
	default:
		return k.c.asError(control.Running, k.run.op.Signal(name))
	}
}

var errNotStarted = errors.New("client: the command was not started")

// stopped is err for somebody whose context has ended: it matches that one's
// error, and its phase is err's.
func (k *Cmd) stopped(err error) error {
	e := &control.Error{Phase: control.Sent, Host: k.c.host}
	var told *control.Error
	if errors.As(err, &told) {
		e.Phase = told.Phase
	}
	e.Text = k.ctx.Err().Error()
	switch e.Phase {
	case control.Sent:
		e.Text += "; the command was sent and may have run"
	case control.Running:
		e.Text += "; the command may still be running"
	}
	return &failure{e, k.ctx.Err()}
}

// closePipes frees whoever reads or writes; err is how the command was lost, or
// nil.
func (k *Cmd) closePipes(err error) {
	for _, p := range k.pipes {
		if r, ok := p.(*io.PipeReader); ok && err == nil {
			r.CloseWithError(io.ErrClosedPipe)
			continue
		}
		p.CloseWithError(err)
	}
}
