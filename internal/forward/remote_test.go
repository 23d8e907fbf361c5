package forward

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"muxd/control"
)

// TestRemoteStands is the simplest case, and that asking again only adds an
// owner.
func TestRemoteStands(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fx := newFixture(t, nil)
		a, b, srv := fx.owner(), fx.owner(), newServer("a")
		fx.Serve(srv)
		if port := fx.add(t, remote(2222, "x"), a); port != 2222 {
			t.Errorf("port %d", port)
		}
		zero := remote(0, "y")
		for range 3 {
			if port := fx.add(t, zero, a); port != 40001 {
				t.Errorf("port %d", port)
			}
		}
		named := zero
		named.Listen.Port = 40001
		if port := fx.add(t, named, b); port != 40001 || fx.Standing() != 2 {
			t.Errorf("port %d, %d forwards", port, fx.Standing())
		}
		same(t, "asked", srv.said(), []string{"0s listen localhost:2222", "0s listen localhost:0"})
		fx.Release(a)
		synctest.Wait()
		if fx.Standing() != 1 || fx.state(named).State != control.ForwardActive {
			t.Errorf("%+v", fx.Status())
		}
		if !fx.Cancel(zero) || fx.Cancel(zero) || fx.Standing() != 0 {
			t.Error("cancel by port 0")
		}
		synctest.Wait()
		same(t, "taken back", srv.said()[2:], []string{"0s unlisten localhost:2222", "0s unlisten localhost:40001"})
		same(t, "told", fx.seen(&fx.told), []string{"0s -R localhost:40001:y:80 was cancelled"})
	})
}

// TestRemoteWaits has no server at first: that is no error, and the port is told
// when there is one.
func TestRemoteWaits(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fx := newFixture(t, nil)
		o := fx.owner()
		for _, f := range []control.Forward{remote(0, "x"), remoteDynamic(0)} {
			if port, err := fx.Add(t.Context(), f, control.ForwardOptions{}, o, false); port != 0 || err != nil {
				t.Errorf("%d, %v", port, err)
			}
			if st := fx.state(f); st.State != control.ForwardWaiting {
				t.Errorf("%+v", st)
			}
		}
		time.Sleep(time.Minute)
		fx.Serve(newServer("a"))
		synctest.Wait()
		same(t, "told", fx.seen(&fx.told), []string{"1m0s Allocated port 40001 for remote forward to x:80", "1m0s Allocated port 40002 for remote dynamic forward"})
		same(t, "changes", fx.seen(&fx.changes), []string{
			"0s -R localhost:0:x:80 waiting", "0s -R localhost:0 waiting",
			"1m0s -R localhost:0:x:80 opening", "1m0s -R localhost:0 opening",
			"1m0s -R localhost:40001:x:80 active", "1m0s -R localhost:40002 active"})
	})
}

// TestRemoteAgainInOrder loses servers one after the other: everything is asked
// for in the order of Add, on the port that was chosen the first time.
func TestRemoteAgainInOrder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fx := newFixture(t, nil)
		o, a := fx.owner(), newServer("a")
		fx.Serve(a)
		for i := range 20 {
			fx.add(t, remote(i%2*(3000+i), fmt.Sprint("t", i)), o)
		}
		first := a.said()
		for round := range 3 {
			close(a.done)
			synctest.Wait()
			for _, st := range fx.Status() {
				if st.State != control.ForwardWaiting {
					t.Fatalf("without a server %s is %s", st.Forward, st.State)
				}
			}
			time.Sleep(time.Minute)
			a = newServer("b")
			fx.Serve(a)
			synctest.Wait()
			said := a.said()
			if len(said) != len(first) {
				t.Fatalf("round %d: %d calls", round, len(said))
			}
			for i, st := range fx.Status() {
				port := 3000 + i
				if i%2 == 0 {
					port = 40001 + i/2
				}
				if want := fmt.Sprintf("0s listen localhost:%d", port); said[i] != want || st.State != control.ForwardActive {
					t.Errorf("round %d: %q (%s), want %q", round, said[i], st.State, want)
				}
			}
		}
		same(t, "told", fx.seen(&fx.told), nil)
	})
}

