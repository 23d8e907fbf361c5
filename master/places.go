package master

import (
	"context"
	"errors"
	"time"

	"golang.org/x/crypto/ssh"

	"muxd/alive"
	"muxd/control"
	"muxd/internal/dest"
)

// A server lets one connection carry so many sessions (MaxSessions, 10 by
// default) and refuses the next. The number is not announced: it is learned
// from the first refusal, and from then on nobody asks for more. Requests
// beyond it wait in line for a place; if none becomes free shortly, a further
// connection is dialled, when login needs no person.

const (
	// placeSoon is how long a request waits in line before a further connection
	// is dialled for it. Fifty short commands at once pass through ten places
	// faster than a login takes.
	placeSoon = 250 * time.Millisecond
	// placeRetry is the pause after a refusal below the learned number: sshd
	// frees a session's place a moment after it closed the channel.
	placeRetry = 20 * time.Millisecond
	// placePatience is how many such refusals in a row one request puts down to
	// that.
	placePatience = 10
	// placeProbe and placeProbeMax bound the pause after which one session more
	// than the learned number is asked for: short sessions may have hidden how
	// many the server really takes. A refusal doubles it.
	placeProbe    = time.Second
	placeProbeMax = time.Minute
	// maxConnections is how many connections a host has at most where
	// MaxConnections says nothing.
	maxConnections = 6
)

// refusesMore reports that the server refused a channel for want of a place.
// OpenSSH's sshd says "open failed" with the reason connect failed, also for
// other causes (session.c, session_open).
func refusesMore(err error) bool {
	var oe *ssh.OpenChannelError
	return errors.As(err, &oe) && (oe.Reason == ssh.ConnectionFailed || oe.Reason == ssh.ResourceShortage)
}

// pick returns a link that suits w: the one in service, else any other that is
// fit for new work and has what w needs, else nil. Called in run.
func (h *host) pick(w *waiter) *link {
	if l := h.current; l != nil && h.suits(l, w) {
		return l
	}
	for l := range h.links {
		if h.suits(l, w) {
			return l
		}
	}
	return nil
}

func (h *host) suits(l *link, w *waiter) bool {
	return h.fits(l, w) && (w.agent == "" || l.lentTo == "" || l.lentTo == w.agent)
}

// fits is suits but for the agent.
func (h *host) fits(l *link, w *waiter) bool {
	return l.usable() && (w.bare || !l.paused && h.places.room(l.placed, l.count(), time.Now()))
}

// places is what was learned of how many sessions the server takes on one
// connection. Owned by host.run.
type places struct {
	limit   int // 0 while no session was refused
	probeAt time.Time
	pause   time.Duration // from one refused probe to the next
	denied  bool          // the last further connection was not to be had
}

// room reports whether one more may be asked for, with so many places given and
// so many sessions open. A probe waits until all that were given are open, so
// that it cannot take the place of one that was promised it.
func (p *places) room(given, open int, now time.Time) bool {
	return p.limit == 0 || given < p.limit || given == p.limit && open == given && !now.Before(p.probeAt)
}

// took should be called when one session more than was known to fit is asked
// for.
func (p *places) took(used int, now time.Time) {
	if p.limit > 0 && used > p.limit {
		p.pause = min(max(2*p.pause, placeProbe), placeProbeMax)
		p.probeAt = now.Add(p.pause)
	}
}

// fitted should be called when the server took a session, with the number of
// all that are open. Where one more fitted, the next one is tried at once.
func (p *places) fitted(open int) {
	if p.limit > 0 && open > p.limit {
		p.limit, p.probeAt, p.pause = open, time.Time{}, 0
	}
}

// serve gives links to whoever waits, first come first served, and sees to
// those for whom there is none. Who needs no place passes by those who wait for
// one. Called in run.
func (h *host) serve() {
	h.serveForwards() // before who asks for forwards is given the connection that they are asked for on
	full := false     // somebody waits for a place, and so does everybody behind
	var left []*waiter
	for _, w := range h.waiters {
		if l := h.pick(w); l != nil && (w.bare || !full) {
			h.give(w, l)
			continue
		}
		if !full && h.otherAgent(w) {
			if err := h.noFurther(); err != nil {
				w.answer <- answer{err: err}
				continue
			}
		} else {
			full = full || !w.bare
		}
		left = append(left, w)
	}
	if h.waiters = left; len(left) > 0 {
		h.grow()
	}
}

// grow begins to get a place for the first in line, where there is a connection
// and it has none. Called in run.
func (h *host) grow() {
	if h.growing || !h.mayGrow() {
		return
	}
	h.growing = true
	wait := placeSoon
	if h.places.denied {
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
		if l.usable() {
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
	if h.places.denied && h.backoff.Next(alive.CapWaiting).After(time.Now()) {
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
	h.places.denied = true
	h.backoff.Failed(now, kind == faultBusy && h.meantIt(err))
}

// refused should be posted when the server had no place for a session on l. It
// reports whether one may be waited for: with no session open on the link, and
// none that just ended, the server refuses them altogether. full says that there
// was no reason to expect a place: then this refusal is none of those in a row.
func (h *host) refused(l *link, times int) (wait, full bool) {
	open := l.count()
	p := &h.places
	full = p.limit > 0 && open >= p.limit
	h.limited.Store(true)
	switch {
	case p.limit == 0, open < p.limit && times > placePatience:
		p.limit = max(1, open)
		h.log.Info("the server takes no more sessions on a connection", "learned limit", p.limit)
	case open < p.limit: // the place of one that just ended
		l.paused = true
		time.AfterFunc(placeRetry, func() { h.post(func() { l.paused = false; h.serve() }) })
	}
	return open > 0 || times <= placePatience, full
}

// openSession opens one session, waiting in line when the server has no place.
func (m *Master) openSession(ctx context.Context, d *dest.Destination, r *control.SessionRequest, x *lentDisplay, p control.Prompter, again bool) (*session, error) {
	if !again && runsLocally(d, p) {
		// Without a place on the server: it may take as long as it likes, and
		// others wait for one.
		ls, err := m.acquireBare(ctx, d, p)
		if err != nil {
			return nil, asControl(d.Name, control.Refused, err)
		}
		defer ls.release()
		if err := localCommand(ctx, d, p); err != nil {
			return nil, err
		}
	}
	var useless *lease
	for times := 0; ; times++ {
		ls, err := m.acquire(ctx, d, p, r.Agent, useless)
		if err != nil {
			return nil, asControl(d.Name, control.Refused, err)
		}
		s, err := ls.link.startSession(ctx, ls, r, x)
		if err == nil {
			return s, nil
		}
		if errors.Is(err, errSpareClosed) {
			useless = ls
			continue
		}
		wait, full := false, false
		if refusesMore(err) {
			ls.host.call(func() { wait, full = ls.host.refused(ls.link, times) })
		}
		if full {
			times = -1
		}
		if useless = ls; !wait {
			ls.release()
			return nil, openFailure(d.Name, ls.link, err)
		}
	}
}
