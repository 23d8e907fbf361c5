package control_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"muxd/control"
	"muxd/control/controltest"
	"muxd/internal/sshtest"
	"muxd/socket"
)

// directs returns a backend of stdio forwards, which are handed to f.
func directs(plan control.Plan, f func(s *controltest.Stream)) *controltest.Backend {
	return &controltest.Backend{
		OnResolve: func(context.Context, *control.Invocation, control.Prompter) (*control.Plan, error) {
			p := plan
			p.Host, p.Escape = "h", control.NoEscape
			p.Direct = &control.DirectRequest{Host: "far", Port: 1, Bytes: new(control.Meter)}
			return &p, nil
		},
		OnDirect: func(context.Context, *control.DirectRequest, control.Prompter) (control.Stream, error) {
			s := controltest.NewStream(false)
			s.Err.Close()
			go f(s)
			return s, nil
		},
	}
}

// pair returns a client's end of a pair, and the one to hand over.
func pair(t testing.TB) (ours *net.UnixConn, theirs *os.File) {
	t.Helper()
	f, theirs, err := socket.Pair()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); theirs.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return c.(*net.UnixConn), theirs
}

// runOn starts a stdio forward over a pair.
func (r *rig) runOn(h control.Handler) (*net.UnixConn, *control.Op, <-chan outcome) {
	r.t.Helper()
	c, _ := r.dial()
	ours, theirs := pair(r.t)
	op, err := control.RunOn(c, &control.Invocation{Args: []string{"-W", "far:1", "h"}}, int(theirs.Fd()))
	theirs.Close()
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { op.Close() })
	return ours, op, wait(op, h)
}

// fds counts this process's descriptors.
func fds(t testing.TB) int {
	t.Helper()
	d, err := os.ReadDir("/dev/fd")
	if err != nil {
		sshtest.Lacks(t, "/dev/fd", err)
	}
	return len(d)
}

// settled waits until there are no more descriptors than before.
func settled(t testing.TB, before int) {
	t.Helper()
	end := time.Now().Add(patience)
	for fds(t) > before {
		if time.Now().After(end) {
			t.Fatalf("%d descriptors are open, before it were %d", fds(t), before)
		}
		time.Sleep(time.Millisecond)
	}
}

// noise are bytes that repeat nowhere.
func noise(n int, seed uint64) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(seed)}).Read(b)
	return b
}

// Both directions at once, in pieces of all sizes, with either half-close first:
// every byte arrives, the ends come after the last of them, and one direction
// goes on when the other has ended.
func TestBytesOnADescriptor(t *testing.T) {
	for _, first := range []string{"client", "far side"} {
		t.Run(first, func(t *testing.T) {
			up, down := noise(3<<20+1, 1), noise(5<<20+3, 2)
			clientEnded, farEnded := make(chan struct{}), make(chan struct{})
			got := make(chan [32]byte, 1)
			r := newRig(t, directs(control.Plan{}, func(s *controltest.Stream) {
				go func() {
					h := sha256.New()
					io.Copy(h, s.In)
					close(clientEnded)
					got <- [32]byte(h.Sum(nil))
				}()
				writeInPieces(s.Out, down)
				if first == "client" {
					<-clientEnded
					s.Out.Write([]byte("last"))
				}
				s.Out.Close()
				if first != "client" {
					close(farEnded)
				}
				<-clientEnded
				s.End(control.Exit{}, nil)
			}))
			var scr controltest.Screen
			c, _, ch := r.runOn(&scr)
			go func() {
				writeInPieces(c, up)
				if first != "client" {
					<-farEnded
					c.Write([]byte("last"))
				}
				c.CloseWrite()
			}()
			wantUp, wantDown := up, down
			if first == "client" {
				wantDown = append(down[:len(down):len(down)], "last"...)
			} else {
				wantUp = append(up[:len(up):len(up)], "last"...)
			}
			b, err := io.ReadAll(c)
			if err != nil || !bytes.Equal(b, wantDown) {
				t.Errorf("%d bytes came of %d, %v", len(b), len(wantDown), err)
			}
			if h := controltest.Get(t, got); h != sha256.Sum256(wantUp) {
				t.Error("the far side got other bytes")
			}
			if o := controltest.Get(t, ch); o.err != nil || o.exit.Code != 0 {
				t.Errorf("ended with %+v", o)
			}
			if out, _, _ := scr.Shown(); out != "" || !scr.Ended() {
				t.Errorf("frames carried %q; the end of output was told: %v", out, scr.Ended())
			}
		})
	}
}

// writeInPieces writes b in pieces of many sizes.
func writeInPieces(w io.Writer, b []byte) {
	for i := 1; len(b) > 0; i = i*5%99991 + 1 {
		n := min(len(b), i)
		if _, err := w.Write(b[:n]); err != nil {
			return
		}
		b = b[n:]
	}
}

