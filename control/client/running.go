package client

import (
	"errors"
	"io"
	"sync"
	"time"

	"muxd/control"
)

// running is a command that muxd was asked for. It implements control.Handler.
type running struct {
	nobody
	k      *Cmd
	op     *control.Op
	opened chan struct{} // closed when the command was handed over
	heard  chan struct{} // closed when muxd has said its last word, or is gone
	over   chan struct{} // closed when err is set; the pipes of a command that was handed over have ended then
	err    error         // how it ended; nil is well
	stdout error         // owned by op.Wait; why Stdout takes no more

	mu    sync.Mutex
	stdin error // guarded by mu; why Stdin was not read to its end
}

func newRunning(k *Cmd, op *control.Op) *running {
	return &running{k: k, op: op, opened: make(chan struct{}), heard: make(chan struct{}), over: make(chan struct{})}
}

// hear hears the operation to its end.
func (r *running) hear() {
	exit, err := r.op.Wait(r)
	close(r.heard)
	r.op.Close()
	err = r.lost(err)
	if r.isOpen() { // else it may be begun once more, with the same pipes: see Start
		r.k.closePipes(err)
	}
	if err == nil && (exit.Code != 0 || exit.Signal != "") {
		err = &ExitError{Exit: exit, Host: r.k.c.host}
	}
	switch why := r.fault(); {
	case why == nil:
	case err == nil:
		err = why
	default:
		err = &both{err, why}
	}
	r.err = err
	close(r.over)
}

// answerTime is how long muxd may take to say how far a request had come that
// is given up: it knows at once, but the machine may be busy. Tests change it.
var answerTime = 2 * time.Second

// watch ends the command when its context does.
func (r *running) watch() {
	select {
	case <-r.heard:
		return
	case <-r.k.ctx.Done():
	}
	// A muxd that is stopped takes nothing and says nothing.
	late := time.AfterFunc(answerTime, func() { r.op.Close() })
	defer late.Stop()
	if r.isOpen() {
		// Whoever does not read its pipe must not keep the last word from being heard.
		r.k.closePipes(r.k.stopped(&control.Error{Phase: control.Running}))
		r.op.Signal("TERM")
	}
	r.op.GiveUp()
	<-r.heard
}

func (r *running) isOpen() bool {
	select {
	case <-r.opened:
		return true
	default:
		return false
	}
}

// lost is the error for a command of which it is not known how it ended, or that
// did not begin.
func (r *running) lost(err error) error {
	host := r.k.c.host
	switch phase := r.phase(); {
	case err == nil && r.isOpen():
		return nil
	case err == nil:
		return notOpened(r.op, host, "a command")
	case errors.Is(err, control.ErrNotTaken), errors.Is(err, control.ErrSilent):
		return err
	case errors.Is(err, control.ErrGone):
		text := "muxd went away; the command may have run"
		if phase == control.Running {
			text = "muxd went away; the command may still be running"
		}
		err = &failure{&control.Error{Phase: phase, Host: host, Text: text}, err}
	default:
		err = r.k.c.asError(phase, err)
	}
	if r.k.ctx.Err() != nil {
		err = r.k.stopped(err)
	}
	return err
}

// phase is the latest in which the operation can have failed, where nobody says.
func (r *running) phase() control.ErrorPhase {
	if r.isOpen() {
		return control.Running
	}
	return control.Sent
}

// fault is what went wrong on this side.
func (r *running) fault() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stdin != nil {
		return r.stdin
	}
	return r.stdout
}

// Opened implements control.Handler.
func (r *running) Opened(*control.Plan) {
	close(r.opened)
	if r.k.Stdin != nil {
		go r.feed()
	}
}

// stdinPiece is how much of standard input travels in one frame, in bytes.
const stdinPiece = 64 << 10

// feed sends standard input for as long as the command takes it.
func (r *running) feed() {
	b := make([]byte, control.StdinRoom+stdinPiece)
	for {
		n := r.op.Credit()
		if n == 0 {
			return
		}
		m, err := r.k.Stdin.Read(b[control.StdinRoom : control.StdinRoom+min(n, stdinPiece)])
		if m > 0 && r.op.Stdin(b[:control.StdinRoom+m]) != nil {
			return
		}
		if err == nil {
			continue
		}
		if err != io.EOF {
			r.mu.Lock()
			r.stdin = err
			r.mu.Unlock()
		}
		r.op.CloseStdin()
		return
	}
}

// Stdout implements control.Handler.
func (r *running) Stdout(b []byte) error {
	if !r.isOpen() || r.k.Stdout == nil {
		return nil // a text, and not the command's
	}
	_, err := r.k.Stdout.Write(b)
	if err != nil && err != io.ErrClosedPipe { // whoever closes its pipe knows
		r.stdout = err
	}
	return err
}

// Stderr implements control.Handler.
func (r *running) Stderr(b []byte) error {
	if r.k.Stderr != nil {
		r.k.Stderr.Write(b)
	}
	return nil
}

// StdoutEOF implements control.Handler.
func (r *running) StdoutEOF() {}