// TestRemoteLadder is the fault F34: the server holds the port of a connection
// that it does not know to be dead, for two minutes.
func TestRemoteLadder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fx := newFixture(t, nil)
		o, a := fx.owner(), newServer("a")
		f, other := remote(2222, "x"), remote(3333, "y")
		fx.Serve(a)
		fx.add(t, f, o)
		fx.add(t, other, o)
		close(a.done)
		time.Sleep(10 * time.Second)
		b := newServer("b")
		b.taken[f.Listen] = true
		fx.Serve(b)
		time.Sleep(2 * time.Minute)
		if st := fx.state(f); st.State != control.ForwardDegraded || st.Since != fx.began.Add(10*time.Second) || st.LastErr == "" ||
			st.Next != fx.began.Add(10*time.Second+121*time.Second) {
			t.Errorf("%+v", st)
		}
		if st := fx.state(other); st.State != control.ForwardActive {
			t.Errorf("%+v", st)
		}
		b.set(func() { delete(b.taken, f.Listen) })
		time.Sleep(time.Minute)
		same(t, "asked", b.said(), []string{"0s listen localhost:2222", "0s listen localhost:3333", "1s listen localhost:2222",
			"3s listen localhost:2222", "7s listen localhost:2222", "15s listen localhost:2222", "31s listen localhost:2222",
			"1m1s listen localhost:2222", "1m31s listen localhost:2222", "2m1s listen localhost:2222"})
		if st := fx.state(f); st.State != control.ForwardActive || st.LastErr != "" || !st.Next.IsZero() {
			t.Errorf("%+v", st)
		}
		same(t, "told", fx.seen(&fx.told), []string{
			"10s -R localhost:2222:x:80: remote port forwarding failed for listen port 2222: the server refused it (in use there, or not allowed); trying again for as long as it is wanted",
			"2m11s -R localhost:2222:x:80 stands now"})
		// The ladder begins anew.
		b.set(func() { b.taken[f.Listen] = true })
		close(b.done)
		c := newServer("c")
		c.taken[f.Listen] = true
		fx.Serve(c)
		time.Sleep(4 * time.Second)
		if n := len(c.said()); n != 4 { // two at once, and after 1 and 3 s
			t.Errorf("%q", c.said())
		}
	})
}

func TestPause(t *testing.T) {
	for i, want := range []time.Duration{1, 2, 4, 8, 16, 30, 30, 30} {
		if d := pause(i, 0); d != want*time.Second {
			t.Errorf("%d: %v", i, d)
		}
		if d := pause(i, 0.999999); d < want*time.Second*3/4 || d > want*time.Second*3/4+time.Millisecond {
			t.Errorf("%d, most jitter: %v", i, d)
		}
	}
	if d := pause(1000, 0.5); d != 26250*time.Millisecond {
		t.Error(d)
	}
}

// TestRemoteReplaced has another connection serve while the old one lives: its
// listeners are taken back one by one, each before it is asked for anew.
func TestRemoteReplaced(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fx := newFixture(t, nil)
		var log []string
		o, a, b := fx.owner(), newServer("a"), newServer("b")
		fx.Serve(a)
		fx.add(t, remote(1, "x"), o)
		fx.add(t, remote(2, "y"), o)
		fx.add(t, remote(0, "z"), o)
		a.log, b.log = &log, &log
		fx.Serve(nil)
		time.Sleep(time.Minute)
		for _, st := range fx.Status() {
			if st.State != control.ForwardActive {
				t.Errorf("none serves, and %s is %s", st.Forward, st.State)
			}
		}
		fx.Serve(b)
		synctest.Wait()
		same(t, "calls", log, []string{"a unlisten localhost:1", "b listen localhost:1", "a unlisten localhost:2", "b listen localhost:2",
			"a unlisten localhost:40001", "b listen localhost:40001"})
		close(a.done) // no matter any more
		synctest.Wait()
		for _, st := range fx.Status() {
			if st.State != control.ForwardActive {
				t.Errorf("%s is %s", st.Forward, st.State)
			}
		}
		same(t, "told", fx.seen(&fx.told), nil)
	})
}

// TestRemoteReplacedBlackhole has the old connection answer nothing: all the
// forwards together wait 3 s for it.
func TestRemoteReplacedBlackhole(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fx := newFixture(t, nil)
		o, a, b := fx.owner(), newServer("a"), newServer("b")
		fx.Serve(a)
		for i := range 10 {
			fx.add(t, remote(1+i, "x"), o)
		}
		a.deaf = true
		b.began = time.Now()
		before := time.Now()
		fx.Serve(b)
		if time.Since(before) != 0 {
			t.Error("Serve waited")
		}
		time.Sleep(10 * time.Second)
		for i, said := range b.said() {
			if want := fmt.Sprintf("3s listen localhost:%d", i+1); said != want {
				t.Errorf("%q, want %q", said, want)
			}
		}
		if n := len(b.said()); n != 10 {
			t.Errorf("%d calls", n)
		}
	})
}

