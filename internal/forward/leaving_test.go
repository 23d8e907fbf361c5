package forward

import (
	"fmt"
	"net"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"muxd/control"
)

// lingering is a listener whose port is free only a while after Close began.
type lingering struct {
	*fakeListener
	taken *atomic.Bool
	most  time.Duration
}

const linger = 200 * time.Millisecond

func (l lingering) Close() error {
	err := l.fakeListener.Close()
	time.Sleep(l.most)
	l.taken.Store(false)
	return err
}

// lingers has the ports of a fixture be as real ones: one listener each, that
// takes its time to go.
func lingers(fx *fixture) { lingersFor(linger)(fx) }

func lingersFor(most time.Duration) func(*fixture) {
	return func(fx *fixture) { fx.cfg.Listen = onePort(fx, most) }
}

func onePort(fx *fixture, most time.Duration) func(control.Endpoint, control.ForwardOptions) ([]net.Listener, error) {
	ports := map[int]*atomic.Bool{}
	return func(at control.Endpoint, _ control.ForwardOptions) ([]net.Listener, error) {
		fx.mu.Lock()
		defer fx.mu.Unlock()
		if ports[at.Port] == nil {
			ports[at.Port] = new(atomic.Bool)
		}
		if !ports[at.Port].CompareAndSwap(false, true) {
			return nil, fmt.Errorf("listen on %s: %w", at, syscall.EADDRINUSE)
		}
		return []net.Listener{lingering{newFakeListener(), ports[at.Port], most}}, nil
	}
}

// TestPortOfOneThatLeaves: whoever asks for a port that another is giving up
// waits until it has, and is not told that it is in use. Nobody else waits.
func TestPortOfOneThatLeaves(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fx := newFixture(t, lingers)
		o, next := fx.owner(), fx.owner()
		fx.add(t, local(1, "x"), o)
		began := time.Now()
		go fx.Release(o)
		synctest.Wait()
		fx.add(t, local(2, "x"), next)
		if d := time.Since(began); d != 0 {
			t.Errorf("another port was had after %v", d)
		}
		if _, err := fx.Add(t.Context(), local(1, "y"), control.ForwardOptions{}, next, false); err != nil || time.Since(began) != linger {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		if len(fx.leaving) != 0 {
			t.Errorf("%d are still leaving", len(fx.leaving))
		}
		// One that does not leave is in use.
		if _, err := fx.Add(t.Context(), local(1, "z"), control.ForwardOptions{}, next, false); err == nil {
			t.Error("a port was had twice")
		}
		fx.Close()
	})
}

// TestReleaseReturnsWhenThePortIsFree, also when it is the one who accepts that
// closes the listener.
func TestReleaseReturnsWhenThePortIsFree(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fx := newFixture(t, lingers)
		o := fx.owner()
		for range 20 {
			began := time.Now()
			fx.add(t, local(1, "x"), o)
			fx.Release(o)
			if d := time.Since(began); d != linger {
				t.Fatalf("Release returned after %v, and the port is free after %v", d, linger)
			}
		}
		fx.Close()
	})
}

// TestAskerOfALeavingPortGoesToo: one that waits and is not wanted any more
// leaves no listener behind.
func TestAskerOfALeavingPortGoesToo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fx := newFixture(t, lingers)
		o, next := fx.owner(), fx.owner()
		fx.add(t, local(1, "x"), o)
		go fx.Release(o)
		synctest.Wait()
		go fx.Add(t.Context(), local(1, "y"), control.ForwardOptions{}, next, true)
		synctest.Wait()
		fx.Release(next)
		time.Sleep(2 * linger)
		fx.add(t, local(1, "z"), o)
		fx.Close()
	})
}

// TestPortOfOneThatIsNotMissedYet: a client that asks for the port of another
// which is gone may be heard first.
func TestPortOfOneThatIsNotMissedYet(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fx := newFixture(t, lingersFor(time.Millisecond))
		srv := newServer("a")
		fx.Serve(srv)
		o, next := fx.owner(), fx.owner()
		for n, f := range []control.Forward{local(1, "x"), remote(2, "x")} {
			fx.add(t, f, o)
			srv.set(func() { srv.taken[f.Listen] = true }) // what stands there does so
			time.AfterFunc(noticeMost/2, func() { srv.set(func() { srv.taken[f.Listen] = false }); fx.Release(o) })
			began, want := time.Now(), noticeMost/2
			if n == 0 {
				want += time.Millisecond // of its listener
			}
			other := f
			other.Connect.Host = "y"
			_, err := fx.Add(t.Context(), other, control.ForwardOptions{}, next, false)
			if d := time.Since(began); err != nil || d != want {
				t.Errorf("%s: after %v, want %v: %v", other, d, want, err)
			}
			fx.Release(next)
			// And of one that does not go.
			fx.add(t, f, o)
			srv.set(func() { srv.taken[f.Listen] = true })
			began = time.Now()
			_, err = fx.Add(t.Context(), other, control.ForwardOptions{}, next, false)
			if d := time.Since(began); err == nil || d != noticeMost {
				t.Errorf("%s: after %v, want %v: %v", other, d, noticeMost, err)
			}
		}
		// Whose forwards stay is not waited for.
		fx.add(t, local(3, "x"), &Owner{Sticky: true})
		began := time.Now()
		if _, err := fx.Add(t.Context(), local(3, "y"), control.ForwardOptions{}, next, false); err == nil || time.Since(began) != 0 {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		fx.Close()
	})
}
