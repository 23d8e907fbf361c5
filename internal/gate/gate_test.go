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
