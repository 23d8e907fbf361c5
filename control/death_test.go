package control_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"muxd/control"
	"muxd/control/controltest"
)

// A client that dies, in whatever phase, takes its request along: the
// backend's context ends or the session is closed, and nothing stays behind,
// which the rig checks.
func TestClientDies(t *testing.T) {
	at := make(chan struct{}, 1)
	freed := make(chan error, 1)
	await := func(ctx context.Context) error {
		at <- struct{}{}
		<-ctx.Done()
		freed <- ctx.Err()
		return ctx.Err()
	}
	noStream := func(err error) (control.Stream, error) { return nil, err }
	tests := []struct {
		name string
		b    *controltest.Backend
	}{
		{"resolve", &controltest.Backend{OnResolve: func(ctx context.Context, _ *control.Invocation, _ control.Prompter) (*control.Plan, error) {
			return nil, await(ctx)
		}}},
		{"session", &controltest.Backend{OnResolve: resolveSession,
			OnSession: func(ctx context.Context, _ *control.SessionRequest, _ control.Prompter) (control.Stream, error) {
				return noStream(await(ctx))
			}}},
		{"prompt", &controltest.Backend{OnResolve: resolveSession,
			OnSession: func(_ context.Context, _ *control.SessionRequest, p control.Prompter) (control.Stream, error) {
				// A context of its own, as a dial that several clients share has.
				_, err := p.Prompt(context.Background(), control.Prompt{Text: "who?"})
				if err == nil || errors.Is(err, control.ErrInterrupted) || errors.Is(err, control.ErrNobody) {
					err = fmt.Errorf("wrong: %w", err)
					t.Error(err)
				}
				freed <- err
				return noStream(err)
			}}},
		{"running", sessions(false, func(ctx context.Context, s *controltest.Stream) {
			at <- struct{}{}
			freed <- s.WaitEvent(ctx, "close")
		})},
		{"output blocked", sessions(false, func(ctx context.Context, s *controltest.Stream) {
			io.CopyN(s.Out, zeros{}, 100<<10)
			at <- struct{}{}
			_, err := io.Copy(s.Out, zeros{})
			freed <- err
		})},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, tt.b)
			c, done := r.dial()
			c.Write(control.Opening(&control.Invocation{}))
			if tt.name == "prompt" {
				f := control.NewFrames(c)
				f.Hello()
				for k := byte(0); k != control.FramePrompt; k, _, _ = f.Next() {
				}
			} else {
				controltest.Get(t, at)
			}
			c.Close()
			controltest.Get(t, freed)
			controltest.Get(t, done)
		})
	}
}

// A client that is gone is not asked, though its request still waits.
func TestGoneClientIsNotAsked(t *testing.T) {
	got := make(chan error, 1)
	asked := make(chan struct{})
	closed := make(chan struct{})
	r := newRig(t, &controltest.Backend{OnResolve: func(_ context.Context, _ *control.Invocation, p control.Prompter) (*control.Plan, error) {
		close(asked)
		<-closed
		_, err := p.Prompt(context.Background(), control.Prompt{Text: "still there?"})
		got <- err
		return nil, err
	}})
	c, s := controltest.SocketPair(t)
	done := r.serve(&closing{Socket: s, closed: closed})
	c.Write(control.Opening(&control.Invocation{}))
	controltest.Get(t, asked)
	c.Close()
	if controltest.Get(t, got) == nil {
		t.Error("somebody answered")
	}
	controltest.Get(t, done)
}

// closing tells when it is first closed.
type closing struct {
	*controltest.Socket
	once   sync.Once
	closed chan struct{}
}

func (c *closing) Close() error {
	defer c.once.Do(func() { close(c.closed) })
	return c.Socket.Close()
}

// endless is a client whose bytes never end, and that a deadline and a close do
// not stop, because they were received before.
type endless struct {
	*controltest.PipeConn
	start []byte // what is read first
}

func (e *endless) Read(p []byte) (int, error) {
	if len(e.start) == 0 {
		e.start = control.Frame(control.FrameResize, control.WindowBody(control.Window{}))
	}
	n := copy(p, e.start)
	e.start = e.start[n:]
	return n, nil
}

func (e *endless) ReadFDs(p []byte, _ int) (int, []int, error) {
	n, err := e.Read(p)
	return n, nil, err
}

// The operation ends although its client's bytes do not.
func TestEndlessClient(t *testing.T) {
	r := newRig(t, sessions(false, func(_ context.Context, s *controltest.Stream) { s.End(control.Exit{}, nil) }))
	_, s := controltest.Pipe()
	controltest.Get(t, r.serve(&endless{s, control.Opening(&control.Invocation{})}))
}

