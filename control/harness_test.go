package control_test

import (
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"muxd/control"
	"muxd/control/controltest"
)

const patience = controltest.Patience

// rig is a server with a scripted backend. When the test ends, everything it
// started must have ended too.
type rig struct {
	t      testing.TB
	srv    *control.Server
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	log    *log
}

func newRig(t testing.TB, b *controltest.Backend) *rig {
	t.Helper()
	r := &rig{t: t, log: new(log)}
	r.srv = &control.Server{Backend: b, Build: "test 1.0", PID: 4711, Log: r.log}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	was := goleak.IgnoreCurrent()
	t.Cleanup(func() {
		r.cancel()
		done := make(chan struct{})
		go func() { r.wg.Wait(); close(done) }()
		select {
		case <-done:
		case <-time.After(patience):
			t.Error("ServeConn did not return")
		}
		goleak.VerifyNone(t, was)
		if n := r.srv.Clients(); n != 0 {
			t.Errorf("%d clients are left", n)
		}
	})
	return r
}

// serve serves c and returns a channel that is closed at the end.
func (r *rig) serve(c control.ServerConn) <-chan struct{} {
	done := make(chan struct{})
	r.wg.Add(1)
	go func() {
		defer r.wg.Done()
		defer close(done)
		r.srv.ServeConn(r.ctx, c)
	}()
	return done
}

// dial returns a client's socket to the server.
func (r *rig) dial() (*controltest.Socket, <-chan struct{}) {
	c, s := controltest.SocketPair(r.t)
	return c, r.serve(s)
}

// outcome is what Wait returned.
type outcome struct {
	exit control.Exit
	err  error
}

// run starts an invocation and waits for it in a goroutine of its own.
func (r *rig) run(h control.Handler) (*control.Op, <-chan outcome) {
	r.t.Helper()
	c, _ := r.dial()
	op, err := control.Run(c, &control.Invocation{Args: []string{"h", "true"}})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { op.Close() })
	return op, wait(op, h)
}

func wait(op *control.Op, h control.Handler) <-chan outcome {
	ch := make(chan outcome, 1)
	go func() {
		x, err := op.Wait(h)
		ch <- outcome{x, err}
	}()
	return ch
}

// sessions returns a backend whose sessions are handed to f.
func sessions(tty bool, f func(ctx context.Context, s *controltest.Stream)) *controltest.Backend {
	return &controltest.Backend{
		OnResolve: resolveSession,
		OnSession: func(ctx context.Context, _ *control.SessionRequest, _ control.Prompter) (control.Stream, error) {
			s := controltest.NewStream(tty)
			go f(ctx, s)
			return s, nil
		},
	}
}

func resolveSession(context.Context, *control.Invocation, control.Prompter) (*control.Plan, error) {
	return &control.Plan{Host: "h", Escape: control.NoEscape, Session: &control.SessionRequest{Kind: control.Exec}}, nil
}

// log records warnings.
type log struct {
	mu    sync.Mutex
	warns []string // guarded by mu
}

func (l *log) Debug(string, ...any) {}
func (l *log) Info(string, ...any)  {}
func (l *log) Warn(msg string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range args {
		if err, ok := a.(error); ok {
			msg += ": " + err.Error()
		}
	}
	l.warns = append(l.warns, msg)
}

func (l *log) warnings() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.warns...)
}

// phase returns the phase of err, or 0.
func phase(err error) control.ErrorPhase {
	var e *control.Error
	if errors.As(err, &e) {
		return e.Phase
	}
	return 0
}

// feed sends r as stdin, within the credit, and then its end.
func feed(op *control.Op, r io.Reader) error {
	b := make([]byte, control.StdinRoom+64<<10)
	for {
		n := op.Credit()
		if n == 0 {
			return io.ErrClosedPipe
		}
		m, err := r.Read(b[control.StdinRoom:min(len(b), control.StdinRoom+n)])
		if m > 0 {
			if err := op.Stdin(b[:control.StdinRoom+m]); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return op.CloseStdin()
		}
		if err != nil {
			return err
		}
	}
}
