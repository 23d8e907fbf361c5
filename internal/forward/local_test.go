package forward

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"muxd/control"
)

// TestLocalLadder has the port in use for a while.
func TestLocalLadder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fx := newFixture(t, func(fx *fixture) { fx.taken = true })
		o, f := fx.owner(), local(8080, "x")
		if _, err := fx.Add(t.Context(), f, control.ForwardOptions{}, o, false); err == nil || fx.Standing() != 0 {
			t.Errorf("%v, %+v", err, fx.Status())
		}
		port, err := fx.Add(t.Context(), f, control.ForwardOptions{}, o, true)
		if want := "listen on localhost:8080: address already in use"; err == nil || err.Error() != want || port != 8080 {
			t.Errorf("%d, %v", port, err)
		}
		time.Sleep(40 * time.Second)
		if st := fx.state(f); st.State != control.ForwardDegraded || st.Since != fx.began || st.Next != fx.began.Add(61*time.Second) {
			t.Errorf("%+v", st)
		}
		fx.take(false)
		time.Sleep(time.Minute)
		same(t, "attempts", fx.seen(&fx.tries), []string{"0s", "0s", "1s", "3s", "7s", "15s", "31s", "1m1s"})
		same(t, "told", fx.seen(&fx.told), []string{"1m1s -L localhost:8080:x:80 stands now"})
		same(t, "changes", fx.seen(&fx.changes)[3:], []string{
			"0s -L localhost:8080:x:80 opening", "0s -L localhost:8080:x:80 degraded", "1m1s -L localhost:8080:x:80 active"})
		// It stays so, asked for again or not.
		fx.add(t, f, fx.owner())
		time.Sleep(time.Hour)
		if tries := fx.seen(&fx.tries); len(tries) != 8 {
			t.Errorf("%q", tries)
		}
	})
}

// TestLocalAskedForAgain attempts a degraded one at once.
func TestLocalAskedForAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fx := newFixture(t, func(fx *fixture) { fx.taken = true })
		fx.Add(t.Context(), local(1, "x"), control.ForwardOptions{}, fx.owner(), true)
		time.Sleep(20 * time.Second)
		fx.take(false)
		fx.add(t, local(1, "x"), fx.owner())
		if d := time.Since(fx.began); d != 20*time.Second {
			t.Error(d)
		}
	})
}

// TestOwners is the matrix of who wants what and what remains.
func TestOwners(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(fx *fixture, a, b, sticky *Owner)
		left string
	}{
		{"nothing", func(*fixture, *Owner, *Owner, *Owner) {}, "abc"},
		{"release a", func(fx *fixture, a, b, s *Owner) { fx.Release(a) }, "bc"},
		{"release b", func(fx *fixture, a, b, s *Owner) { fx.Release(b) }, "abc"},
		{"release both", func(fx *fixture, a, b, s *Owner) { fx.Release(a); fx.Release(b) }, "bc"},
		{"release sticky", func(fx *fixture, a, b, s *Owner) { fx.Release(s) }, "ab"},
		{"release nobody", func(fx *fixture, a, b, s *Owner) { fx.Release(&Owner{PID: a.PID}) }, "abc"},
		{"release all", func(fx *fixture, a, b, s *Owner) { fx.Release(a); fx.Release(b); fx.Release(s) }, ""},
		{"drop sticky", func(fx *fixture, a, b, s *Owner) { fx.DropSticky() }, "ab"},
		{"drop sticky, release both", func(fx *fixture, a, b, s *Owner) { fx.DropSticky(); fx.Release(a); fx.Release(b) }, ""},
		{"cancel b", func(fx *fixture, a, b, s *Owner) { fx.Cancel(local(2, "b")) }, "ac"},
		{"cancel another kind", func(fx *fixture, a, b, s *Owner) { fx.Cancel(remote(2, "b")) }, "abc"},
		{"cancel another target", func(fx *fixture, a, b, s *Owner) { fx.Cancel(local(2, "x")) }, "abc"},
		{"cancel another port", func(fx *fixture, a, b, s *Owner) { fx.Cancel(local(3, "b")) }, "abc"},
		{"cancel port 0", func(fx *fixture, a, b, s *Owner) { fx.Cancel(local(0, "b")) }, "abc"},
		{"cancel all", func(fx *fixture, a, b, s *Owner) { fx.CancelAll() }, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				fx := newFixture(t, nil)
				a, b, sticky := &Owner{PID: 1}, &Owner{PID: 2}, &Owner{PID: 3, Sticky: true}
				fx.add(t, local(1, "a"), a) // a: a
				fx.add(t, local(2, "b"), a) // b: a, b, sticky
				fx.add(t, local(2, "b"), b)
				fx.add(t, local(2, "b"), sticky)
				fx.add(t, local(3, "c"), sticky) // c: sticky
				if st := fx.state(local(2, "b")); len(st.Owners) != 2 || !st.Sticky {
					t.Errorf("%+v", st)
				}
				c.do(fx, a, b, sticky)
				left := ""
				for _, st := range fx.Status() {
					left += st.Connect.Host
					if len(st.Owners) == 0 && !st.Sticky {
						t.Errorf("%s has no owner", st.Forward)
					}
				}
				if left != c.left || fx.Standing() != len(c.left) {
					t.Errorf("%q is left, want %q", left, c.left)
				}
			})
		})
	}
}

