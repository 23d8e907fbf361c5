package netwatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"muxd/alive"
)

// rig is a watcher in virtual time whose network and clocks the test moves.
type rig struct {
	t              *testing.T
	notices, ticks chan struct{}
	begun          time.Time
	events         <-chan Event
	stop           func()

	mu     sync.Mutex // of the rest, which the watcher's goroutine reads
	parts  []string
	err    error
	looks  int
	took   time.Duration // by a look
	asleep time.Duration // by which boot is ahead of mono
}

func newRig(t *testing.T, parts ...string) *rig {
	r := &rig{t: t, notices: make(chan struct{}, 1), ticks: make(chan struct{}, 1), parts: parts, begun: time.Now()}
	out := make(chan Event)
	w := &watcher{log: slog.New(slog.DiscardHandler), out: out, notices: r.notices, ticks: r.ticks,
		drift: alive.Drift{Tick: tick},
		look: func() (snapshot, error) {
			r.mu.Lock()
			r.looks++
			took := r.took
			r.mu.Unlock()
			time.Sleep(took)
			r.mu.Lock()
			defer r.mu.Unlock()
			return snapshot{parts: slices.Clone(r.parts)}, r.err
		},
		clocks: func() (time.Duration, time.Duration) {
			r.mu.Lock()
			defer r.mu.Unlock()
			mono := time.Since(r.begun)
			return mono, mono + r.asleep
		}}
	w.begin()
	ctx, cancel := context.WithCancel(t.Context())
	go func() { defer close(out); w.run(ctx) }()
	go paceByTicker(ctx, tick, r.ticks)
	r.events, r.stop = out, cancel
	synctest.Wait()
	return r
}

// set changes the network, with the message that the kernel sends then.
func (r *rig) set(parts ...string) {
	r.do(func() { r.parts = parts })
	post(r.notices)
	synctest.Wait()
}

// do changes what the watcher sees, without a message.
func (r *rig) do(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
}

// sleep puts the machine to sleep for d, which no timer notices.
func (r *rig) sleep(d time.Duration) { r.do(func() { r.asleep += d }) }

func (r *rig) looked() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.looks
}

// take returns what is reported within d, and after how long.
func (r *rig) take(d time.Duration) (got []string) {
	begun, end := time.Now(), time.After(d)
	for {
		select {
		case e := <-r.events:
			word := "changed"
			if e.Kind == Woke {
				word = fmt.Sprint("woke ", e.Asleep)
			}
			got = append(got, fmt.Sprint(word, " at ", time.Since(begun)))
		case <-end:
			return got
		}
	}
}

func (r *rig) want(got []string, want ...string) {
	r.t.Helper()
	if !slices.Equal(got, want) {
		r.t.Errorf("reported %q, want %q", got, want)
	}
}

func bubble(t *testing.T, name string, f func(t *testing.T, r *rig)) {
	t.Run(name, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, "a")
			f(t, r)
			r.stop()
		})
	})
}

func TestWatcher(t *testing.T) {
	bubble(t, "a change after one second", func(t *testing.T, r *rig) {
		r.set("b")
		r.want(r.take(time.Minute), "changed at 1s")
	})
	bubble(t, "no change, no report", func(t *testing.T, r *rig) {
		for range 20 {
			r.set("a")
			r.want(r.take(time.Minute))
		}
		if r.looked() != 21 {
			t.Errorf("looked %d times, want once for each notice and once before", r.looked())
		}
	})
	bubble(t, "idle, no look", func(t *testing.T, r *rig) {
		r.want(r.take(time.Hour))
		if r.looked() != 1 {
			t.Errorf("looked %d times", r.looked())
		}
	})
	bubble(t, "there and back is nothing", func(t *testing.T, r *rig) {
		r.set("b")
		time.Sleep(900 * time.Millisecond)
		r.set("a")
		r.want(r.take(time.Minute))
	})
	bubble(t, "fifty in a second are one", func(t *testing.T, r *rig) {
		for i := range 50 {
			r.set(fmt.Sprint(i))
			time.Sleep(20 * time.Millisecond)
		}
		r.want(r.take(time.Minute), "changed at 230ms") // 250 after the last, 20 ago
	})
	bubble(t, "without end, every three seconds", func(t *testing.T, r *rig) {
		go func() {
			for i := range 300 {
				r.do(func() { r.parts = []string{fmt.Sprint(i)} })
				post(r.notices)
				time.Sleep(100 * time.Millisecond)
			}
		}()
		if got := r.take(32 * time.Second); len(got) < 9 || len(got) > 11 {
			t.Errorf("%d reports in 30 s, want about 10: %q", len(got), got)
		}
	})
	bubble(t, "what changes during a look is another one's", func(t *testing.T, r *rig) {
		r.do(func() { r.took = 10 * time.Millisecond })
		go func() {
			time.Sleep(1005 * time.Millisecond)
			r.do(func() { r.parts = []string{"c"} })
			post(r.notices)
		}()
		r.set("b")
		// The look at 1 s still saw b, or saw c already: then the second finds nothing.
		if got := r.take(time.Minute); len(got) != 1 || r.looked() != 3 {
			t.Errorf("%q after %d looks, want one report and three looks", got, r.looked())
		}
	})
}

