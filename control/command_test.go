package control_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"reflect"
	"testing"
	"time"

	"muxd/control"
	"muxd/control/controltest"
)

// commanding returns a backend whose resolving runs a command by the client;
// what came of it goes to got.
func commanding(c control.Command, got chan<- outcomeOfCommand) *controltest.Backend {
	return &controltest.Backend{OnResolve: func(ctx context.Context, v *control.Invocation, p control.Prompter) (*control.Plan, error) {
		r, err := p.Run(ctx, c)
		got <- outcomeOfCommand{r, err}
		return &control.Plan{Host: "h", Text: []byte("resolved\n")}, nil
	}}
}

type outcomeOfCommand struct {
	ran control.Ran
	err error
}

func TestCommand(t *testing.T) {
	want := control.Command{Kind: control.CommandOutput, Args: []string{"/bin/kh", "a b", ""}}
	for _, tt := range []struct {
		name string
		run  func(context.Context, control.Command) (control.Ran, error)
		ran  control.Ran
		err  string
	}{
		{"ends", func(_ context.Context, c control.Command) (control.Ran, error) {
			if !reflect.DeepEqual(c, want) {
				t.Errorf("the client was told to run %+v", c)
			}
			return control.Ran{Status: 3, Output: []byte("out\x00\x1b")}, nil
		}, control.Ran{Status: 3, Output: []byte("out\x00\x1b")}, ""},
		{"does not start", func(context.Context, control.Command) (control.Ran, error) {
			return control.Ran{}, errors.New("no such\x1b file")
		}, control.Ran{}, "no such? file"},
		{"a client that runs nothing", nil, control.Ran{}, control.ErrNobody.Error()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := make(chan outcomeOfCommand, 1)
			h := &controltest.Screen{Person: controltest.Person{OnRun: tt.run}}
			_, ch := newRig(t, commanding(want, got)).run(h)
			o := controltest.Get(t, got)
			if !reflect.DeepEqual(o.ran, tt.ran) || (o.err == nil) != (tt.err == "") || o.err != nil && o.err.Error() != tt.err {
				t.Errorf("%+v, want %+v %q", o, tt.ran, tt.err)
			}
			if end := controltest.Get(t, ch); end.err != nil || end.exit.Code != 0 {
				t.Errorf("ended by %+v", end)
			}
			if out, _, _ := h.Shown(); out != "resolved\n" {
				t.Errorf("printed %q", out)
			}
		})
	}
}

// A command that is not wanted any more is ended, and the next one runs.
func TestCommandTakenBack(t *testing.T) {
	got := make(chan error, 1)
	began := make(chan struct{}, 1)
	r := newRig(t, asking(got, func(ctx context.Context, p control.Prompter) error {
		first, cancel := context.WithCancel(ctx)
		go func() { <-began; cancel() }()
		if _, err := p.Run(first, control.Command{Kind: control.CommandTest, Args: []string{"sleep 1000"}}); !errors.Is(err, context.Canceled) {
			t.Errorf("a command taken back: %v", err)
		}
		ran, err := p.Run(ctx, control.Command{Kind: control.CommandLocal, Args: []string{"true"}})
		if err == nil && ran.Status != 7 {
			err = errors.New("the first command's end was taken for the second's")
		}
		return err
	}))
	_, ch := r.run(&controltest.Screen{Person: controltest.Person{OnRun: func(ctx context.Context, c control.Command) (control.Ran, error) {
		if c.Kind == control.CommandTest {
			began <- struct{}{}
			<-ctx.Done()
			return control.Ran{Status: 1}, nil
		}
		return control.Ran{Status: 7}, nil
	}}})
	if err := controltest.Get(t, got); err != nil {
		t.Error(err)
	}
	controltest.Get(t, ch)
}

// The largest output there may be arrives whole; one byte more is not taken.
func TestCommandOutputIsBounded(t *testing.T) {
	for _, n := range []int{control.MaxCommandOutput, control.MaxCommandOutput + 1} {
		got := make(chan outcomeOfCommand, 1)
		b := bytes.Repeat([]byte("k"), n)
		_, ch := newRig(t, commanding(control.Command{Kind: control.CommandOutput, Args: []string{"x"}}, got)).run(
			&controltest.Screen{Person: controltest.Person{OnRun: func(context.Context, control.Command) (control.Ran, error) { return control.Ran{Output: b}, nil }}})
		o := controltest.Get(t, got)
		if fits := n <= control.MaxCommandOutput; fits != (o.err == nil) || fits && !bytes.Equal(o.ran.Output, b) {
			t.Errorf("%d bytes: %d came, %v", n, len(o.ran.Output), o.err)
		}
		controltest.Get(t, ch)
	}
}

