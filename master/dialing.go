package master

import (
	"context"
	"errors"
	"slices"
	"time"

	"muxd/control"
	"muxd/internal/dest"
	"muxd/internal/login"
	"muxd/internal/sshlink"
)

// dialing is a dial under way.
type dialing struct {
	cancel  context.CancelFunc
	asker   *asker
	purpose purpose
	further bool // beside a link, or for nobody in particular: nobody is asked
	began   time.Time
	bulk    bool          // owned by run; the connection is to be kept for transfers
	again   bool          // owned by run; given up to begin anew: nobody is told
	done    chan struct{} // closed when run has seen its end
	err     error         // written before done is closed
}

// purpose is what a dial is for.
type purpose int

const (
	forWaiters purpose = iota
	forRoom            // a further connection, because the server takes no more sessions on the others
	forOwn             // a further connection, so that transfers and shells have one each
	forReturn          // nobody waits: the host is wanted, and has no connection or a silent one
	forChange          // a fresh connection in place of one that is well
)

// alone reports a dial that does not depend on anybody's waiting for it.
func (d *dialing) alone() bool {
	return d.purpose == forReturn || d.purpose == forChange || d.purpose == forOwn
}

// besides reports a dial for a connection beside those that there are, which stay.
func (p purpose) besides() bool { return p == forRoom || p == forOwn }

// dial starts the one dial that all waiters share. Whether it is beside others
// or for nobody, then only where login needs no person.
func (h *host) dial(to *dest.Destination, why purpose) *dialing {
	ctx, cancel := context.WithCancel(h.ctx)
	d := &dialing{cancel: cancel, purpose: why, further: why != forWaiters, asker: &asker{h: h}, began: time.Now(), done: make(chan struct{})}
	h.dialing = d
	h.repeats.Store(!h.asked)
	h.asked = false
	h.viaWaiting.Store(nil)
	h.backoff.Started(d.began)
	if !why.besides() {
		h.tries++
	}
	var p control.Prompter = d.asker
	agents := h.agents
	if d.further {
		p = background{}
	}
	before := h.hostKey
	go func() {
		if d.further {
			to = h.m.withAgent(ctx, to, agents)
		}
		l, err := h.m.dial(ctx, h, to, p, before, !d.further)
		cancel()
		h.post(func() { h.dialed(d, l, err) })
		if h.ctx.Err() != nil && l != nil {
			l.Fail(errStopping) // the host ended, perhaps without having seen this
		}
	}()
	return d
}

// dialed should be posted when a dial ended, with a link or an error.
func (h *host) dialed(d *dialing, l *link, err error) {
	if h.dialing == d {
		h.dialing = nil
	}
	now := time.Now()
	d.err = err
	defer close(d.done)
	if err != nil {
		h.dialFailed(d, err, now)
		return
	}
	h.mu.Lock()
	h.logins++
	if !h.lastByte.IsZero() && !d.purpose.besides() { // what comes beside others brings nothing back
		h.returns++
	}
	h.mu.Unlock()
	h.backoff.Up(now)
	h.places.denied = nil
	h.learnIdleLife(d, l)
	h.over()
	if old := h.current; old != nil && !d.purpose.besides() {
		old.Replaced() // it answered again while this one was dialled, or is to be replaced
		h.current = nil
	}
	if d.purpose == forChange {
		h.retire((*link).Replaced)
	}
	h.links[l], h.newest = struct{}{}, l
	h.hostKey = l.HostKey
	if !d.asker.asked.Load() {
		h.loginTook = now.Sub(d.began)
	}
	l.used = now
	if l.bulk.Store(d.bulk); h.current == nil {
		h.setCurrent(l)
	}
	if h.used.IsZero() && !h.dismissed {
		h.used = now
	}
	if !l.Usable() {
		h.changed(l) // it died on the way here
	}
}

