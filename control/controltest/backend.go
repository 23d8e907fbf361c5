// Package controltest is a scripted control.Backend: what a test of a door, or
// of a client, puts in the master's place. It has no network and no clock of
// its own, so a test decides everything that happens.
package controltest

import (
	"context"
	"fmt"
	"io"
	"sync"

	"muxd/control"
)

// Backend answers with the functions a test sets. A function that is not set
// makes the method return an error in phase NotDialled.
type Backend struct {
	OnResolve func(ctx context.Context, v *control.Invocation, p control.Prompter) (*control.Plan, error)
	OnSession func(ctx context.Context, r *control.SessionRequest, p control.Prompter) (control.Stream, error)
	OnForward func(ctx context.Context, r *control.ForwardRequest, p control.Prompter) (release func(), err error)
	OnDirect  func(ctx context.Context, r *control.DirectRequest, p control.Prompter) (control.Stream, error)
	OnHold    func(ctx context.Context, r *control.HoldRequest, p control.Prompter) (control.Stream, error)
	OnManage  func(ctx context.Context, r *control.ManageRequest) (*control.Managed, error)
	OnAdmin   func(ctx context.Context, r *control.AdminRequest) (*control.Managed, error)
	OnEvents  func(ctx context.Context, r *control.EventsRequest, f func(control.Event) error) error
	OnStatus  func(ctx context.Context, r *control.StatusRequest) (*control.Status, error)
	OnStop    func(ctx context.Context, r *control.StopRequest) (*control.Stopped, error)
}

var errUnset = &control.Error{Phase: control.NotDialled, Text: "the test did not script this"}

// Resolve implements control.Backend.
func (b *Backend) Resolve(ctx context.Context, v *control.Invocation, p control.Prompter) (*control.Plan, error) {
	if b.OnResolve == nil {
		return nil, errUnset
	}
	return b.OnResolve(ctx, v, p)
}

// Session implements control.Backend.
func (b *Backend) Session(ctx context.Context, r *control.SessionRequest, p control.Prompter) (control.Stream, error) {
	if b.OnSession == nil {
		return nil, errUnset
	}
	return b.OnSession(ctx, r, p)
}

// Forward implements control.Backend.
func (b *Backend) Forward(ctx context.Context, r *control.ForwardRequest, p control.Prompter) (release func(), err error) {
	if b.OnForward == nil {
		return nil, errUnset
	}
	return b.OnForward(ctx, r, p)
}

// Direct implements control.Backend.
func (b *Backend) Direct(ctx context.Context, r *control.DirectRequest, p control.Prompter) (control.Stream, error) {
	if b.OnDirect == nil {
		return nil, errUnset
	}
	return b.OnDirect(ctx, r, p)
}

// Hold implements control.Backend.
func (b *Backend) Hold(ctx context.Context, r *control.HoldRequest, p control.Prompter) (control.Stream, error) {
	if b.OnHold == nil {
		return nil, errUnset
	}
	return b.OnHold(ctx, r, p)
}

// Manage implements control.Backend.
func (b *Backend) Manage(ctx context.Context, r *control.ManageRequest) (*control.Managed, error) {
	if b.OnManage == nil {
		return nil, errUnset
	}
	return b.OnManage(ctx, r)
}

// Admin implements control.Backend.
func (b *Backend) Admin(ctx context.Context, r *control.AdminRequest) (*control.Managed, error) {
	if b.OnAdmin == nil {
		return nil, errUnset
	}
	return b.OnAdmin(ctx, r)
}

// Events implements control.Backend.
func (b *Backend) Events(ctx context.Context, r *control.EventsRequest, f func(control.Event) error) error {
	if b.OnEvents == nil {
		return errUnset
	}
	return b.OnEvents(ctx, r, f)
}

// Status implements control.Backend.
func (b *Backend) Status(ctx context.Context, r *control.StatusRequest) (*control.Status, error) {
	if b.OnStatus == nil {
		return nil, errUnset
	}
	return b.OnStatus(ctx, r)
}

// Stop implements control.Backend.
func (b *Backend) Stop(ctx context.Context, r *control.StopRequest) (*control.Stopped, error) {
	if b.OnStop == nil {
		return nil, errUnset
	}
	return b.OnStop(ctx, r)
}

// Stream is a scripted session: the test writes the command's output into
// Out and Err and decides the end; what the client did is recorded.
type Stream struct {
	Out, Err *io.PipeWriter // close both, then End
	In       *io.PipeReader // what the client sends as stdin

	out, err *io.PipeReader
	in       *io.PipeWriter
	tty      bool

	mu       sync.Mutex
	events   []string      // guarded by mu
	changed  chan struct{} // guarded by mu; closed and replaced at each event
	done     chan struct{} // closed when exit and exitErr are set
	endOnce  sync.Once
	exit     control.Exit
	exitErr  error
	isClosed bool // guarded by mu
}

// NewStream returns an open session; tty says whether a terminal was granted.
func NewStream(tty bool) *Stream {
	s := &Stream{tty: tty, done: make(chan struct{}), changed: make(chan struct{})}
	s.out, s.Out = io.Pipe()
	s.err, s.Err = io.Pipe()
	s.In, s.in = io.Pipe()
	return s
}

// End decides how the session ended, after closing both outputs.
func (s *Stream) End(x control.Exit, err error) {
	s.endOnce.Do(func() {
		s.exit, s.exitErr = x, err
		s.Out.Close()
		s.Err.Close()
		close(s.done)
	})
}

// Events returns what the client did so far: "resize 80x24", "signal INT",
// "eof", "closeread", "close".
func (s *Stream) Events() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.events...)
}

// WaitEvent waits until the event was seen.
func (s *Stream) WaitEvent(ctx context.Context, e string) error {
	for {
		s.mu.Lock()
		ch := s.changed
		for _, have := range s.events {
			if have == e {
				s.mu.Unlock()
				return nil
			}
		}
		s.mu.Unlock()
		select {
		case <-ch:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *Stream) event(e string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, e)
	close(s.changed)
	s.changed = make(chan struct{})
}

// Read implements control.Stream.
func (s *Stream) Read(p []byte) (int, error) { return s.out.Read(p) }

// Write implements control.Stream.
func (s *Stream) Write(p []byte) (int, error) { return s.in.Write(p) }

// CloseWrite implements control.Stream.
func (s *Stream) CloseWrite() error { s.event("eof"); return s.in.Close() }

// CloseRead implements control.Stream.
func (s *Stream) CloseRead() error { s.event("closeread"); return nil }

// Stderr implements control.Stream.
func (s *Stream) Stderr() io.Reader { return s.err }

// TTY implements control.Stream.
func (s *Stream) TTY() bool { return s.tty }

// Resize implements control.Stream.
func (s *Stream) Resize(w control.Window) error {
	s.event(fmt.Sprintf("resize %dx%d", w.Cols, w.Rows))
	return nil
}

// Signal implements control.Stream.
func (s *Stream) Signal(name string) error { s.event("signal " + name); return nil }

// Wait implements control.Stream.
func (s *Stream) Wait() (control.Exit, error) {
	<-s.done
	return s.exit, s.exitErr
}

// Close implements control.Stream: an abandoned session ends as lost.
func (s *Stream) Close() error {
	s.mu.Lock()
	first := !s.isClosed
	s.isClosed = true
	s.mu.Unlock()
	if first {
		s.event("close")
		s.in.CloseWithError(io.ErrClosedPipe)
		s.End(control.Exit{}, &control.Error{Phase: control.Running, Text: "abandoned"})
	}
	return nil
}