// TestEndFreesListener has the port free when the call returns.
func TestEndFreesListener(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fx := newFixture(t, nil)
		o := fx.owner()
		for _, end := range []func(){func() { fx.Release(o) }, func() { fx.Cancel(local(1, "x")) }, fx.CancelAll, fx.Close} {
			fx.add(t, local(1, "x"), o)
			lis := fx.lis
			end()
			select {
			case <-lis.closed:
			default:
				t.Error("still listening")
			}
		}
		if _, err := fx.Add(t.Context(), local(1, "x"), control.ForwardOptions{}, o, true); err != errClosed {
			t.Error(err)
		}
	})
}

// TestAcceptErrors backs off and goes on; a listener that broke is made anew.
func TestAcceptErrors(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fx := newFixture(t, nil)
		o, f := fx.owner(), local(1, "x")
		fx.add(t, f, o)
		lis := fx.lis
		for range 12 { // 5, 10, 20 … 640 ms, 1, 1, 1, 1 s
			lis.errs <- syscall.EMFILE
		}
		if d := time.Since(fx.began); d != (5+10+20+40+80+160+320+640+3000)*time.Millisecond {
			t.Error(d)
		}
		synctest.Wait()
		if st := fx.state(f); st.State != control.ForwardActive || st.LastErr != "accept on localhost:1: too many open files" {
			t.Errorf("%+v", st)
		}
		c := lis.dial()
		synctest.Wait()
		if st := fx.state(f); st.Open != 1 || st.LastErr != "" {
			t.Errorf("%+v", st)
		}
		c.Close()
		lis.Close()
		synctest.Wait()
		if st := fx.state(f); st.State != control.ForwardDegraded {
			t.Errorf("%+v", st)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if st := fx.state(f); st.State != control.ForwardActive || fx.lis == lis {
			t.Errorf("%+v", st)
		}
	})
}

// TestOpenFails resets the client, and says to a SOCKS client why first.
func TestOpenFails(t *testing.T) {
	for _, c := range []struct {
		err    error
		five   string
		inText string
	}{
		{&OpenError{1, "open failed"}, "\x05\x02", "administratively prohibited: open failed"},
		{&OpenError{2, "Connection refused"}, "\x05\x05", "connect to inner:80: Connection refused"},
		{&OpenError{2, "Name or service not known"}, "\x05\x04", "not known"},
		{&OpenError{4, ""}, "\x05\x01", "connect to inner:80: resource shortage"},
		{context.DeadlineExceeded, "\x05\x01", "deadline"},
	} {
		bubble(t, func(t *testing.T) {
			fx := newFixture(t, func(fx *fixture) { fx.openErr = c.err })
			fx.add(t, local(1, "inner"), fx.owner())
			fixed := fx.lis.dial()
			if _, err := fixed.Read(make([]byte, 1)); err != syscall.ECONNRESET {
				t.Errorf("%v: %v", c.err, err)
			}
			if st := fx.state(local(1, "inner")); !strings.Contains(st.LastErr, c.inText) || st.Total != 0 {
				t.Errorf("%+v", st)
			}
			fx.add(t, dynamic(2), fx.owner())
			client := fx.lis.dial()
			client.Write([]byte("\x05\x01\x00\x05\x01\x00\x03\x05inner\x00\x50"))
			b := make([]byte, 12)
			if _, err := io.ReadFull(client, b); err != nil || string(b[2:4]) != c.five {
				t.Errorf("%v: %q, %v", c.err, b, err)
			}
			if n, err := client.Read(b); n != 0 || err != io.EOF {
				t.Errorf("%d, %v", n, err)
			}
			time.Sleep(time.Second) // a client that does not go by itself
			synctest.Wait()
			if _, err := client.Read(b); err != syscall.ECONNRESET {
				t.Error(err)
			}
			if st := fx.state(dynamic(2)); !strings.Contains(st.LastErr, c.inText) {
				t.Errorf("%+v", st)
			}
		})
	}
}

