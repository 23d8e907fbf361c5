package master

import (
	"errors"
	"time"

	"muxd/control"
)

const (
	// spreadEach and spreadMax spread the attempts of many hosts over a little
	// time when all of them may try again at the same moment.
	spreadEach = 20 * time.Millisecond
	spreadMax  = 5 * time.Second
	// orphanAfter is how long a connection whose local address is gone is left
	// once another one serves in its place: an interface that flaps takes its
	// address away and gives it back.
	orphanAfter = 5 * time.Second
)

var errOrphan = errors.New("the local address of the connection is gone")

// NetworkChanged tells that the machine's addresses or routes changed: every
// connection has to prove itself, and whoever waits for a next attempt makes it
// now.
func (m *Master) NetworkChanged() {
	m.netChanged()
	m.networkName.Store(nil)
	m.cfg.Log.Info("the network changed")
	m.events.tell(control.Event{Time: time.Now(), Kind: control.EventNetwork}, "")
	m.stir((*link).Suspect)
}

// Woke tells that nothing ran for so long: the machine was suspended, or muxd
// was stopped. The time counts for nobody's patience.
func (m *Master) Woke(asleep time.Duration) {
	m.netChanged()
	m.cfg.Log.Info("nothing ran here", "for", asleep.Round(time.Millisecond))
	m.events.tell(control.Event{Time: time.Now(), Kind: control.EventWake, Silence: asleep}, "")
	m.stir((*link).Resumed)
}

// netChanged notes that a silence from before this moment may have had its cause
// here.
func (m *Master) netChanged() {
	now := time.Now()
	m.networkAt.Store(&now)
}

// stir has every link do something, and every host that waits try again.
func (m *Master) stir(each func(*link)) {
	hs := m.all()
	spread := min(spreadMax, time.Duration(len(hs))*spreadEach)
	for _, h := range hs {
		h.post(func() {
			h.backoff.Reset(time.Now(), spread, false)
			h.replaced = time.Time{}
			h.redial(hurryAfter)
			h.noteOrphans(time.Now())
			for l := range h.links {
				each(l)
			}
		})
	}
}

// noteOrphans notes which connections have lost their local address, each from
// the change that took it. Called in run.
func (h *host) noteOrphans(now time.Time) {
	h.changedAt = now
	if h.m.cfg.HasAddress == nil {
		return
	}
	was := h.orphans
	h.orphans = map[*link]time.Time{}
	for l := range h.links {
		if !l.local.IsValid() || h.m.cfg.HasAddress(l.local) {
			continue
		}
		if h.orphans[l] = now; !was[l].IsZero() {
			h.orphans[l] = was[l]
		}
	}
}

// dropOrphans closes connections whose local address does not come back, once
// another one serves, be that late. The time to come back counts from the change
// that took the address, and where the network was away, from its return, which
// may be known by the other connection before a change is: it brings one address
// after the other, and the first will do for a dial. What happens once the other
// connection is there prolongs nothing.
func (h *host) dropOrphans(a *agenda) {
	if h.current == nil {
		return
	}
	for l, gone := range h.orphans {
		back := h.changedAt
		if h.failedAt.After(gone) || back.After(h.current.Since) {
			back = h.current.Since
		}
		if l == h.current || !a.at(later(gone, back).Add(orphanAfter)) {
			continue
		}
		delete(h.orphans, l) // also where it died meanwhile
		if !h.m.cfg.HasAddress(l.local) {
			l.Fail(errOrphan)
		}
	}
}
