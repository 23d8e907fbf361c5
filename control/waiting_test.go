package control_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"muxd/control"
	"muxd/control/controltest"
)

// waits is a Handler that keeps the states of a wait.
type waits struct {
	controltest.Screen
	got chan control.Waiting
}

func (w *waits) Waiting(s control.Waiting) { w.got <- s }

// TestWaitingAndRetry: the states come in order before the session opens, the
// wishes of a person reach who waits, and those that pile up are one.
func TestWaitingAndRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		states := []control.Waiting{
			{Attempt: 1, Dialling: true},
			{Attempt: 2, Next: 2 * time.Second, Silence: 812 * time.Second, Cause: "connection\nrefused\x1b[31m"},
		}
		more := make(chan struct{})
		b := sessions(false, func(_ context.Context, s *controltest.Stream) { s.End(control.Exit{}, nil) })
		open := b.OnSession
		b.OnSession = func(ctx context.Context, r *control.SessionRequest, p control.Prompter) (control.Stream, error) {
			for _, w := range states {
				p.Waiting(w)
				<-p.Impatient()
			}
			<-more // three wishes were made meanwhile
			for n := 0; ; n++ {
				select {
				case <-p.Impatient():
				case <-time.After(time.Minute):
					if n != 1 {
						t.Errorf("%d wishes were told, want 1", n)
					}
					return open(ctx, r, p)
				}
			}
		}
		srv := &control.Server{Log: new(log), Backend: b}
		c, sc := controltest.Pipe()
		go srv.ServeConn(t.Context(), sc)
		h := &waits{got: make(chan control.Waiting, 9)}
		op, err := control.Run(c, &control.Invocation{Args: []string{"host", "true"}})
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { _, err := op.Wait(h); done <- err }()
		for i, want := range states {
			if i == 1 {
				want.Cause = "connection refused?[31m" // one line, and nothing that acts on a terminal
			}
			if got := <-h.got; got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
			op.Retry()
		}
		for range 3 {
			op.Retry()
		}
		synctest.Wait() // the server has read them
		close(more)
		if err := <-done; err != nil {
			t.Error(err)
		}
		if len(h.got) != 0 {
			t.Errorf("told once more: %+v", <-h.got)
		}
	})
}

// TestWaitingDoesNotPileUp: a client that reads nothing for a thousand changes
// gets the ones that were written before its socket was full, and the newest.
// What is asked in between keeps its place.
func TestWaitingDoesNotPileUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const changes = 100_000 // some 3 MB, more than the pipe takes
		told := make(chan struct{})
		r := newRig(t, &controltest.Backend{OnResolve: func(_ context.Context, _ *control.Invocation, p control.Prompter) (*control.Plan, error) {
			for i := range changes {
				p.Waiting(control.Waiting{Attempt: i + 1})
				if i == changes/2 {
					synctest.Wait() // written until nothing goes any more
				}
			}
			p.Notice("after them")
			close(told)
			return nil, &control.Error{Phase: control.Refused, Text: "enough"}
		}})
		c, s := controltest.Pipe()
		r.serve(s)
		if _, err := control.Run(c, &control.Invocation{}); err != nil {
			t.Fatal(err)
		}
		<-told
		var attempts []int
		rest := ""
		for f := control.NewFrames(c); rest != "notice error"; {
			if rest == "" && attempts == nil {
				if _, err := f.Hello(); err != nil {
					t.Fatal(err)
				}
			}
			typ, b, err := f.Next()
			switch {
			case err != nil:
				t.Fatalf("%v after %d states and %q", err, len(attempts), rest)
			case typ == control.FrameWaiting:
				if rest != "" {
					t.Error("a state comes after the notice that followed it")
				}
				attempts = append(attempts, int(binary.BigEndian.Uint32(b)))
			case typ == control.FrameNotice:
				rest = "notice"
			case typ == control.FrameError:
				rest += " error"
			}
		}
		if n := len(attempts); n == 0 || n > changes/10 || attempts[n-1] != changes || !slices.IsSorted(attempts) {
			t.Errorf("%d states, the last one %v", n, attempts[max(0, n-1):])
		}
		c.Close()
	})
}