// TestSlowSocks ends a client that does not say what it wants, and no other.
func TestSlowSocks(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fx := newFixture(t, nil)
		fx.add(t, dynamic(1), fx.owner())
		slow := fx.lis.dial()
		go func() {
			for {
				if _, err := slow.Write([]byte{4}); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		}()
		time.Sleep(29*time.Second + 999*time.Millisecond)
		quick := fx.lis.dial()
		quick.Write([]byte("\x04\x01\x00\x50\x00\x00\x00\x01\x00inner\x00ahead"))
		b := make([]byte, 8)
		if _, err := io.ReadFull(quick, b); err != nil || b[1] != 90 {
			t.Fatalf("%x, %v", b, err)
		}
		ahead := make([]byte, 5)
		if _, err := io.ReadFull(fx.far[0], ahead); err != nil || string(ahead) != "ahead" {
			t.Errorf("%q, %v", ahead, err)
		}
		if slow.r.atEnd() {
			t.Error("too early")
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if !slow.r.atEnd() {
			t.Error("still there after 30 s")
		}
		if st := fx.state(dynamic(1)); st.Open != 1 || st.Total != 1 {
			t.Errorf("%+v", st)
		}
		time.Sleep(time.Second) // for the slow one to notice
	})
}

// TestOpenUnderWay is ended by the end of the forward.
func TestOpenUnderWay(t *testing.T) {
	for _, end := range []string{"cancel", "release", "close"} {
		bubble(t, func(t *testing.T) {
			fx := newFixture(t, func(fx *fixture) {
				fx.cfg.Open = func(ctx context.Context, _ control.Endpoint, _ net.Addr) (Channel, error) {
					<-ctx.Done()
					return nil, ctx.Err()
				}
			})
			o := fx.owner()
			fx.add(t, local(1, "x"), o)
			c := fx.lis.dial()
			time.Sleep(time.Hour)
			switch end {
			case "cancel":
				fx.Cancel(local(1, "x"))
			case "release":
				fx.Release(o)
			case "close":
				fx.Close()
			}
			if _, err := c.Read(make([]byte, 1)); err != syscall.ECONNRESET {
				t.Errorf("%s: %v", end, err)
			}
		})
	}
}

// TestConnectionsOutliveForward but not the Set.
func TestConnectionsOutliveForward(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fx := newFixture(t, nil)
		o := fx.owner()
		fx.add(t, local(1, "x"), o)
		c := fx.lis.dial()
		synctest.Wait()
		fx.Release(o)
		c.Write([]byte("still"))
		b := make([]byte, 5)
		if _, err := io.ReadFull(fx.far[0], b); err != nil || fx.Open() != 1 || fx.Standing() != 0 {
			t.Errorf("%q, %v, %d open", b, err, fx.Open())
		}
		fx.Close()
		if _, err := c.Read(b); err != syscall.ECONNRESET {
			t.Error(err)
		}
		synctest.Wait()
		if fx.Open() != 0 {
			t.Errorf("%d open", fx.Open())
		}
	})
}

// TestTellMayCallBack has an owner act on what it is told.
func TestTellMayCallBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fx := newFixture(t, func(fx *fixture) { fx.taken = true })
		o := &Owner{}
		o.Tell = func(string) { fx.Release(o); fx.Status(); fx.Cancel(local(1, "x")) }
		fx.Add(t.Context(), local(1, "x"), control.ForwardOptions{}, o, true)
		fx.take(false)
		time.Sleep(time.Minute)
		if fx.Standing() != 0 {
			t.Errorf("%+v", fx.Status())
		}
	})
}

