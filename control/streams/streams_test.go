package streams

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/yamux"
	"go.uber.org/goleak"

	"muxd/control"
	"muxd/control/controltest"
)

const patience = controltest.Patience

type quiet struct{}

func (quiet) Debug(string, ...any) {}
func (quiet) Info(string, ...any)  {}
func (quiet) Warn(string, ...any)  {}

// many returns a connection for many operations, and a function that ends the
// server and returns when nothing is left of it.
func many(t *testing.T, b control.Backend) (m *Session, stop func()) {
	t.Helper()
	was := goleak.IgnoreCurrent()
	c, s := controltest.SocketPair(t)
	srv := &control.Server{Backend: b, Log: quiet{}, Many: Serve}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); srv.ServeConn(ctx, s) }()
	m, err := Dial(c)
	if err != nil {
		t.Fatal(err)
	}
	ended := func() {
		t.Helper()
		select {
		case <-done:
		case <-time.After(patience):
			t.Fatal("ServeConn did not return")
		}
	}
	t.Cleanup(func() {
		m.Close()
		ended()
		cancel()
		goleak.VerifyNone(t, was)
		if n := srv.Clients(); n != 0 {
			t.Errorf("%d clients are left", n)
		}
	})
	return m, func() { cancel(); ended() }
}

// start opens a stream and runs an invocation with the argument on it.
func start(t *testing.T, m *Session, arg string) *control.Op {
	t.Helper()
	c, err := m.Open()
	if err != nil {
		t.Fatal(err)
	}
	op, err := control.RunStream(c, &control.Invocation{Args: []string{arg}})
	if err != nil {
		t.Fatal(err)
	}
	return op
}

// byArg is a backend whose sessions do what their first argument says.
func byArg(f func(ctx context.Context, arg string, s *controltest.Stream)) *controltest.Backend {
	return &controltest.Backend{
		OnResolve: func(_ context.Context, v *control.Invocation, _ control.Prompter) (*control.Plan, error) {
			return &control.Plan{Host: "h", Session: &control.SessionRequest{Kind: control.Exec, Command: v.Args[0]}}, nil
		},
		OnSession: func(ctx context.Context, r *control.SessionRequest, _ control.Prompter) (control.Stream, error) {
			s := controltest.NewStream(false)
			go f(ctx, r.Command, s)
			return s, nil
		},
	}
}

func echo(_ context.Context, arg string, s *controltest.Stream) {
	io.WriteString(s.Out, strings.Repeat(arg, 10_000))
	s.End(control.Exit{Code: uint32(len(arg))}, nil)
}

func TestFiftyOperationsOnOneConnection(t *testing.T) {
	m, _ := many(t, byArg(echo))
	var wg sync.WaitGroup
	for i := range 50 {
		arg := strings.Repeat("x", i+1)
		op := start(t, m, arg)
		wg.Add(1)
		go func() {
			defer wg.Done()
			var h controltest.Screen
			x, err := op.WaitStream(&h)
			if out, _, _ := h.Shown(); err != nil || int(x.Code) != len(arg) || len(out) != 10_000*len(arg) {
				t.Errorf("operation %d: %+v, %v, %d bytes", i, x, err, len(out))
			}
			op.Close()
		}()
	}
	wg.Wait()
}

// A stream that nobody reads, whose session has endless output, does not stop
// the others.
func TestStoppedStreamStopsOnlyItself(t *testing.T) {
	blocked := make(chan struct{})
	m, _ := many(t, byArg(func(ctx context.Context, arg string, s *controltest.Stream) {
		if arg != "endless" {
			echo(ctx, arg, s)
			return
		}
		for b := make([]byte, 32<<10); ; {
			if _, err := s.Out.Write(b); err != nil {
				close(blocked)
				return
			}
		}
	}))
	endless := start(t, m, "endless")
	for range 20 {
		op := start(t, m, "abc")
		if x, err := op.WaitStream(&controltest.Screen{}); err != nil || x.Code != 3 {
			t.Fatalf("got %+v, %v", x, err)
		}
		op.Close()
	}
	endless.Close() // and it is freed when it is given up
	select {
	case <-blocked:
	case <-time.After(patience):
		t.Error("the session was not closed")
	}
}

