package term

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// watch turns the end of a context and signals into something that poll sees:
// the end of a pipe. Only its goroutine writes, and it ends at the first event.
type watch struct {
	signals chan os.Signal
	quit    chan struct{} // closed by stop
	ended   chan struct{} // closed when the goroutine has ended
	why     error         // written before the pipe is closed
	r, w    *os.File
}

func startWatch(ctx context.Context) (*watch, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("cannot watch for signals at the prompt: %w", err)
	}
	x := &watch{signals: make(chan os.Signal, 8), quit: make(chan struct{}), ended: make(chan struct{}), r: r, w: w}
	signal.Notify(x.signals, unix.SIGINT, unix.SIGQUIT, unix.SIGHUP, unix.SIGTERM)
	go x.run(ctx)
	return x, nil
}

// continued watches for SIGCONT, too: whoever stopped us, a shell has set modes
// of its own since.
func (x *watch) continued() { signal.Notify(x.signals, unix.SIGCONT) }

func (x *watch) run(ctx context.Context) {
	defer close(x.ended)
	defer x.w.Close()
	select {
	case <-ctx.Done():
		x.why = ctx.Err()
	case s := <-x.signals:
		x.why = reason(s)
	case <-x.quit:
	}
}

func reason(s os.Signal) error {
	switch s {
	case unix.SIGINT:
		return ErrInterrupted
	case unix.SIGCONT:
		return errContinued
	}
	return signalError{s.(syscall.Signal)}
}

// await waits for fd. Its error is the reason not to wait any longer.
func (x *watch) await(fd int, write bool) error {
	woken, err := await(fd, int(x.r.Fd()), write)
	if woken {
		<-x.ended
		return x.why
	}
	return err
}

// stop gives the signals back; after it none is caught.
func (x *watch) stop() {
	signal.Stop(x.signals)
	close(x.quit)
	<-x.ended
	x.r.Close()
}

// signalError is a signal that ended the question.
type signalError struct{ s syscall.Signal }

func (e signalError) Error() string { return fmt.Sprintf("%v at the prompt", e.s) }

// EndedBy is the signal by which a question was ended: SIGINT for ^C, too, which is a
// key there. It reports false for an error of another kind.
func EndedBy(err error) (syscall.Signal, bool) {
	var e signalError
	if errors.As(err, &e) {
		return e.s, true
	}
	return unix.SIGINT, errors.Is(err, ErrInterrupted)
}

// raise lets the signal have the effect that it was kept from. It is the
// program's own business if it lives on; then nobody answered.
func (e signalError) raise() error {
	raise(e.s)
	return fmt.Errorf("%w: %w", ErrInterrupted, e)
}