// TestProbe opens what leads somewhere.
func TestProbe(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fx := newFixture(t, nil)
		o := fx.owner()
		fx.Serve(newServer("a"))
		for _, f := range []control.Forward{local(1, "x"), dynamic(2), remote(3, "y"), remoteDynamic(4)} {
			fx.add(t, f, o)
		}
		check := func(local, remote string) {
			t.Helper()
			for i, want := range []string{local, "-", remote, "-"} {
				st := fx.Probe(t.Context())[i]
				if st.Probed != (want != "-") || st.Probed && st.Probe != want {
					t.Errorf("%s: %v %q, want %q", st.Forward, st.Probed, st.Probe, want)
				}
			}
		}
		check("", "")
		for _, s := range append(fx.far, fx.targets...) {
			if !s.r.atEnd() {
				t.Error("a probe stays open")
			}
		}
		fx.openErr, fx.dialErr = &OpenError{2, "Connection refused"}, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
		check("connect to x:80: Connection refused", "connect to y:80: connection refused")
		if st := fx.Status(); st[0].Probed || st[0].Total != 0 {
			t.Errorf("%+v", st[0])
		}
	})
}

// TestProbeIsBounded by its context and by the forward.
func TestProbeIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fx := newFixture(t, func(fx *fixture) {
			fx.cfg.Open = func(ctx context.Context, _ control.Endpoint, _ net.Addr) (Channel, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			}
		})
		for i := range 40 {
			fx.add(t, local(1+i, "x"), fx.owner())
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if all := fx.Probe(ctx); len(all) != 40 || !strings.Contains(all[39].Probe, "deadline") || time.Since(fx.began) != 5*time.Second {
			t.Errorf("%d, %v", len(all), time.Since(fx.began))
		}
		time.AfterFunc(time.Second, fx.CancelAll)
		if all := fx.Probe(t.Context()); len(all) != 0 || time.Since(fx.began) != 6*time.Second {
			t.Errorf("%d, %v", len(all), time.Since(fx.began))
		}
	})
}

var errTest = errors.New("test")

// TestWaitingIsCounted while a connection waits for the server, or for what a
// remote forward leads to, and no longer.
func TestWaitingIsCounted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		through := make(chan error)
		fx := newFixture(t, func(fx *fixture) {
			open, dial := fx.cfg.Open, fx.cfg.Dial
			fx.cfg.Open = func(ctx context.Context, to control.Endpoint, from net.Addr) (Channel, error) {
				if err := <-through; err != nil {
					return nil, err
				}
				return open(ctx, to, from)
			}
			fx.cfg.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
				if err := <-through; err != nil {
					return nil, err
				}
				return dial(ctx, network, addr)
			}
		})
		srv, l, r := newServer("a"), local(1, "x"), remote(2, "y")
		fx.Serve(srv)
		for _, f := range []control.Forward{l, r} {
			fx.add(t, f, fx.owner())
			for range 3 {
				if f == l {
					fx.lis.dial()
				} else {
					in, _ := newIncoming()
					fx.Incoming(srv, f.Listen, "", in)
				}
			}
			synctest.Wait()
			for i, err := range []error{nil, errors.New("no"), nil} {
				if st := fx.state(f); st.Waiting != 3-i || st.Open+1 < i || st.Open > i {
					t.Errorf("%s: %d waiting, %d open", f, st.Waiting, st.Open)
				}
				through <- err
				synctest.Wait()
			}
			if st := fx.state(f); st.Waiting != 0 || st.Open != 2 || st.Total != 2 {
				t.Errorf("%s: %d waiting, %d open of %d", f, st.Waiting, st.Open, st.Total)
			}
		}
	})
}

// TestErrorOfAListenerStays though a connection from before comes through: it
// is what the state comes from.
func TestErrorOfAListenerStays(t *testing.T) {
	bubble(t, func(t *testing.T) {
		through := make(chan struct{})
		fx := newFixture(t, func(fx *fixture) {
			open := fx.cfg.Open
			fx.cfg.Open = func(ctx context.Context, to control.Endpoint, from net.Addr) (Channel, error) {
				<-through
				return open(ctx, to, from)
			}
		})
		f := local(1, "x")
		fx.add(t, f, fx.owner())
		fx.lis.dial()
		synctest.Wait()
		fx.take(true)
		fx.lis.Close()
		synctest.Wait()
		before := fx.state(f)
		close(through)
		synctest.Wait()
		if st := fx.state(f); st.State != control.ForwardDegraded || st.LastErr == "" || st.LastErr != before.LastErr || st.Open != 1 {
			t.Errorf("%+v", st)
		}
		fx.take(false)
		time.Sleep(time.Minute)
		if st := fx.state(f); st.State != control.ForwardActive || st.LastErr != "" {
			t.Errorf("%+v", st)
		}
	})
}
