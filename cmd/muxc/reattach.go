package main

import (
	"errors"
	"os"
	"time"

	"muxd/control"
	"muxd/internal/term"
)

// reattachPause is the least time from one session's beginning to the next
// one's: a command that is lost as soon as it runs must not spin.
const reattachPause = time.Second

// reattaches reports whether the session that ended by err is to be carried on
// in this terminal: it was open here, its plan says so, and it was lost. Every
// other end is one, the person's above all.
func (u *ui) reattaches(err error) bool {
	var e *control.Error
	lost := errors.Is(err, control.ErrGone) || errors.As(err, &e) && e.Phase.MayHaveRun() && !e.Ended
	p := u.op.Plan()
	u.mu.Lock()
	defer u.mu.Unlock()
	return lost && u.opened && u.state != nil && p.TTY && p.Reattach && !u.ending
}

// detach ends what the lost session left here: its terminal goes back, and
// nothing reads it any more; then the one line says what became of the session.
// From here on this process waits as it did for the first one.
func (u *ui) detach(err error) {
	u.input.stop()
	u.restore()
	u.fail(err)
	u.mu.Lock()
	u.opened, u.plan, u.input = false, nil, nil
	pause := reattachPause - time.Since(u.openedAt)
	u.mu.Unlock()
	u.wait.forget()
	time.Sleep(pause) // a signal ends this process meanwhile
}

// input is a reader of standard input that leaves answers alone, and can be told to
// leave all. Nil is one that does not, and reads until the process ends.
type input struct {
	r, w  *os.File      // a pipe, of which w is closed to wake the reader
	ended chan struct{} // closed when the reader has left
}

// newInput returns nil where there are no descriptors: the session then cannot
// be carried on, and is as good as any other.
func newInput() *input {
	r, w, err := os.Pipe()
	if err != nil {
		return nil
	}
	return &input{r, w, make(chan struct{})}
}

// ready waits for something to read; false is to leave it.
func (in *input) ready() bool {
	return in == nil || !term.WaitInput(0, int(in.r.Fd()))
}

// left says that the reader is gone.
func (in *input) left() {
	if in != nil {
		close(in.ended)
	}
}

// stop returns when nobody reads any more. The operation must be over.
func (in *input) stop() {
	if in != nil {
		in.w.Close()
		<-in.ended
		in.r.Close()
	}
}
