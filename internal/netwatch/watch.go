package netwatch

import (
	"context"
	"time"

	"muxd/alive"
)

// watcher turns notices and ticks into events. All of it belongs to the
// goroutine of run; the two functions are there for virtual time.
type watcher struct {
	log            Logger
	out            chan Event // unbuffered: what is not taken stays in pending, to be merged
	notices, ticks <-chan struct{}
	clocks         func() (mono, boot time.Duration)
	look           func() (snapshot, error)

	drift   alive.Drift
	bounce  debouncer
	last    snapshot // the network as last reported
	blind   bool     // the last look failed
	pending pending
}

// begin reads what later is compared with.
func (w *watcher) begin() {
	w.drift.Observe(w.clocks())
	var err error
	if w.last, err = w.look(); err != nil {
		w.blind = true
		w.log.Warn("cannot see the network", "err", err)
	}
}

func (w *watcher) run(ctx context.Context) {
	t := time.NewTimer(0)
	defer t.Stop()
	for {
		t.Stop()
		if due, ok := w.bounce.due(); ok {
			t.Reset(time.Until(due))
		}
		// A nil channel when nothing is pending: then nothing is sent.
		var out chan<- Event
		next, some := w.pending.first()
		if some {
			out = w.out
		}
		select {
		case <-ctx.Done():
			return
		case out <- next:
			w.pending.taken()
		case <-w.notices:
			w.checkClocks()
			w.bounce.notice(time.Now())
		case <-w.ticks:
			w.checkClocks()
		case <-t.C:
			w.checkClocks()
			w.compare()
		}
	}
}

// checkClocks is called at every tick, and before anything else that may be
// the consequence of a wake, so that the wake is reported no later.
func (w *watcher) checkClocks() {
	asleep := w.drift.Observe(w.clocks())
	if asleep <= 0 {
		return
	}
	w.log.Info("woke", "asleep", asleep.Round(time.Millisecond))
	w.pending.woke(asleep)
	w.bounce.notice(time.Now()) // messages may have been lost, or a poll be far
}

// compare reports a network that is not what it was when last reported.
func (w *watcher) compare() {
	begun := time.Now()
	s, err := w.look()
	w.bounce.looked(begun, time.Now())
	if err != nil {
		// Something changed, and nobody can see what: a report, but one only, for
		// a poll would make it one every time.
		if !w.blind {
			w.log.Warn("network changed, and cannot be seen", "err", err)
			w.pending.changed()
		}
		w.blind = true
		return
	}
	// After a blind spell nothing is compared with what came before it.
	if diff := w.last.diff(s); diff != "" || w.blind {
		w.log.Info("network changed", "diff", diff)
		w.pending.changed()
	}
	w.last, w.blind = s, false
}

// pending is what nobody took yet.
type pending struct {
	isWoke, isChanged bool
	asleep            time.Duration
}

func (p *pending) changed() { p.isChanged = true }

func (p *pending) woke(asleep time.Duration) {
	p.isWoke = true
	p.asleep += asleep
}

// first returns the event to hand out next: a wake explains the change.
func (p *pending) first() (Event, bool) {
	if p.isWoke {
		return Event{Kind: Woke, Asleep: p.asleep}, true
	}
	return Event{Kind: Changed}, p.isChanged
}

// taken removes what first returned.
func (p *pending) taken() {
	if p.isWoke {
		p.isWoke, p.asleep = false, 0
		return
	}
	p.isChanged = false
}