// A session that opens when its client is already gone is closed.
func TestSessionOpensTooLate(t *testing.T) {
	opened := make(chan *controltest.Stream, 1)
	asked := make(chan struct{})
	r := newRig(t, &controltest.Backend{OnResolve: resolveSession,
		OnSession: func(ctx context.Context, _ *control.SessionRequest, _ control.Prompter) (control.Stream, error) {
			close(asked)
			<-ctx.Done()
			s := controltest.NewStream(false)
			opened <- s
			return s, nil
		}})
	c, done := r.dial()
	c.Write(control.Opening(&control.Invocation{}))
	controltest.Get(t, asked)
	c.Close()
	s := controltest.Get(t, opened)
	within(t, func(ctx context.Context) error { return s.WaitEvent(ctx, "close") })
	controltest.Get(t, done)
}

// A client that was stopped and never reads blocks only itself.
func TestStoppedClientBlocksOnlyItself(t *testing.T) {
	var n sync.WaitGroup
	r := newRig(t, sessions(false, func(_ context.Context, s *controltest.Stream) {
		io.CopyN(s.Out, zeros{}, 1<<20)
		s.End(control.Exit{Code: 5}, nil)
	}))
	stopped, done := r.dial()
	stopped.Write(control.Opening(&control.Invocation{}))
	for range 20 {
		_, ch := r.run(&controltest.Screen{})
		n.Add(1)
		go func() {
			defer n.Done()
			if got := <-ch; got.exit.Code != 5 || got.err != nil {
				t.Errorf("got %+v", got)
			}
		}()
	}
	n.Wait()
	select {
	case <-done:
		t.Error("the stopped one ended")
	default:
	}
	stopped.Close()
	controltest.Get(t, done)
}

// The end of muxd ends its sessions; a client learns it as a lost command.
func TestServerEnds(t *testing.T) {
	up := make(chan struct{}, 1)
	r := newRig(t, sessions(false, func(context.Context, *controltest.Stream) { up <- struct{}{} }))
	_, ch := r.run(&controltest.Screen{})
	controltest.Get(t, up)
	r.cancel()
	if got := controltest.Get(t, ch); phase(got.err) != control.Running {
		t.Errorf("got %+v", got)
	}
}

// The end of muxd is held up by a client that does not read for stopGrace and
// no longer, and not at all by one that does.
func TestServerEndsBesideClientThatDoesNotRead(t *testing.T) {
	for _, reads := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			srv := &control.Server{Log: new(log), Backend: sessions(false, func(_ context.Context, s *controltest.Stream) {
				for err := error(nil); err == nil; time.Sleep(time.Second) { // else time would stand still
					_, err = s.Out.Write(make([]byte, 100<<10))
				}
			})}
			ctx, cancel := context.WithCancel(t.Context())
			c, s := controltest.Pipe()
			ended := make(chan struct{})
			go func() { defer close(ended); srv.ServeConn(ctx, s) }()
			c.Write(control.Opening(&control.Invocation{}))
			if reads {
				go io.Copy(io.Discard, struct{ io.Reader }{c})
			}
			time.Sleep(time.Minute)
			cancel()
			start := time.Now()
			<-ended
			want := control.StopGrace
			if reads {
				want = 0
			}
			if got := time.Since(start); got != want {
				t.Errorf("reads %v: ended after %v, want %v", reads, got, want)
			}
			time.Sleep(2 * time.Second) // the script notices
		})
	}
}

// The answer to a stop is sent although the stop ends the server meanwhile.
func TestStopAnswersBeforeItEnds(t *testing.T) {
	b := &controltest.Backend{}
	r := newRig(t, b)
	b.OnStop = func(context.Context, *control.StopRequest) (*control.Stopped, error) {
		r.cancel()
		return &control.Stopped{Done: true}, nil
	}
	c, _ := r.dial()
	if s, err := control.Stop(c, control.StopRequest{}); err != nil || !s.Done {
		t.Errorf("got %+v, %v", s, err)
	}
}

// A muxd that goes away in the middle is ErrGone, whatever was seen before.
func TestServerDies(t *testing.T) {
	for _, frames := range [][]byte{
		nil,
		control.Frame(control.FrameOpened, control.NumberBody(1)),
		control.Frame(control.FrameStdout, []byte("x")),
		control.Frame(control.FrameStdout, []byte("x"))[:5],
		control.Frame(control.FrameExit, control.ExitBody(control.Exit{}))[:4],
	} {
		c, s := controltest.SocketPair(t)
		op, err := control.Run(c, &control.Invocation{})
		if err != nil {
			t.Fatal(err)
		}
		s.Write(append(control.Hello{Version: control.Version}.Bytes(), frames...))
		s.Close()
		if got := controltest.Get(t, wait(op, &controltest.Screen{})); got.err != control.ErrGone {
			t.Errorf("after %q: %+v", frames, got)
		}
	}
}
