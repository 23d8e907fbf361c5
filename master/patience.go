package master

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"muxd/control"
	"muxd/internal/dest"
)

// background reports a waiter that no client stands behind.
func (w *waiter) background() bool {
	_, ok := w.p.(background)
	return ok
}

// loseThePatient refuses those who have waited for as long as they would, for a
// connection or, where there is one, for a place on it.
func (h *host) loseThePatient(a *agenda) {
	if len(h.waiters) == 0 {
		return
	}
	patience := h.patience
	if h.serving() {
		patience = h.waitsForPlace
	}
	h.waiters = slices.DeleteFunc(h.waiters, func(w *waiter) bool {
		err := patience(w, a)
		if err != nil {
			w.answer <- answer{err: err}
		}
		return err != nil
	})
	h.unwait()
}

// unwait gives up a dial that nobody waits for any more.
func (h *host) unwait() {
	if d := h.dialing; d != nil && len(h.waiters) == 0 && !d.alone() {
		d.cancel()
	}
}

// patience is the error of a waiter that waits no longer, nil for one that does.
func (h *host) patience(w *waiter, a *agenda) error {
	bound := w.dest.Patience
	switch {
	case w.background() && h.blocked != nil:
		return h.blocked
	case w.background() && !w.through:
		bound = 0
	case bound == dest.Forever:
		return nil
	}
	if w.repeats {
		return nil // one attempt, when it is due
	}
	if bound == 0 { // one attempt, and the second that may lie between two
		pause, _ := h.demand(a.now)
		if next := h.backoff.Next(pause); h.dialing == nil && h.why != nil && next.After(a.now.Add(time.Second)) {
			return h.why
		}
		return nil
	}
	if !w.overdue(w.dest.Asked.Add(bound), bound, a) || h.dialing != nil && h.dialing.asker.asked.Load() {
		return nil // a person who answered gets to see what comes of it
	}
	return h.tooLong(w, bound)
}

// lastLook is how long before a waiter's time is over run looks whether what it
// waits for is there.
const lastLook = time.Second

// overdue reports that the time is over, of which bound was the whole. A muxd
// that was stopped, on a machine that stood still or was too busy for it, wakes
// behind the time with all that happened since not looked at: then that is looked
// at first. Called in run.
func (w *waiter) overdue(until time.Time, bound time.Duration, a *agenda) bool {
	look := min(lastLook, bound/2)
	last := until.Add(-look)
	if !a.at(last) {
		return false
	}
	if w.looked.Before(last) {
		w.looked = a.now
	}
	return a.at(later(until, w.looked.Add(look)))
}

// tooLong says what a waiter waited for in vain.
func (h *host) tooLong(w *waiter, bound time.Duration) error {
	cause := h.waiting(time.Now()).Cause
	if h.why != nil && cause == h.cause() && !errors.Is(h.why, errSilent) {
		cause = withoutHost(h.why) // with the address
	}
	if cause == "" {
		cause = "no connection yet"
		if s := h.silence(); s > 0 {
			cause = fmt.Sprintf("no byte for %v", s.Round(time.Second))
		}
	}
	return &control.Error{Phase: control.Refused, Host: w.dest.Name, Silence: h.silence(),
		Text: fmt.Sprintf("%s (waited %v; WaitForReady sets how long)", cause, bound)}
}

// refuseImpatient refuses those who wait for one attempt only.
func (h *host) refuseImpatient(err error) {
	h.refuse(err, func(w *waiter) bool { return w.dest.Patience == 0 || w.background() && !w.through })
}

// refuseBackground refuses those behind whom there is no client, because only a
// person can mend what is the matter.
func (h *host) refuseBackground(err error) { h.refuse(err, (*waiter).background) }

// refuseBehind refuses those of them that cannot wait: a connection to a forward
// waits for what may pass as a command would.
func (h *host) refuseBehind(err error) {
	h.refuse(err, func(w *waiter) bool { return w.background() && !w.through })
}

func (h *host) refuse(err error, which func(*waiter) bool) {
	h.waiters = slices.DeleteFunc(h.waiters, func(w *waiter) bool {
		if which(w) {
			w.answer <- answer{err: err}
			return true
		}
		return false
	})
}

// told is what a waiter was last told of its wait.
type told struct {
	attempt  int
	dialling bool
	cause    string
	retry    time.Time
	any      bool
}

// tell tells those who wait how the wait stands, where that has changed. It
// never blocks: no Prompter's Waiting does.
func (h *host) tell(a *agenda) {
	if len(h.waiters) == 0 {
		return
	}
	now := h.waiting(a.now)
	t := told{now.Attempt, now.Dialling, now.Cause, h.retry, true}
	for _, w := range h.waiters {
		if w.p == nil || w.told == t {
			continue
		}
		w.told = t
		w.p.Waiting(now)
	}
}

// waiting is how the wait for a connection stands.
func (h *host) waiting(now time.Time) control.Waiting {
	if h.serving() {
		return control.Waiting{Cause: h.noPlace()}
	}
	w := control.Waiting{Attempt: h.tries, Silence: h.silence(), Cause: h.cause()}
	if !h.retry.IsZero() {
		w.Next = max(time.Millisecond, h.retry.Sub(now))
	}
	if h.dialing != nil {
		w.Dialling = true
		if via := h.viaWaiting.Load(); via != nil && *via != (control.Waiting{}) {
			w = *via
			if w.Cause != "" {
				w.Cause = "jump host " + h.dest.Via.Name + ": " + w.Cause
			}
		}
	}
	return w
}