// TestRemoteServerDiesWhileAsked has the answer never come.
func TestRemoteServerDiesWhileAsked(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fx := newFixture(t, nil)
		o, a := fx.owner(), newServer("a")
		a.hold = make(chan struct{})
		fx.Serve(a)
		added := make(chan error)
		go func() {
			_, err := fx.Add(t.Context(), remote(1, "x"), control.ForwardOptions{}, o, false)
			added <- err
		}()
		synctest.Wait()
		if st := fx.state(remote(1, "x")); st.State != control.ForwardOpening {
			t.Errorf("%+v", st)
		}
		close(a.done)
		if err := <-added; err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if st := fx.state(remote(1, "x")); st.State != control.ForwardWaiting {
			t.Errorf("%+v", st)
		}
	})
}

// TestRemoteReplacedWhileAsked has another connection serve before the old one
// answered: what that one may have done is taken back.
func TestRemoteReplacedWhileAsked(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fx := newFixture(t, nil)
		o, a, b := fx.owner(), newServer("a"), newServer("b")
		a.hold = make(chan struct{})
		fx.Serve(a)
		added := make(chan int)
		go func() { added <- fx.add(t, remote(1, "x"), o) }()
		synctest.Wait()
		fx.Serve(b)
		if port := <-added; port != 1 {
			t.Error(port)
		}
		synctest.Wait()
		same(t, "a", a.said(), []string{"0s listen localhost:1", "0s unlisten localhost:1"})
		same(t, "b", b.said(), []string{"0s listen localhost:1"})
	})
}

// TestRemoteEndedWhileAsked cancels one whose answer is on its way.
func TestRemoteEndedWhileAsked(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fx := newFixture(t, nil)
		o, a := fx.owner(), newServer("a")
		a.hold = make(chan struct{})
		fx.Serve(a)
		added := make(chan error)
		go func() {
			_, err := fx.Add(t.Context(), remote(1, "x"), control.ForwardOptions{}, o, true)
			added <- err
		}()
		synctest.Wait()
		fx.Release(o)
		if err := <-added; !errors.Is(err, errEnded) {
			t.Error(err)
		}
		close(a.hold)
		synctest.Wait()
		same(t, "a", a.said(), []string{"0s listen localhost:1", "0s unlisten localhost:1"})
	})
}

// TestRemoteCancelledAndAgain asks for the same again at once: the server hears
// of it in order.
func TestRemoteCancelledAndAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fx := newFixture(t, nil)
		o, a := fx.owner(), newServer("a")
		fx.Serve(a)
		for range 3 {
			fx.add(t, remote(1, "x"), o)
			if !fx.Cancel(remote(1, "x")) {
				t.Error("not cancelled")
			}
		}
		synctest.Wait()
		l, u := "0s listen localhost:1", "0s unlisten localhost:1"
		same(t, "a", a.said(), []string{l, u, l, u, l, u})
	})
}

// TestRemoteRefused is what Add says and keeps.
func TestRemoteRefused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fx := newFixture(t, nil)
		o, a := fx.owner(), newServer("a")
		f := remote(2222, "x")
		a.taken[f.Listen] = true
		path := control.Forward{Kind: control.ForwardRemote, Listen: control.Endpoint{Path: "/run/x"}, Connect: control.Endpoint{Path: "/y"}}
		a.taken[path.Listen] = true
		fx.Serve(a)
		_, err := fx.Add(t.Context(), f, control.ForwardOptions{}, o, false)
		if want := "remote port forwarding failed for listen port 2222: the server refused it (in use there, or not allowed)"; err == nil || err.Error() != want || !errors.Is(err, ErrRefused) {
			t.Errorf("%v", err)
		}
		_, err = fx.Add(t.Context(), path, control.ForwardOptions{}, o, false)
		if want := "remote port forwarding failed for listen path /run/x: the server refused it (in use there, or not allowed)"; err == nil || err.Error() != want {
			t.Errorf("%v", err)
		}
		if fx.Standing() != 0 {
			t.Error("it stays")
		}
		// With keep it does, and who asks for it later has it attempted at once.
		if _, err = fx.Add(t.Context(), f, control.ForwardOptions{}, o, true); err == nil || fx.state(f).State != control.ForwardDegraded {
			t.Errorf("%v, %+v", err, fx.Status())
		}
		time.Sleep(100 * time.Millisecond)
		strict := fx.owner()
		if _, err = fx.Add(t.Context(), f, control.ForwardOptions{}, strict, false); err == nil || fx.Standing() != 1 || len(fx.state(f).Owners) != 1 {
			t.Errorf("%v, %+v", err, fx.Status())
		}
		a.set(func() { a.taken = nil })
		if _, err = fx.Add(t.Context(), f, control.ForwardOptions{}, strict, false); err != nil || len(fx.state(f).Owners) != 2 {
			t.Errorf("%v, %+v", err, fx.Status())
		}
		if n := time.Since(fx.began); n != 100*time.Millisecond {
			t.Errorf("after %v", n)
		}
		synctest.Wait()
		same(t, "told", fx.seen(&fx.told), []string{"100ms -R localhost:2222:x:80 stands now"}) // not the strict one, whom Add tells
	})
}