// TestNoWaitingOnceOpen: a state that is told late is not sent.
func TestNoWaitingOnceOpen(t *testing.T) {
	var p control.Prompter
	b := sessions(false, func(ctx context.Context, s *controltest.Stream) {
		s.WaitEvent(ctx, "eof") // the client has been told that it is open
		p.Waiting(control.Waiting{Attempt: 9})
		s.End(control.Exit{}, nil)
	})
	open := b.OnSession
	b.OnSession = func(ctx context.Context, r *control.SessionRequest, q control.Prompter) (control.Stream, error) {
		p = q
		return open(ctx, r, q)
	}
	r := newRig(t, b)
	h := &waits{got: make(chan control.Waiting, 9)}
	c, _ := r.dial()
	op, err := control.Run(c, &control.Invocation{})
	if err != nil {
		t.Fatal(err)
	}
	h.OnOpened = func(*control.Plan) { op.CloseStdin() }
	if o := controltest.Get(t, wait(op, h)); o.err != nil || len(h.got) != 0 {
		t.Errorf("%v, %d states", o.err, len(h.got))
	}
}

// admin is a backend that resolves the last argument and answers with what it
// was asked.
func admin(t *testing.T) *controltest.Backend {
	return &controltest.Backend{
		OnResolve: func(ctx context.Context, v *control.Invocation, p control.Prompter) (*control.Plan, error) {
			if len(v.Args) != 4 || v.Dir != "/home" || v.PID == 0 {
				t.Errorf("invocation %+v", v)
			}
			if r, err := p.Run(ctx, control.Command{Kind: control.CommandTest, Args: []string{"true"}}); err != nil || r.Status != 7 {
				t.Errorf("Match exec: %+v, %v", r, err)
			}
			p.Notice("resolving")
			if v.Args[3] == "nowhere" {
				return &control.Plan{Text: []byte("x")}, nil
			}
			// What a plan says besides is not done.
			return &control.Plan{Dest: dest(v.Args[3]), HandOver: []string{"-S", "x"}, Manage: &control.ManageRequest{Command: "exit"}}, nil
		},
		OnAdmin: func(_ context.Context, r *control.AdminRequest) (*control.Managed, error) {
			return &control.Managed{Text: fmt.Sprintf("%+v", *r), Code: 3}, nil
		},
	}
}

// dest is a destination of these tests.
type dest string

func (d dest) String() string                      { return string(d) }
func (d dest) For(string) control.Destination      { return d }
func (d dest) Same(other control.Destination) bool { return other == d }

func about(host string) *control.Invocation {
	return &control.Invocation{Args: []string{"-O", "check", "--", host}, Dir: "/home"}
}

func ranSeven(context.Context, control.Command) (control.Ran, error) {
	return control.Ran{Status: 7}, nil
}

func TestAdmin(t *testing.T) {
	r := newRig(t, admin(t))
	for _, tt := range []struct {
		r    control.AdminRequest
		v    *control.Invocation
		want []string
	}{
		{control.AdminRequest{Command: "reconnect", Forget: true}, nil, []string{"{Command:reconnect Shown: Dest:<nil> Forget:true Down:false Limit:0s}"}},
		{control.AdminRequest{Command: "exit", Shown: "0123"}, nil, []string{"{Command:exit Shown:0123 Dest:<nil> Forget:false Down:false Limit:0s}"}},
		{control.AdminRequest{Command: "wait", Down: true, Limit: 1500 * time.Millisecond}, about("box"),
			[]string{"resolving", "{Command:wait Shown: Dest:box Forget:false Down:true Limit:1.5s}"}},
	} {
		c, _ := r.dial()
		op, err := control.Admin(c, &tt.r, tt.v)
		if err != nil {
			t.Fatal(err)
		}
		h := &controltest.Screen{Person: controltest.Person{OnRun: ranSeven}}
		o := controltest.Get(t, wait(op, h))
		if _, _, notices := h.Shown(); o.err != nil || o.exit.Code != 3 || !slices.Equal(notices, tt.want) {
			t.Errorf("%+v: %+v, %q", tt.r, o, notices)
		}
		c.Close()
	}
	c, _ := r.dial()
	op, err := control.Admin(c, &control.AdminRequest{Command: "wait"}, about("nowhere"))
	if err != nil {
		t.Fatal(err)
	}
	if o := controltest.Get(t, wait(op, &controltest.Screen{Person: controltest.Person{OnRun: ranSeven}})); phase(o.err) != control.NotDialled {
		t.Errorf("no destination: %+v", o)
	}
}