// dialFailed notes what a dial's failure means for the next one, and tells
// those who waited for it what only a person can mend.
func (h *host) dialFailed(d *dialing, err error, now time.Time) {
	h.log.Info("dial failed", "err", err)
	if isCanceled(err) || d.again {
		h.canceled(d)
		return
	}
	h.mu.Lock()
	h.lastErr = err
	h.failed++
	h.mu.Unlock()
	if d.purpose.besides() {
		h.furtherFailed(err, now)
		return
	}
	// What was not there at once was not forgotten by the path: it was away.
	h.failedAt, h.silenced = now, silenced{}
	kind := classify(err)
	h.backoff.Failed(now, kind == faultBusy && h.meantIt(err))
	e := h.event(control.EventDial)
	e.Attempt, e.Text = h.tries, withoutHost(err)
	h.m.events.tell(e, h.key)
	if l := h.current; l != nil && l.Usable() {
		// The old link answered again. Whoever came between its doubt and its
		// answer is served by it.
		return
	}
	if w := d.asker.silent; w != nil && slices.Contains(h.waiters, w) && len(h.waiters) > 1 {
		// Those behind one who was asked and went to lunch are asked next.
		h.waiters = slices.DeleteFunc(h.waiters, func(x *waiter) bool { return x == w })
		w.answer <- answer{err: err}
		return
	}
	h.outageOf(err)
	switch {
	case kind == faultPerson:
		h.block(err, d.further)
		if !d.further {
			h.refuseAll(err)
			return
		}
		h.refuseBackground(err)
	case kind == faultNoName && h.neverUp():
		h.refuseAll(err) // a name that never was
	default:
		h.refuseImpatient(err)
	}
}

// meantIt reports a server that sends us away for sure. One that closes without
// a word may just be going down: that counts when it happens again.
func (h *host) meantIt(err error) bool {
	var busy *login.Busy
	silent := errors.As(err, &busy) && busy.Silent
	if !silent {
		h.mute = 0
		return true
	}
	h.mute++
	return h.mute > 1
}

// canceled is a dial that was given up: because nobody waited for it any more,
// because the old link answered again, or to begin anew. Waiters who came while
// it was ending are not to blame for that, and the next dial need not wait.
func (h *host) canceled(d *dialing) {
	if d.purpose.besides() {
		return
	}
	h.backoff.Reset(time.Now(), 0, false)
}

// neverUp reports a host that no login succeeded to since muxd began.
func (h *host) neverUp() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.logins == 0
}

// changed should be posted when a link's state changed.
func (h *host) changed(l *link) {
	switch l.State() {
	case sshlink.Dead:
		if _, ours := h.links[l]; !ours {
			return
		}
		delete(h.links, l)
		h.pastIn += l.Wire.Received()
		h.pastOut += l.Wire.Sent()
		h.withdraw(l)
		h.lost(l)
		if len(h.links) == 0 {
			h.places, h.needsPerson = h.remembered(), false
		}
	case sshlink.Suspect:
		h.withdraw(l)
		h.silent(l)
	case sshlink.Ready:
		if l.Usable() {
			h.restore(l)
		}
	}
}

// withdraw takes a link out of service, and puts another that is fit in its
// place if there is one.
func (h *host) withdraw(l *link) {
	if h.current != l {
		return
	}
	h.current = nil
	for o := range h.links {
		if o != l && o.Usable() && (h.current == nil || h.current.bulk.Load()) {
			h.current = o
		}
	}
	h.setCurrent(h.current)
}

// setCurrent puts l into service for whatever comes.
func (h *host) setCurrent(l *link) {
	if h.current = l; l != nil {
		l.bulk.Store(false)
	}
}

// restore puts a link that answers again back into service, or lets it drain
// when another took its place. It may be in service still: when the answer came
// before its doubt was heard here. Then too somebody may have met the doubt.
func (h *host) restore(l *link) {
	if _, ours := h.links[l]; !ours {
		return
	}
	if h.current != nil && h.current != l {
		h.unlearn(l)
		l.Replaced()
		return
	}
	h.setCurrent(l)
	h.silenced = silenced{}
	h.over()
	h.serve()
	if h.dialing != nil && h.dialing.purpose != forChange {
		h.dialing.cancel()
	}
}

// dismiss is retire at somebody's request: until the next one nobody wants a
// connection, nor one that is being made for nobody.
func (h *host) dismiss() {
	h.retire((*link).Drain)
	h.used, h.dismissed = time.Time{}, true
	if h.dialing != nil && h.dialing.alone() {
		h.dialing.cancel()
	}
}

// retire takes the connections out of service: their sessions go on, and each
// ends with the last of them. Drain says whether they have a successor.
func (h *host) retire(drain func(*link)) {
	h.current = nil
	for l := range h.links {
		drain(l)
	}
}
