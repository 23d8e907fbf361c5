package forward

import (
	"context"
	"time"

	"muxd/control"
)

// noticeMost is how long a client that is gone may take to be missed. That it
// went and that another one asks are two descriptors, which are read in any
// order. Only who is about to be told that an address is in use waits for it.
const noticeMost = 250 * time.Millisecond

// samePlace compares where two forwards of one side listen, whatever address of
// the machine they name.
func samePlace(a, b control.Endpoint) bool { return a.Port == b.Port && a.Path == b.Path }

// rival is another forward that may be what has w's address, and that goes with
// its clients; mu is held.
func (s *Set) rival(w *forward) *forward {
	for _, list := range [][]*forward{s.leaving, s.list} {
		for _, x := range list {
			if x != w && x.want.Kind.Remote() == w.want.Kind.Remote() && samePlace(x.at(), w.at()) && !x.sticky() {
				return x
			}
		}
	}
	return nil
}

// sticky reports an owner who does not go; mu is held.
func (w *forward) sticky() bool {
	for _, c := range w.claims {
		if c.Sticky {
			return true
		}
	}
	return false
}

// outlasts is called where w does not stand. It reports whether the one that had
// its address went within noticeMost, and has w attempted again then. What the
// server is to give up it is told before it is asked.
func (w *forward) outlasts(ctx context.Context) bool {
	w.set.mu.Lock()
	x := w.set.rival(w)
	w.set.mu.Unlock()
	if x == nil {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, noticeMost)
	defer cancel()
	gone := x.ctx.Done()
	if !x.want.Kind.Remote() {
		gone = x.vacated
	}
	select {
	case <-gone:
	case <-ctx.Done():
		return false
	}
	w.set.mu.Lock()
	defer w.set.unlock()
	if w.state == control.ForwardDegraded {
		w.hasten()
	}
	return true
}
