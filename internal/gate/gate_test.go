package gate

import (
	"sync"
	"testing"
	"time"
)

func TestGate(t *testing.T) {
	var g Gate
	now := time.Unix(1, 0)
	want := func(when string, request, within error) {
		t.Helper()
		leave, err := g.Enter()
		if err == nil {
			leave()
			leave() // does nothing
		}
		if err != request || g.Request() != request || g.Within() != within || !g.Empty() {
			t.Errorf("%s: %v, %v, %v, empty %v", when, err, g.Request(), g.Within(), g.Empty())
		}
	}
	want("at first", nil, nil)
	if g.Unlock() || !g.Lock(now) || g.Lock(now.Add(time.Hour)) || g.Locked() != now {
		t.Errorf("locked at %v", g.Locked())
	}
	want("locked", ErrLocked, ErrLocked)
	if !g.Unlock() || g.Unlock() || !g.Locked().IsZero() {
		t.Error("it is locked still")
	}
	want("unlocked", nil, nil)
	if g.Drains() || !g.Drain() || g.Drain() || !g.Drains() {
		t.Error("it drains once")
	}
	want("draining", ErrDrains, nil)
	g.Lock(now)
	want("both", ErrLocked, ErrLocked)
}

// Whoever entered before the gate shut is counted until it leaves.
func TestEntered(t *testing.T) {
	var g Gate
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			for {
				leave, err := g.Enter()
				if err != nil {
					return
				}
				if g.Empty() {
					t.Error("entered, and not counted")
				}
				leave()
			}
		})
	}
	time.Sleep(time.Millisecond)
	g.Drain()
	wg.Wait()
	if !g.Empty() {
		t.Error("all left, and some are counted")
	}
}

// A muxd that ends at once misses nobody: who came in first keeps it, and who comes
// while it is decided waits for the outcome.
func TestEndIf(t *testing.T) {
	var g Gate
	leave, _ := g.Enter()
	if g.EndIf(func() bool { t.Error("asked with somebody inside"); return true }) {
		t.Error("it ends under who has entered")
	}
	leave()
	for _, idle := range []bool{false, true} {
		entered := make(chan error)
		ends := g.EndIf(func() bool {
			go func() { _, err := g.Enter(); entered <- err }()
			select {
			case err := <-entered:
				t.Errorf("%v, before it was decided", err)
			case <-time.After(time.Millisecond):
			}
			if err := g.Leaves(); err != nil {
				t.Error(err)
			}
			return idle
		})
		err := <-entered
		if ends != idle || (err == nil) == idle || Elsewhere(err) != idle || Elsewhere(g.Leaves()) != idle {
			t.Errorf("ends %v, %v, want %v", ends, err, idle)
		}
		if idle {
			break
		}
		g = Gate{}
	}
}