// A connection that is lost is no end of output: the socket is closed, and the
// verdict is the only thing that says what that means.
func TestLostOnADescriptor(t *testing.T) {
	lost := &control.Error{Phase: control.Running, Host: "h", Text: "cable cut"}
	r := newRig(t, directs(control.Plan{}, func(s *controltest.Stream) {
		s.Out.Write([]byte("half"))
		s.Out.CloseWithError(io.ErrUnexpectedEOF)
		s.End(control.Exit{}, lost)
	}))
	var scr controltest.Screen
	c, _, ch := r.runOn(&scr)
	if b, err := io.ReadAll(c); string(b) != "half" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	if o := controltest.Get(t, ch); phase(o.err) != control.Running || scr.Ended() {
		t.Errorf("%+v; the end of output was told: %v", o, scr.Ended())
	}
	if _, err := c.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("a write to a connection that was lost: %v", err)
	}
}

// The far side that takes nothing more has the client's writes fail, while what
// it sends goes on.
func TestFarSideTakesNoMore(t *testing.T) {
	r := newRig(t, directs(control.Plan{}, func(s *controltest.Stream) {
		io.ReadFull(s.In, make([]byte, 2))
		s.In.Close()
		s.Out.Write([]byte("still here"))
		s.WaitEvent(context.Background(), "close")
	}))
	c, _, _ := r.runOn(&controltest.Screen{})
	var err error
	for err == nil {
		_, err = c.Write([]byte("xx"))
	}
	if !errors.Is(err, syscall.EPIPE) {
		t.Error(err)
	}
	b := make([]byte, 10)
	if _, err := io.ReadFull(c, b); string(b) != "still here" {
		t.Errorf("%q, %v", b, err)
	}
	c.Close()
}

