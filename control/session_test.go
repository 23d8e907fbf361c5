package control_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"hash"
	"io"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"muxd/control"
	"muxd/control/controltest"
)

func TestExit(t *testing.T) {
	for _, want := range []control.Exit{{}, {Code: 1}, {Code: 255}, {Code: 1 << 31},
		{Signal: "TERM", Core: true, Message: "so it goes"}} {
		r := newRig(t, sessions(false, func(_ context.Context, s *controltest.Stream) { s.End(want, nil) }))
		_, ch := r.run(&controltest.Screen{})
		if got := controltest.Get(t, ch); got.exit != want || got.err != nil {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
}

// The name of a signal comes from the server and goes to a terminal.
func TestExitSignalIsCleaned(t *testing.T) {
	r := newRig(t, sessions(false, func(_ context.Context, s *controltest.Stream) {
		s.End(control.Exit{Signal: "TE\x1b]0;x\aRM", Message: "\x1b[2Jgone"}, nil)
	}))
	_, ch := r.run(&controltest.Screen{})
	if got := controltest.Get(t, ch); strings.ContainsAny(got.exit.Signal+got.exit.Message, "\x1b\a") {
		t.Errorf("got %q, %q", got.exit.Signal, got.exit.Message)
	}
}

// A command that may have run must never be taken for one that has not, so an
// error without a phase gets the latest that it can have come to.
func TestPhaseOfAnErrorWithoutOne(t *testing.T) {
	plain := errors.New("plain")
	tests := []struct {
		name string
		b    *controltest.Backend
		want control.ErrorPhase
	}{
		{"resolve", &controltest.Backend{OnResolve: func(context.Context, *control.Invocation, control.Prompter) (*control.Plan, error) {
			return nil, plain
		}}, control.NotDialled},
		{"session", &controltest.Backend{OnResolve: resolveSession,
			OnSession: func(context.Context, *control.SessionRequest, control.Prompter) (control.Stream, error) {
				return nil, plain
			}}, control.Sent},
		{"wait", sessions(false, func(_ context.Context, s *controltest.Stream) { s.End(control.Exit{}, plain) }), control.Running},
		{"nothing to do", &controltest.Backend{OnResolve: func(context.Context, *control.Invocation, control.Prompter) (*control.Plan, error) {
			return &control.Plan{Host: "h"}, nil
		}}, control.NotDialled},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, ch := newRig(t, tt.b).run(&controltest.Screen{})
			if got := controltest.Get(t, ch); phase(got.err) != tt.want {
				t.Errorf("phase %v (%v), want %v", phase(got.err), got.err, tt.want)
			}
		})
	}
}

func TestErrorKeepsPhaseAndHost(t *testing.T) {
	want := control.Error{Phase: control.Lost, Host: "h", Text: "cable cut"}
	r := newRig(t, &controltest.Backend{OnResolve: resolveSession,
		OnSession: func(context.Context, *control.SessionRequest, control.Prompter) (control.Stream, error) {
			return nil, &want
		}})
	_, ch := r.run(&controltest.Screen{})
	var got *control.Error
	if err := controltest.Get(t, ch).err; !errors.As(err, &got) || *got != want {
		t.Errorf("got %v, want %v", err, &want)
	}
}

// Both outputs arrive apart and in full before the exit does.
func TestOutputsApartAndWhole(t *testing.T) {
	r := newRig(t, sessions(false, func(_ context.Context, s *controltest.Stream) {
		stderr := make(chan struct{})
		go func() {
			defer close(stderr)
			io.WriteString(s.Err, strings.Repeat("e", 300<<10))
			s.Err.Close()
		}()
		io.WriteString(s.Out, strings.Repeat("o", 300<<10))
		s.Out.Close()
		io.Copy(io.Discard, s.In) // until the client ends stdin
		<-stderr
		s.End(control.Exit{Code: 3}, nil)
	}))
	var h controltest.Screen
	op, ch := r.run(&h)
	if err := feed(op, strings.NewReader("in")); err != nil {
		t.Fatal(err)
	}
	if got := controltest.Get(t, ch); got.exit.Code != 3 || got.err != nil {
		t.Fatalf("got %+v", got)
	}
	out, errs, _ := h.Shown()
	if out != strings.Repeat("o", 300<<10) || errs != strings.Repeat("e", 300<<10) {
		t.Errorf("%d bytes of stdout, %d of stderr", len(out), len(errs))
	}
}