// TestLongAnswer: what is longer than one notice takes comes in several, and
// nothing of it is lost.
func TestLongAnswer(t *testing.T) {
	var text string
	for i := range 2000 {
		text += fmt.Sprintf("line %d\n", i)
	}
	r := newRig(t, &controltest.Backend{OnAdmin: func(context.Context, *control.AdminRequest) (*control.Managed, error) {
		return &control.Managed{Text: text}, nil
	}})
	c, _ := r.dial()
	op, err := control.Admin(c, &control.AdminRequest{Command: "doctor"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	h := new(controltest.Screen)
	o := controltest.Get(t, wait(op, h))
	_, _, notices := h.Shown()
	got := ""
	for _, n := range notices {
		got += n
	}
	if o.err != nil || got != text {
		t.Errorf("%v; %d bytes of %d in %d notices", o.err, len(got), len(text), len(notices))
	}
}

func TestEvents(t *testing.T) {
	ended := make(chan error, 1)
	next := make(chan control.Event)
	b := admin(t)
	b.OnEvents = func(ctx context.Context, q *control.EventsRequest, f func(control.Event) error) error {
		if q.Dest == nil || q.Dest.String() != "box" || q.Since != 10*time.Minute || !q.Only {
			t.Errorf("events of %+v", q)
		}
		for {
			select {
			case e := <-next:
				if err := f(e); err != nil {
					ended <- err
					return err
				}
			case <-ctx.Done():
				ended <- ctx.Err()
				return ctx.Err()
			}
		}
	}
	r := newRig(t, b)
	c, _ := r.dial()
	got := make(chan control.Event, 9)
	op, err := control.Events(c, &control.EventsRequest{Since: 10 * time.Minute, Only: true}, about("box"), func(e control.Event) error { got <- e; return nil })
	if err != nil {
		t.Fatal(err)
	}
	done := wait(op, &controltest.Screen{Person: controltest.Person{OnRun: ranSeven}})
	at := time.Unix(1_700_000_000, 5)
	for i, e := range []control.Event{
		{Time: at, Kind: control.EventHost, Host: "box", User: "me", Addr: "a:22", From: "ready", To: "waiting", Silence: 14 * time.Second, Text: "lost\x1b"},
		{Time: at, Kind: control.EventDial, Host: "box", Attempt: 3, Link: 2},
	} {
		next <- e
		if i == 0 {
			e.Text = "lost?"
		}
		if have := controltest.Get(t, got); have != e {
			t.Errorf("got %+v, want %+v", have, e)
		}
	}
	op.Close() // the client leaves
	if err := controltest.Get(t, ended); err == nil {
		t.Error("the events ended without a reason")
	}
	if o := controltest.Get(t, done); o.err == nil {
		t.Error("a client that left ended well")
	}
}

// TestEventsEnd: by an error of who is told, and by the end of muxd.
func TestEventsEnd(t *testing.T) {
	var once sync.Once
	started := make(chan struct{})
	r := newRig(t, &controltest.Backend{OnEvents: func(ctx context.Context, _ *control.EventsRequest, f func(control.Event) error) error {
		once.Do(func() { f(control.Event{Kind: control.EventWake}) })
		started <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	}})
	enough := fmt.Errorf("enough")
	c, served := r.dial()
	op, err := control.Events(c, new(control.EventsRequest), nil, func(control.Event) error { return enough })
	if err != nil {
		t.Fatal(err)
	}
	if o := controltest.Get(t, wait(op, new(controltest.Screen))); o.err != enough {
		t.Errorf("%+v", o)
	}
	<-started
	c.Close()
	controltest.Get(t, served)

	c, _ = r.dial()
	if op, err = control.Events(c, new(control.EventsRequest), nil, func(control.Event) error { return nil }); err != nil {
		t.Fatal(err)
	}
	done := wait(op, new(controltest.Screen))
	<-started
	r.cancel()
	if o := controltest.Get(t, done); phase(o.err) == 0 {
		t.Errorf("muxd ended: %+v", o)
	}
}
