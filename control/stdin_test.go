package control_test

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"muxd/control"
	"muxd/control/controltest"
)

// raw is a client made by hand, past its hello.
type raw struct {
	t testing.TB
	c *controltest.Socket
	f *control.Frames
}

func (r *rig) raw() *raw {
	r.t.Helper()
	c, _ := r.dial()
	c.Write(control.Opening(&control.Invocation{Args: []string{"h"}}))
	f := control.NewFrames(c)
	c.SetReadDeadline(time.Now().Add(patience))
	if _, err := f.Hello(); err != nil {
		r.t.Fatal(err)
	}
	return &raw{r.t, c, f}
}

// until skips frames up to one of type want.
func (c *raw) until(want byte) []byte {
	c.t.Helper()
	for {
		t, b, err := c.f.Next()
		if err != nil {
			c.t.Fatalf("waiting for frame %d: %v", want, err)
		}
		if t == want {
			return b
		}
	}
}

// ended reads to the end, which is not clean.
func (c *raw) ended() {
	c.t.Helper()
	for {
		t, _, err := c.f.Next()
		if err != nil {
			return
		}
		if t == control.FrameExit {
			c.t.Fatal("the operation ended well")
		}
	}
}

// A client that takes more than its credit is cut, and what muxd held of its
// stdin was never more than the credit.
func TestFloodIsCut(t *testing.T) {
	events := make(chan *controltest.Stream, 1)
	r := newRig(t, sessions(false, func(_ context.Context, s *controltest.Stream) { events <- s }))
	c := r.raw()
	c.until(control.FrameOpened)
	s := controltest.Get(t, events)
	chunk := control.Frame(control.FrameStdin, make([]byte, 64<<10))
	for range control.StdinCredit / (64 << 10) {
		if _, err := c.c.Write(chunk); err != nil {
			t.Fatal("cut within the credit:", err)
		}
	}
	// All the credit is used; the session is alive and hears a signal.
	c.c.Write(control.Frame(control.FrameSignal, append([]byte{0, 0, 0, 3}, "INT"...)))
	within(t, func(ctx context.Context) error { return s.WaitEvent(ctx, "signal INT") })
	c.c.Write(control.Frame(control.FrameStdin, []byte{1}))
	c.ended()
	within(t, func(ctx context.Context) error { return s.WaitEvent(ctx, "close") })
	if w := r.log.warnings(); len(w) != 1 || !strings.Contains(w[0], "credit") {
		t.Errorf("log %q", w)
	}
}

func within(t testing.TB, f func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := f(ctx); err != nil {
		t.Error(err)
	}
}

// A client at fault is cut also while its output is blocked, because it never
// reads: nothing else would ever free the pump.
func TestFaultIsCutWhileOutputIsBlocked(t *testing.T) {
	r := newRig(t, sessions(false, func(_ context.Context, s *controltest.Stream) { io.Copy(s.Out, zeros{}) }))
	c, done := r.dial()
	c.Write(control.Opening(&control.Invocation{}))
	c.Write(control.Frame(200, nil))
	controltest.Get(t, done)
}

// So is one that ended its direction and does not read.
func TestHalfCloseWhileOutputIsBlocked(t *testing.T) {
	r := newRig(t, sessions(false, func(_ context.Context, s *controltest.Stream) { io.Copy(s.Out, zeros{}) }))
	c, done := r.dial()
	c.Write(control.Opening(&control.Invocation{}))
	c.HalfClose()
	controltest.Get(t, done)
}

// A session that takes no stdin stops nothing else: signals, resizes, output
// and the client's death are heard.
func TestStuckStdinStopsNothingElse(t *testing.T) {
	events := make(chan *controltest.Stream, 1)
	r := newRig(t, sessions(true, func(_ context.Context, s *controltest.Stream) {
		events <- s
		io.WriteString(s.Out, "hello")
	}))
	seen := make(chan struct{}, 1)
	op, ch := r.run(&controltest.Screen{OnStdout: func([]byte) error { seen <- struct{}{}; return nil }})
	fed := make(chan error, 1)
	go func() { fed <- feed(op, bytes.NewReader(make([]byte, 8<<20))) }()
	s := controltest.Get(t, events)
	controltest.Get(t, seen)
	op.Resize(control.Window{Cols: 1, Rows: 2})
	op.Signal("TERM")
	within(t, func(ctx context.Context) error { return s.WaitEvent(ctx, "resize 1x2") })
	within(t, func(ctx context.Context) error { return s.WaitEvent(ctx, "signal TERM") })
	op.Close()
	within(t, func(ctx context.Context) error { return s.WaitEvent(ctx, "close") })
	controltest.Get(t, ch)
	if controltest.Get(t, fed) == nil {
		t.Error("8 MiB of stdin went nowhere")
	}
}

// Standard input is asked for only when the session is open, and the bytes
// under way never exceed the credit.
func TestCreditHolds(t *testing.T) {
	events := make(chan *controltest.Stream, 1)
	r := newRig(t, sessions(false, func(_ context.Context, s *controltest.Stream) { events <- s }))
	op, ch := r.run(&controltest.Screen{})
	s := controltest.Get(t, events)
	total := 0
	b := make([]byte, control.StdinRoom+100_000)
	for total < control.StdinCredit {
		n := min(op.Credit(), 100_000)
		total += n
		if err := op.Stdin(b[:control.StdinRoom+n]); err != nil {
			t.Fatal(err)
		}
	}
	if total != control.StdinCredit {
		t.Fatalf("%d bytes taken on credit", total)
	}
	more := make(chan int, 1)
	go func() { more <- op.Credit() }()
	if _, err := io.ReadFull(s.In, make([]byte, 150_000)); err != nil {
		t.Fatal(err)
	}
	if n := controltest.Get(t, more); n < 1 || n > 150_000 {
		t.Errorf("credit for %d bytes, 150000 were taken", n)
	}
	s.End(control.Exit{}, nil)
	controltest.Get(t, ch)
	if n := op.Credit(); n != 0 {
		t.Errorf("credit of %d after the end", n)
	}
}

// A command that closes its stdin gets no more of it, and the rest stays the
// client's: no credit is given for what was not taken.
func TestStdinRefused(t *testing.T) {
	spent := make(chan struct{})
	r := newRig(t, sessions(false, func(_ context.Context, s *controltest.Stream) {
		s.In.Close()
		<-spent
		s.End(control.Exit{Code: 2}, nil)
	}))
	op, ch := r.run(&controltest.Screen{})
	sent := make(chan int, 1)
	go func() {
		n := 0
		b := make([]byte, control.StdinRoom+8<<10)
		for op.Credit() > 0 && op.Stdin(b) == nil {
			if n += 8 << 10; n == control.StdinCredit {
				close(spent)
			}
		}
		sent <- n
	}()
	if got := controltest.Get(t, ch); got.exit.Code != 2 {
		t.Errorf("got %+v", got)
	}
	if n := controltest.Get(t, sent); n != control.StdinCredit {
		t.Errorf("%d bytes were taken from the client", n)
	}
}