// Whatever is in the socket when the server closes it with stdin unread, the
// exit is not lost: a close with unread bytes resets a Unix socket.
func TestExitOutlivesUnreadStdin(t *testing.T) {
	for range 50 {
		r := newRig(t, sessions(false, func(_ context.Context, s *controltest.Stream) {
			io.WriteString(s.Out, strings.Repeat("x", 100<<10))
			s.End(control.Exit{Code: 7}, nil)
		}))
		var h controltest.Screen
		op, ch := r.run(&h)
		go feed(op, zeros{})
		got := controltest.Get(t, ch)
		if out, _, _ := h.Shown(); got.exit.Code != 7 || got.err != nil || len(out) != 100<<10 {
			t.Fatalf("got %+v and %d bytes", got, len(out))
		}
		op.Close()
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// random is n reproducible bytes in pieces of odd sizes.
func random(n int64) io.Reader {
	return io.LimitReader(rand.NewChaCha8([32]byte{1}), n)
}

func sum(n int64) string {
	h := sha256.New()
	io.Copy(h, random(n))
	return string(h.Sum(nil))
}

func TestBulkBothWays(t *testing.T) {
	const size = 50<<20 + 13
	in := sha256.New()
	r := newRig(t, sessions(false, func(_ context.Context, s *controltest.Stream) {
		done := make(chan struct{})
		go func() { io.Copy(in, s.In); close(done) }()
		io.CopyBuffer(struct{ io.Writer }{s.Out}, random(size), make([]byte, 70001))
		<-done
		s.End(control.Exit{}, nil)
	}))
	out := sha256.New()
	op, ch := r.run(&controltest.Screen{OnStdout: hashTo(out)})
	if err := feed(op, random(size)); err != nil {
		t.Fatal(err)
	}
	if got := controltest.Get(t, ch); got.err != nil {
		t.Fatal(got.err)
	}
	want := sum(size)
	if string(out.Sum(nil)) != want {
		t.Error("stdout differs")
	}
	if string(in.Sum(nil)) != want {
		t.Error("stdin differs")
	}
}

var errSeen = errors.New("seen")

func hashTo(h hash.Hash) func([]byte) error {
	return func(b []byte) error { h.Write(b); return nil }
}

// When nobody reads stdout the session is told, once, and stderr goes on.
func TestOutputClosed(t *testing.T) {
	r := newRig(t, sessions(false, func(ctx context.Context, s *controltest.Stream) {
		for range 3 {
			io.WriteString(s.Out, "line\n")
		}
		s.WaitEvent(ctx, "closeread")
		io.WriteString(s.Err, "broken pipe")
		s.End(control.Exit{Signal: "PIPE"}, nil)
		for _, e := range s.Events()[1:] {
			if e == "closeread" {
				t.Error("told twice")
			}
		}
	}))
	calls := 0
	h := controltest.Screen{OnStdout: func([]byte) error { calls++; return errSeen }}
	_, ch := r.run(&h)
	if got := controltest.Get(t, ch); got.exit.Signal != "PIPE" {
		t.Fatalf("got %+v", got)
	}
	if _, errs, _ := h.Shown(); errs != "broken pipe" {
		t.Errorf("stderr %q", errs)
	}
	if calls != 1 {
		t.Errorf("Stdout called %d times after it failed", calls)
	}
}

// A resize before the session is open is not lost, and one of several that
// came is enough.
func TestResizeBeforeOpen(t *testing.T) {
	opened := make(chan *controltest.Stream, 1)
	asked := make(chan struct{})
	b := sessions(true, nil)
	b.OnSession = func(ctx context.Context, _ *control.SessionRequest, p control.Prompter) (control.Stream, error) {
		close(asked)
		// Frames are taken in order, so the answer says that the resizes were.
		if _, err := p.Prompt(ctx, control.Prompt{Kind: control.PromptText, Text: "ready?"}); err != nil {
			return nil, err
		}
		s := controltest.NewStream(true)
		opened <- s
		return s, nil
	}
	r := newRig(t, b)
	var op *control.Op
	resized := make(chan struct{})
	h := &controltest.Screen{Person: controltest.Person{OnPrompt: func(context.Context, control.Prompt) (control.Answer, error) {
		<-resized
		return control.Answer{Text: "y"}, nil
	}}}
	op, ch := r.run(h)
	controltest.Get(t, asked)
	op.Resize(control.Window{Cols: 80, Rows: 24})
	op.Resize(control.Window{Cols: 132, Rows: 50})
	close(resized)
	s := controltest.Get(t, opened)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.WaitEvent(ctx, "resize 132x50"); err != nil {
		t.Error(err, s.Events())
	}
	op.Signal("INT")
	if err := s.WaitEvent(ctx, "signal INT"); err != nil {
		t.Error(err, s.Events())
	}
	s.End(control.Exit{}, nil)
	controltest.Get(t, ch)
}

// The plan says whether the terminal was granted.
func TestPlanTellsTheTerminal(t *testing.T) {
	for _, granted := range []bool{true, false} {
		b := sessions(granted, func(_ context.Context, s *controltest.Stream) { s.End(control.Exit{}, nil) })
		b.OnResolve = func(context.Context, *control.Invocation, control.Prompter) (*control.Plan, error) {
			return &control.Plan{Host: "h", TTY: true, Escape: '~', Quiet: true, StdinNull: true,
				Session: &control.SessionRequest{Kind: control.Shell}}, nil
		}
		var p control.Plan
		r := newRig(t, b)
		_, ch := r.run(&controltest.Screen{OnOpened: func(got *control.Plan) { p = *got }})
		controltest.Get(t, ch)
		want := control.Plan{Host: "h", TTY: granted, Escape: '~', Quiet: true, StdinNull: true}
		if !reflect.DeepEqual(p, want) {
			t.Errorf("plan %+v, want %+v", p, want)
		}
	}
}

func TestManage(t *testing.T) {
	b := &controltest.Backend{
		OnResolve: func(context.Context, *control.Invocation, control.Prompter) (*control.Plan, error) {
			return &control.Plan{Host: "h", Manage: &control.ManageRequest{Command: "check"}}, nil
		},
		OnManage: func(_ context.Context, r *control.ManageRequest) (*control.Managed, error) {
			return &control.Managed{Text: r.Command + "ed\x1b[0m", Code: 4}, nil
		},
	}
	var h controltest.Screen
	_, ch := newRig(t, b).run(&h)
	if got := controltest.Get(t, ch); got.exit.Code != 4 || got.err != nil {
		t.Errorf("got %+v", got)
	}
	if _, _, n := h.Shown(); len(n) != 1 || n[0] != "checked?[0m" {
		t.Errorf("notices %q", n)
	}
}

func TestStatusAndStop(t *testing.T) {
	status := &control.Status{PID: 1, Build: "b", Hosts: []control.HostStatus{{Name: "h", Links: []control.LinkStatus{{State: "ready", RTT: time.Second}}}}}
	b := &controltest.Backend{
		OnStatus: func(context.Context, *control.StatusRequest) (*control.Status, error) { return status, nil },
		OnStop: func(_ context.Context, r *control.StopRequest) (*control.Stopped, error) {
			return &control.Stopped{Done: r.Force, Sessions: 3}, nil
		},
	}
	r := newRig(t, b)
	c, _ := r.dial()
	st, err := control.GetStatus(c, control.StatusRequest{})
	if err != nil || st.Hosts[0].Links[0].RTT != time.Second {
		t.Errorf("got %+v, %v", st, err)
	}
	for _, force := range []bool{false, true} {
		c, _ := r.dial()
		got, err := control.Stop(c, control.StopRequest{Force: force})
		if err != nil || *got != (control.Stopped{Done: force, Sessions: 3}) {
			t.Errorf("got %+v, %v", got, err)
		}
	}
	r = newRig(t, &controltest.Backend{})
	c, _ = r.dial()
	if _, err := control.GetStatus(c, control.StatusRequest{}); phase(err) != control.NotDialled {
		t.Errorf("got %v", err)
	}
}

// Output that comes days after the end of stdin arrives.
func TestOutputLongAfterStdinEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := sessions(false, func(_ context.Context, s *controltest.Stream) {
			io.Copy(io.Discard, s.In)
			time.Sleep(72 * time.Hour)
			io.WriteString(s.Out, "done")
			s.End(control.Exit{Code: 9}, nil)
		})
		srv := &control.Server{Backend: b, Log: new(log)}
		c, s := controltest.Pipe()
		go srv.ServeConn(t.Context(), s)
		op, err := control.Run(c, &control.Invocation{})
		if err != nil {
			t.Fatal(err)
		}
		go feed(op, bytes.NewReader([]byte("x")))
		var h controltest.Screen
		x, err := op.Wait(&h)
		if out, _, _ := h.Shown(); x.Code != 9 || err != nil || out != "done" {
			t.Errorf("got %v, %v, %q", x, err, out)
		}
	})
}
