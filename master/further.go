package master

import (
	"time"

	"muxd/alive"
)

// A connection beyond the first is dialled when the server takes no more
// sessions on those that there are, or for a transfer or a shell that would share
// one with the other kind (see bulk.go). Never where login needs a person; and it
// goes when nobody has used it for a while.

// furtherIdle is how long a connection beyond the one in service is kept when
// nobody uses it: a build that comes by every minute meets it, and a server does
// not carry until the evening what one busy minute needed. It costs one login
// to have it back.
const furtherIdle = 5 * time.Minute

// grow begins to get a place for the first in line, where there is a connection
// and it has none. Called in run.
func (h *host) grow() {
	if h.growing || !h.mayGrow() {
		return
	}
	h.growing = true
	wait := placeSoon
	if h.places.denied != nil {
		wait = max(wait, time.Until(h.backoff.Next(alive.CapWaiting)))
	}
	time.AfterFunc(wait, func() { h.post(h.growNow) })
}

// mayGrow reports that there is a connection, that a further one is to be had
// as far as is known, and that none is being made.
func (h *host) mayGrow() bool {
	if h.dialing != nil || h.needsPerson || h.ctx.Err() != nil {
		return false
	}
	fit := 0
	for l := range h.links {
		if l.Usable() {
			fit++
		}
	}
	return fit > 0 && fit < h.maxConnections()
}

// growNow should be posted placeSoon after somebody began to wait in line. What
// there was may be gone by now: then it is not another one that is missing, and
// reconnect sees to it.
func (h *host) growNow() {
	h.growing = false
	if len(h.waiters) == 0 || h.pick(h.waiters[0]) != nil || !h.mayGrow() {
		return
	}
	if h.places.denied != nil && h.backoff.Next(alive.CapWaiting).After(time.Now()) {
		h.grow()
		return
	}
	h.log.Info("no free place, dialling a further connection", "learned limit", h.places.limit, "waiting", len(h.waiters))
	h.dial(h.waiters[0].dest, forRoom)
}

func (h *host) maxConnections() int {
	if n, set := h.dest.Conf.MaxConnections(); set && n > 0 {
		return n
	}
	return maxConnections
}

// furtherFailed is a further connection that was not to be had. Those who wait
// keep their place in line; a person's login is not asked for again, anything
// else is tried again by the same ladder as a first connection.
func (h *host) furtherFailed(err error, now time.Time) {
	kind := classify(err)
	h.needsPerson = h.needsPerson || kind == faultPerson
	h.places.denied = err
	h.backoff.Failed(now, kind == faultBusy && h.meantIt(err))
}

// endIdle closes the connections beyond the one in service that nobody has used
// for a while.
func (h *host) endIdle(a *agenda) {
	if h.current == nil {
		return // one of them may be put into service
	}
	after := furtherIdle
	if persist, forever := h.dest.Persist(); !forever {
		after = min(after, persist)
	}
	for l := range h.links {
		if l == h.current || l.leases > 0 || !l.Usable() || !a.at(l.used.Add(after)) {
			continue
		}
		if l.Busy() { // by what the server opened a moment ago
			l.used = a.now
			a.at(l.used.Add(after))
			continue
		}
		l.Log.Info("a further connection is idle, closing", "after", after)
		l.Fail(errIdle)
	}
}
