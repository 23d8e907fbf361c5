package main

import (
	"context"
	"io"
	"os"
	"sync"
	"testing"
	"time"

	"muxd/control"
	"muxd/control/controltest"
	"muxd/socket"
)

// scripted is a muxd in this process that does what a test says, with the real
// muxc as its client.
type scripted struct {
	*host
	b controltest.Backend

	mu    sync.Mutex
	conns []*socket.Conn           // guarded by mu; all that came
	asked []*control.Invocation    // guarded by mu
	open  chan *controltest.Stream // sessions as they open
}

// newScripted serves; the session of each invocation is opened once wait has
// returned, and given to the test.
func newScripted(t *testing.T, plan control.Plan, wait func(n int, p control.Prompter) error, change ...func(*scripted)) *scripted {
	t.Helper()
	s := &scripted{host: newHost(t), open: make(chan *controltest.Stream, 9)}
	l, err := socket.Listen(socket.At(s.socket()))
	if err != nil {
		t.Fatal(err)
	}
	s.b.OnResolve = func(_ context.Context, v *control.Invocation, _ control.Prompter) (*control.Plan, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.asked = append(s.asked, v)
		p := plan
		p.Host, p.Session = "box", &control.SessionRequest{}
		return &p, nil
	}
	s.b.OnSession = func(ctx context.Context, _ *control.SessionRequest, p control.Prompter) (control.Stream, error) {
		waited := make(chan error, 1)
		go func() { waited <- wait(len(s.invocations()), p) }()
		select {
		case err := <-waited:
			if err != nil {
				return nil, err
			}
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		st := controltest.NewStream(plan.TTY)
		s.open <- st
		return st, nil
	}
	for _, f := range change { // before anybody may come
		f(s)
	}
	srv := &control.Server{Backend: &s.b, Build: "scripted", PID: os.Getpid(), Log: silence{}}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns = append(s.conns, c)
			s.mu.Unlock()
			wg.Go(func() { srv.ServeConn(ctx, c) })
		}
	})
	t.Cleanup(func() { cancel(); l.Close(); wg.Wait() })
	return s
}

type silence struct{}

func (silence) Debug(string, ...any) {}
func (silence) Info(string, ...any)  {}
func (silence) Warn(string, ...any)  {}

func (s *scripted) invocations() []*control.Invocation {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*control.Invocation(nil), s.asked...)
}

// dies is the end of muxd without a last word, as far as clients see.
func (s *scripted) dies() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		c.Close()
	}
}

// session is the next one that opens.
func (s *scripted) session() *controltest.Stream {
	s.t.Helper()
	select {
	case st := <-s.open:
		return st
	case <-time.After(long):
		s.t.Fatal("no session was opened")
		panic("unreachable")
	}
}

// reads fails the test unless that is what comes as standard input next.
func reads(t *testing.T, st *controltest.Stream, want string) {
	t.Helper()
	b := make([]byte, len(want))
	done := make(chan error, 1)
	go func() { _, err := io.ReadFull(st.In, b); done <- err }()
	select {
	case err := <-done:
		if err != nil || string(b) != want {
			t.Errorf("the session reads %q, %v; want %q", b, err, want)
		}
	case <-time.After(long):
		t.Fatalf("the session does not get %q", want)
	}
}

// finish writes the session's last words and ends it.
func finish(st *controltest.Stream, text string, x control.Exit, err error) {
	io.WriteString(st.Out, text)
	st.End(x, err)
}

// on is a terminal that knows escapes.
func (s *scripted) on(term string, args ...string) *screen {
	s.setenv("TERM", term)
	return s.onScreen(s.command("muxc", args...))
}