func TestWatcherMerges(t *testing.T) {
	bubble(t, "three changes, nobody there", func(t *testing.T, r *rig) {
		for _, p := range []string{"b", "c", "d"} {
			r.set(p)
			time.Sleep(time.Minute)
		}
		r.want(r.take(time.Minute), "changed at 0s")
	})
	bubble(t, "a wake before the change that came first", func(t *testing.T, r *rig) {
		r.set("b")
		time.Sleep(2 * time.Second)
		r.sleep(time.Hour)
		time.Sleep(tick)
		r.sleep(time.Minute)
		time.Sleep(tick)
		r.want(r.take(time.Minute), "woke 1h1m0s at 0s", "changed at 0s")
		r.sleep(time.Minute)
		r.want(r.take(time.Minute)[:1], "woke 1m0s at 3s") // the sum began anew
	})
}

func TestWatcherWakes(t *testing.T) {
	bubble(t, "at the next tick", func(t *testing.T, r *rig) {
		time.Sleep(time.Second)
		r.sleep(time.Hour)
		r.want(r.take(time.Minute), "woke 1h0m0s at 4s")
		if r.looked() != 2 {
			t.Errorf("looked %d times, want once more for the wake", r.looked())
		}
	})
	bubble(t, "by a message first, and before the change", func(t *testing.T, r *rig) {
		time.Sleep(time.Second)
		r.sleep(time.Hour)
		r.set("b")
		r.want(r.take(time.Minute), "woke 1h0m0s at 0s", "changed at 1s")
	})
	bubble(t, "while a look is due", func(t *testing.T, r *rig) {
		time.Sleep(time.Second)
		r.set("b")
		time.Sleep(500 * time.Millisecond)
		r.sleep(time.Hour)
		r.want(r.take(time.Minute), "woke 1h0m0s at 500ms", "changed at 500ms")
	})
	bubble(t, "with a change that sent no message", func(t *testing.T, r *rig) {
		r.do(func() { r.asleep, r.parts = time.Hour, []string{"b"} })
		r.want(r.take(time.Minute), "woke 1h0m0s at 5s", "changed at 6s")
	})
	bubble(t, "not for less than two seconds", func(t *testing.T, r *rig) {
		r.sleep(1900 * time.Millisecond)
		r.want(r.take(time.Minute))
	})
}

func TestWatcherBlind(t *testing.T) {
	bubble(t, "one report, and one when it sees again", func(t *testing.T, r *rig) {
		r.do(func() { r.err = errors.New("too many open files") })
		r.set("a")
		r.want(r.take(time.Minute), "changed at 1s")
		r.set("a")
		r.want(r.take(time.Minute))
		r.do(func() { r.err = nil })
		r.set("a")
		r.want(r.take(time.Minute), "changed at 1s")
		r.set("a")
		r.want(r.take(time.Minute))
	})
}

// broken is a source that ends, as a socket does when the kernel wants it back.
type broken struct{ closed int }

func (b *broken) Wait() (bool, error) { return false, errors.New("gone") }
func (b *broken) Close() error        { b.closed++; return nil }

func TestListenPollsWhenTheSourceEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		notices, src := make(chan struct{}, 1), &broken{}
		go listen(ctx, slog.New(slog.DiscardHandler), src, notices)
		begun := time.Now()
		for i := range 3 {
			<-notices
			if got, want := time.Since(begun), time.Duration(i+1)*pollEvery; got != want {
				t.Errorf("poll %d after %v, want %v", i, got, want)
			}
		}
		if src.closed == 0 {
			t.Error("the source was not closed")
		}
		cancel() // synctest fails if listen stays
	})
}

// scripted is a source of the given notices, that then ends.
type scripted []bool

func (s *scripted) Wait() (some bool, err error) {
	if len(*s) == 0 {
		return false, errors.New("gone")
	}
	some, *s = (*s)[0], (*s)[1:]
	return some, nil
}
func (s *scripted) Close() error { return nil }

func TestFollowPassesOnWhatMatters(t *testing.T) {
	for _, c := range []struct {
		notices scripted
		want    int
	}{{scripted{false, false}, 0}, {scripted{false, true, false}, 1}, {scripted{true, true, true}, 1}} {
		notices := make(chan struct{}, 1)
		if err := follow(t.Context(), &c.notices, notices); err == nil {
			t.Error("no error at the end of the source")
		}
		if len(notices) != c.want {
			t.Errorf("%d notices, want %d", len(notices), c.want)
		}
	}
}