func TestPlanIsAText(t *testing.T) {
	text := bytes.Repeat([]byte("0123456789abcdef"), 40<<10) // more than a frame holds
	b := &controltest.Backend{OnResolve: func(context.Context, *control.Invocation, control.Prompter) (*control.Plan, error) {
		return &control.Plan{Text: text}, nil
	}}
	var h controltest.Screen
	_, ch := newRig(t, b).run(&h)
	if got := controltest.Get(t, ch); got.err != nil || got.exit.Code != 0 {
		t.Errorf("got %+v", got)
	}
	if out, _, _ := h.Shown(); out != string(text) {
		t.Errorf("%d bytes of %d", len(out), len(text))
	}
}

func TestPlanHandsOver(t *testing.T) {
	b := &controltest.Backend{OnResolve: func(context.Context, *control.Invocation, control.Prompter) (*control.Plan, error) {
		return &control.Plan{Host: "h", HandOver: []string{"-S", "/ctl", "h"}}, nil
	}}
	op, ch := newRig(t, b).run(&controltest.Screen{})
	controltest.Get(t, ch)
	if got := op.Plan().HandOver; !reflect.DeepEqual(got, []string{"-S", "/ctl", "h"}) {
		t.Errorf("hands over %q", got)
	}
}

// A stdio forward's stdout ends before its stdin does, and its client is told.
func TestDirectHalfClose(t *testing.T) {
	opened := make(chan *controltest.Stream, 1)
	b := &controltest.Backend{
		OnResolve: func(context.Context, *control.Invocation, control.Prompter) (*control.Plan, error) {
			return &control.Plan{Host: "h", Escape: control.NoEscape, Direct: &control.DirectRequest{Host: "db", Port: 5432}}, nil
		},
		OnDirect: func(_ context.Context, r *control.DirectRequest, _ control.Prompter) (control.Stream, error) {
			if r.Host != "db" || r.Port != 5432 {
				t.Errorf("request %+v", r)
			}
			s := controltest.NewStream(false)
			opened <- s
			return s, nil
		},
	}
	var h controltest.Screen
	op, ch := newRig(t, b).run(&h)
	s := controltest.Get(t, opened)
	io.WriteString(s.Out, "answer")
	s.Out.Close()
	for !h.Ended() {
		time.Sleep(time.Millisecond)
	}
	go feed(op, bytes.NewReader([]byte("late")))
	if late, err := io.ReadAll(s.In); string(late) != "late" || err != nil {
		t.Errorf("stdin after the end of stdout: %q, %v", late, err)
	}
	s.End(control.Exit{}, nil)
	if got := controltest.Get(t, ch); got.err != nil {
		t.Error(got.err)
	}
}

// A session that went to the background goes on in another process, with all
// that the first one had read.
func TestDetachAndResume(t *testing.T) {
	b := sessions(false, func(_ context.Context, s *controltest.Stream) {
		io.WriteString(s.Out, "first ")
		io.WriteString(s.Out, "and last")
		s.End(control.Exit{Code: 5}, nil)
	})
	b.OnResolve = func(context.Context, *control.Invocation, control.Prompter) (*control.Plan, error) {
		return &control.Plan{Host: "h", Background: true, Quiet: true, StdinNull: true, Session: &control.SessionRequest{Kind: control.Exec}}, nil
	}
	c, _ := newRig(t, b).dial()
	op, err := control.Run(c, &control.Invocation{})
	if err != nil {
		t.Fatal(err)
	}
	state := make(chan []byte, 1)
	stop := make(chan struct{})
	t.Cleanup(func() { close(stop) })
	go op.Wait(&controltest.Screen{OnOpened: func(*control.Plan) {
		state <- op.Detach()
		<-stop // the first process is gone
	}})
	again := control.Resume(c, bytes.NewReader(controltest.Get(t, state)))
	var h controltest.Screen
	x, err := again.WaitStream(&h)
	if out, _, _ := h.Shown(); x.Code != 5 || err != nil || out != "first and last" {
		t.Errorf("%+v, %v, %q", x, err, out)
	}
	if p := again.Plan(); p.Host != "h" || !p.Quiet || !p.Background {
		t.Errorf("plan %+v", p)
	}
}

func TestHold(t *testing.T) {
	held := make(chan *controltest.Stream, 1)
	b := &controltest.Backend{
		OnResolve: func(context.Context, *control.Invocation, control.Prompter) (*control.Plan, error) {
			return &control.Plan{Host: "h", StdinNull: true, Hold: &control.HoldRequest{}}, nil
		},
		OnHold: func(context.Context, *control.HoldRequest, control.Prompter) (control.Stream, error) {
			s := controltest.NewStream(false)
			held <- s
			return s, nil
		},
	}
	op, ch := newRig(t, b).run(&controltest.Screen{})
	s := controltest.Get(t, held)
	op.Close() // the client goes
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.WaitEvent(ctx, "close"); err != nil {
		t.Error("the hold outlives its client:", err)
	}
	controltest.Get(t, ch)
}