// A client whose write waits, because its socket is full of what the far side did
// not take, hears that it takes no more.
func TestFarSideTakesNoMoreOfAFullSocket(t *testing.T) {
	full := make(chan struct{})
	r := newRig(t, directs(control.Plan{}, func(s *controltest.Stream) {
		<-full
		s.In.Close()
		s.WaitEvent(context.Background(), "close")
	}))
	c, _, _ := r.runOn(&controltest.Screen{})
	defer c.Close()
	failed := make(chan error, 1)
	go func() {
		var err error
		for err == nil {
			_, err = c.Write(make([]byte, 64<<10))
		}
		failed <- err
	}()
	select {
	case err := <-failed:
		t.Fatalf("a full socket fails with %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	close(full)
	if err := controltest.Get(t, failed); !errors.Is(err, syscall.EPIPE) {
		t.Error(err)
	}
}

// What a client wrote before it left arrives, however slowly the far side takes
// it, and then the stream is closed.
func TestWhatAClientLeftArrives(t *testing.T) {
	for _, passed := range []bool{false, true} {
		want := noise(150<<10, 3) // as much as fits into the socket
		start := make(chan struct{})
		got := make(chan []byte, 1)
		closed := make(chan error, 1)
		r := newRig(t, directs(control.Plan{FdPass: passed}, func(s *controltest.Stream) {
			<-start
			var b bytes.Buffer
			for p := make([]byte, 16<<10); ; time.Sleep(time.Millisecond) {
				n, err := s.In.Read(p)
				b.Write(p[:n])
				if err != nil {
					break
				}
			}
			got <- b.Bytes()
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			closed <- s.WaitEvent(ctx, "close")
		}))
		opened := make(chan struct{})
		c, op, _ := r.runOn(&controltest.Screen{OnOpened: func(*control.Plan) { close(opened) }})
		controltest.Get(t, opened)
		if _, err := c.Write(want); err != nil {
			t.Fatal(err)
		}
		op.Close() // as the kernel does it for a process that ends: in any order
		c.Close()
		close(start)
		if b := controltest.Get(t, got); !bytes.Equal(b, want) {
			t.Errorf("passed %v: %d bytes arrived of %d", passed, len(b), len(want))
		}
		if err := controltest.Get(t, closed); err != nil {
			t.Errorf("passed %v: the stream was not closed: %v", passed, err)
		}
	}
}

// A passed connection goes on without its client and its operation. It counts,
// has the forwards of its plan until it ends, and ends with either side or with
// muxd.
func TestPassedConnectionGoesOn(t *testing.T) {
	for _, end := range []string{"client", "far side", "muxd"} {
		t.Run(end, func(t *testing.T) {
			before := fds(t)
			ended := make(chan *controltest.Stream, 1)
			b := directs(control.Plan{FdPass: true, Forward: new(control.ForwardRequest)}, func(s *controltest.Stream) {
				io.Copy(s.Out, s.In)
				ended <- s
			})
			var released atomic.Int32
			b.OnForward = func(context.Context, *control.ForwardRequest, control.Prompter) (func(), error) {
				return func() { released.Add(1) }, nil
			}
			r := newRig(t, b)
			conn, served := r.dial()
			c, theirs := pair(t)
			op, err := control.RunOn(conn, new(control.Invocation), int(theirs.Fd()))
			theirs.Close()
			if err != nil {
				t.Fatal(err)
			}
			var plan control.Plan
			if o := controltest.Get(t, wait(op, &controltest.Screen{OnOpened: func(p *control.Plan) { plan = *p }})); o.err != nil || !plan.FdPass {
				t.Fatalf("%+v, the plan is %+v", o, plan)
			}
			op.Close()
			for _, text := range []string{"one", "two"} {
				p := make([]byte, 3)
				c.Write([]byte(text))
				if _, err := io.ReadFull(c, p); err != nil || string(p) != text {
					t.Fatalf("%q, %v", p, err)
				}
			}
			if n := r.srv.Clients(); n != 1 || released.Load() != 0 {
				t.Errorf("%d clients, released %d times", n, released.Load())
			}
			switch end {
			case "client":
				c.CloseWrite()
				s := controltest.Get(t, ended)
				s.End(control.Exit{}, nil)
			case "far side":
				// Its end of sending alone is none of the connection.
				c.Close()
				controltest.Get(t, ended)
			case "muxd":
				r.cancel()
			}
			controltest.Get(t, served)
			if end != "far side" {
				if _, err := io.ReadAll(c); err != nil {
					t.Error(err)
				}
			}
			if n := r.srv.Clients(); n != 0 || released.Load() != 1 {
				t.Errorf("%d clients, released %d times", n, released.Load())
			}
			c.Close()
			settled(t, before)
		})
	}
}

// A client that is killed, wherever its request stands, leaves nothing behind.
func TestClientKilledWithADescriptor(t *testing.T) {
	steps := map[string]func(b *controltest.Backend, at func(ctx context.Context)){
		"resolving": func(b *controltest.Backend, at func(context.Context)) {
			b.OnResolve = func(ctx context.Context, _ *control.Invocation, _ control.Prompter) (*control.Plan, error) {
				at(ctx)
				return nil, ctx.Err()
			}
		},
		"forwarding": func(b *controltest.Backend, at func(context.Context)) {
			b.OnForward = func(ctx context.Context, _ *control.ForwardRequest, _ control.Prompter) (func(), error) {
				at(ctx)
				return nil, ctx.Err()
			}
		},
		"opening": func(b *controltest.Backend, at func(context.Context)) {
			b.OnDirect = func(ctx context.Context, _ *control.DirectRequest, _ control.Prompter) (control.Stream, error) {
				at(ctx)
				return nil, ctx.Err()
			}
		},
		"opened at that moment": func(b *controltest.Backend, at func(context.Context)) {
			direct := b.OnDirect
			b.OnDirect = func(ctx context.Context, r *control.DirectRequest, p control.Prompter) (control.Stream, error) {
				at(ctx)
				return direct(ctx, r, p)
			}
		},
		"open":                 nil,
		"open, output unread":  nil,
		"open, input untaken":  nil,
		"open, half of it":     nil,
		"open, the other half": nil,
	}
	for name, hook := range steps {
		for _, passed := range []bool{false, true} {
			t.Run(name+map[bool]string{true: ", passed"}[passed], func(t *testing.T) {
				before := fds(t)
				b := directs(control.Plan{FdPass: passed, Forward: new(control.ForwardRequest)}, func(s *controltest.Stream) {
					switch name {
					case "open, output unread":
						go s.Out.Write(make([]byte, 4<<20))
					case "open, the other half":
						s.Out.Close()
					}
					if name != "open, input untaken" {
						io.Copy(io.Discard, s.In)
					}
					if name == "open, the other half" {
						s.End(control.Exit{}, nil) // as every server that has seen both ends
					}
				})
				claims := atomic.Int32{}
				b.OnForward = func(context.Context, *control.ForwardRequest, control.Prompter) (func(), error) {
					claims.Add(1)
					return func() { claims.Add(-1) }, nil
				}
				reached := make(chan struct{})
				if hook != nil {
					hook(b, func(ctx context.Context) { close(reached); <-ctx.Done() })
				}
				r := newRig(t, b)
				conn, served := r.dial()
				c, theirs := pair(t)
				op, err := control.RunOn(conn, new(control.Invocation), int(theirs.Fd()))
				theirs.Close()
				if err != nil {
					t.Fatal(err)
				}
				scr := &controltest.Screen{}
				if hook == nil {
					scr.OnOpened = func(*control.Plan) { close(reached) }
				}
				go op.Wait(scr)
				controltest.Get(t, reached)
				switch name {
				case "open, input untaken":
					go c.Write(make([]byte, 4<<20))
					time.Sleep(10 * time.Millisecond)
				case "open, half of it":
					c.CloseWrite()
				}
				conn.Close()
				c.Close()
				if name == "open, input untaken" {
					r.cancel() // else it is given time to take it: TestStuckFarSide
				}
				controltest.Get(t, served)
				if n := claims.Load(); n != 0 {
					t.Errorf("%d forwards are still claimed", n)
				}
				settled(t, before)
			})
		}
	}
}