// The end of muxd reaches the operations as frames before the streams go.
func TestServerEnds(t *testing.T) {
	m, stop := many(t, byArg(func(context.Context, string, *controltest.Stream) {}))
	opened := make(chan struct{})
	got := make(chan error, 1)
	op := start(t, m, "sleep")
	go func() {
		_, err := op.WaitStream(&controltest.Screen{OnOpened: func(*control.Plan) { close(opened) }})
		got <- err
	}()
	<-opened
	stop()
	var e *control.Error
	if err := <-got; !errors.As(err, &e) || e.Phase != control.Running {
		t.Errorf("got %v", err)
	}
}

// When the connection dies, so do its operations, on both sides.
func TestConnectionDies(t *testing.T) {
	closed := make(chan error, 1)
	m, _ := many(t, byArg(func(_ context.Context, _ string, s *controltest.Stream) {
		closed <- s.WaitEvent(context.Background(), "close")
	}))
	opened := make(chan struct{})
	got := make(chan error, 1)
	op := start(t, m, "sleep")
	go func() {
		_, err := op.WaitStream(&controltest.Screen{OnOpened: func(*control.Plan) { close(opened) }})
		got <- err
	}()
	<-opened
	m.Close()
	if err := <-got; err != control.ErrGone {
		t.Errorf("client: %v", err)
	}
	<-closed
}

// An operation ends on the server when it has ended, whether its client closes
// its stream, does not, or goes on sending: closing a stream is half a close.
func TestStreamEndsWithoutItsClient(t *testing.T) {
	was := goleak.IgnoreCurrent()
	c, s := controltest.SocketPair(t)
	srv := &control.Server{Backend: byArg(echo), Log: quiet{}, Many: Serve}
	done := make(chan struct{})
	go func() { defer close(done); srv.ServeConn(context.Background(), s) }()
	m, err := Dial(c)
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if _, err := start(t, m, "a").WaitStream(&controltest.Screen{}); err != nil {
			t.Fatal(err)
		}
		op := start(t, m, "b")
		go func() {
			for op.Resize(control.Window{}) == nil {
			}
		}()
		if _, err := op.WaitStream(&controltest.Screen{}); err != nil {
			t.Fatal(err)
		}
	}
	for deadline := time.Now().Add(patience); srv.Clients() > 1; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d operations are left", srv.Clients()-1)
		}
	}
	m.Close()
	<-done
	goleak.VerifyNone(t, was)
}

// A stream that says something else than a request, or requests nothing, ends
// alone.
func TestStreamWithoutRequest(t *testing.T) {
	m, _ := many(t, byArg(echo))
	for said, want := range map[string]string{
		"\x00\x00\x00\x01\x02": "",
		"\x00\x00\x00\x01\x01": "a request this muxd does not know",
	} {
		c, err := m.Open()
		if err != nil {
			t.Fatal(err)
		}
		c.Write([]byte(said))
		if heard, err := io.ReadAll(c); err != nil || !strings.Contains(string(heard), want) || want == "" && len(heard) > 0 {
			t.Errorf("%q: heard %q, %v", said, heard, err)
		}
		c.Close()
	}
	op := start(t, m, "ab")
	if x, err := op.WaitStream(&controltest.Screen{}); err != nil || x.Code != 2 {
		t.Errorf("got %+v, %v", x, err)
	}
	op.Close()
}

func TestDialRefused(t *testing.T) {
	c, s := controltest.SocketPair(t)
	s.Close()
	if _, err := Dial(c); err != control.ErrNotTaken {
		t.Errorf("got %v", err)
	}
}

// Each field is held, because each default loses data or clients: what it does
// was seen, and what it does in another version of the library must be looked
// at before the version rises. A client stopped with ^Z for a minute, or a
// year, is harmless only by them.
func TestConfig(t *testing.T) {
	got := *config()
	if got.Logger != nil || got.LogOutput != io.Discard {
		t.Error("the library writes to stderr")
	}
	got.LogOutput = nil
	want := yamux.Config{
		AcceptBacklog:          64,
		EnableKeepAlive:        false,
		KeepAliveInterval:      30 * time.Second, // must be positive, is not used
		ConnectionWriteTimeout: 1 << 62,
		MaxStreamWindowSize:    256 << 10,
		StreamOpenTimeout:      0,
		StreamCloseTimeout:     0,
	}
	if got != want {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	if err := yamux.VerifyConfig(config()); err != nil {
		t.Error(err)
	}
}