// TestRemoteTrouble has the connection fail a request and go on.
func TestRemoteTrouble(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fx := newFixture(t, nil)
		o, a := fx.owner(), newServer("a")
		a.other = errors.New("timeout")
		fx.Serve(a)
		if _, err := fx.Add(t.Context(), remote(1, "x"), control.ForwardOptions{}, o, true); err != nil {
			t.Error(err)
		}
		if st := fx.state(remote(1, "x")); st.State != control.ForwardWaiting || st.LastErr != "timeout" {
			t.Errorf("%+v", st)
		}
		time.Sleep(2 * time.Second)
		a.set(func() { a.other = nil })
		time.Sleep(2 * time.Second)
		same(t, "a", a.said(), []string{"0s listen localhost:1", "1s listen localhost:1", "3s listen localhost:1"})
		if st := fx.state(remote(1, "x")); st.State != control.ForwardActive {
			t.Errorf("%+v", st)
		}
	})
}

// TestRemotePaused has the server out of service and back.
func TestRemotePaused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fx := newFixture(t, nil)
		o, a := fx.owner(), newServer("a")
		taken := remote(2, "y")
		a.taken[taken.Listen] = true
		fx.Serve(a)
		fx.add(t, remote(1, "x"), o)
		fx.Add(t.Context(), taken, control.ForwardOptions{}, o, true)
		fx.Serve(nil)
		fx.add(t, remote(3, "z"), o)
		time.Sleep(time.Hour)
		if n := len(a.said()); n != 2 {
			t.Errorf("asked meanwhile: %q", a.said())
		}
		if st := fx.state(taken); st.State != control.ForwardWaiting || !st.Next.IsZero() {
			t.Errorf("%+v", st)
		}
		fx.Serve(a)
		synctest.Wait()
		same(t, "a", a.said()[2:], []string{"1h0m0s listen localhost:2", "1h0m0s listen localhost:3"})
		fx.Serve(a)
		synctest.Wait()
		if n := len(a.said()); n != 4 {
			t.Errorf("%q", a.said())
		}
	})
}

// TestAddGivesUp has the client's context end first.
func TestAddGivesUp(t *testing.T) {
	for _, keep := range []bool{true, false} {
		bubble(t, func(t *testing.T) {
			fx := newFixture(t, nil)
			a := newServer("a")
			a.hold = make(chan struct{})
			fx.Serve(a)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if _, err := fx.Add(ctx, remote(1, "x"), control.ForwardOptions{}, fx.owner(), keep); !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
			if want := map[bool]int{true: 1}[keep]; fx.Standing() != want {
				t.Errorf("keep %v: %d stand", keep, fx.Standing())
			}
		})
	}
}

// slow answers Unlisten after a second, and Listen only when told to and with a
// refusal.
type slow struct {
	*server
	refuse chan struct{}
}

func (s *slow) Listen(ctx context.Context, at control.Endpoint) (int, error) {
	if s.refuse == nil {
		return s.server.Listen(ctx, at)
	}
	<-s.refuse
	return 0, ErrRefused
}

func (s *slow) Unlisten(ctx context.Context, at control.Endpoint) error {
	time.Sleep(time.Second)
	return s.server.Unlisten(ctx, at)
}

// TestRemoteTakenBackFirst asks the next server only once the one before has
// taken back what was asked for and may stand there.
func TestRemoteTakenBackFirst(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fx := newFixture(t, nil)
		var log []string
		o, a, b := fx.owner(), newServer("a"), newServer("b")
		a.hold = make(chan struct{})
		a.log, b.log = &log, &log
		fx.Serve(&slow{server: a})
		go fx.Add(t.Context(), remote(1, "x"), control.ForwardOptions{}, o, true)
		synctest.Wait()
		fx.Serve(b)
		time.Sleep(time.Minute)
		synctest.Wait()
		same(t, "calls", log, []string{"a listen localhost:1", "a unlisten localhost:1", "b listen localhost:1"})
	})
}

// TestRemoteLateRefusal is of a server that serves no more: the next one is asked
// at once.
func TestRemoteLateRefusal(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fx := newFixture(t, nil)
		o, a, b := fx.owner(), &slow{server: newServer("a"), refuse: make(chan struct{})}, newServer("b")
		fx.Serve(a)
		go fx.Add(t.Context(), remote(1, "x"), control.ForwardOptions{}, o, true)
		synctest.Wait()
		fx.Serve(b)
		close(a.refuse)
		synctest.Wait()
		same(t, "b", b.said(), []string{"0s listen localhost:1"})
		same(t, "told", fx.seen(&fx.told), nil)
	})
}
