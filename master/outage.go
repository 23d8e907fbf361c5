package master

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"muxd/alive"
	"muxd/control"
	"muxd/internal/sshlink"
)

// replaceEvery is the least pause between two connections that are dialled
// beside a silent one while nobody waits. A lossy path doubts often, and each
// of them counts against the server's MaxStartups.
const replaceEvery = 30 * time.Second

// routeEvery is how often a route that is not there is looked for again. A
// change of the network says so at once, where it is seen.
const routeEvery = 30 * time.Second

// returnAfter is how long after a loss a connection is dialled that nobody asked
// for. Whoever held the lost one asks for another within it, and may have a
// person to answer for it.
const returnAfter = 10 * time.Millisecond

// outage is why a host has no connection for new work, and when the next one is
// tried. Owned by host.run.
type outage struct {
	backoff   alive.Backoff
	why       error     // the newest cause; nil while all is well
	blocked   error     // what only a person can mend: no timer dials while it stands
	causes    causes    // what could mend it, as it was when blocked was set
	lastByte  time.Time // of the connection that is silent or was lost; zero: there was none
	lostAt    time.Time // when the last connection was lost
	replaced  time.Time // when a connection was last dialled while nobody waited
	tries     int       // dials since there was a connection
	mute      int       // attempts in a row that the server closed without a word
	retry     time.Time // when the next attempt is due; zero: none is
	dismissed bool      // closed by request: being pinned does not count

	orphans   map[*link]time.Time // whose local address is gone, and since when
	changedAt time.Time           // when the network changed last, or the machine woke
	failedAt  time.Time           // when an attempt failed last

	silenced silenced // the last connection that went silent; zero: none, or it is understood
	lesson   lesson   // that a silence taught last

	viaWaiting atomic.Pointer[control.Waiting] // how the jump host stands that the dial waits for
}

var errSilent = errors.New("no answer")

// over ends an outage. When a connection was last dialled for nobody is kept: a
// lossy path has an outage every few seconds.
func (h *host) over() {
	h.why, h.blocked, h.lastByte, h.mute, h.tries = nil, nil, time.Time{}, 0, 0
	h.mu.Lock()
	h.lastErr = nil
	h.mu.Unlock()
}

// outageOf notes the newest cause.
func (h *host) outageOf(err error) {
	h.why = err
	if errors.Is(err, errSilent) {
		return // it has an age, and is not over yet
	}
	h.mu.Lock()
	h.lastErr = err
	h.mu.Unlock()
}

// silent notes that a link does not answer.
func (h *host) silent(l *link) {
	h.noteSilence(l)
	if h.current == nil {
		h.outageOf(errSilent)
		h.lastByte = l.Wire.LastRead()
	}
}

// lost notes that a link died.
func (h *host) lost(l *link) {
	err := l.Ending()
	if l == h.newest {
		h.backoff.Lost(time.Now())
	}
	if errors.Is(err, sshlink.ErrAsked) || errors.Is(err, errIdle) || errors.Is(err, sshlink.ErrReplaced) || errors.Is(err, errStopping) {
		return
	}
	h.mu.Lock()
	h.lastErr = connectionLost(err)
	h.losses++
	h.mu.Unlock()
	if unanswering(err) && h.silenced.at.IsZero() {
		h.noteSilence(l)
	}
	if h.lostAt = time.Now(); h.current == nil {
		h.outageOf(connectionLost(err))
		if unanswering(err) {
			h.outageOf(errSilent) // how long is told beside it
		}
		h.lastByte = l.Wire.LastRead()
	}
}

// connectionLost is a cause that does not stand for an attempt.
func connectionLost(err error) error { return &lostCause{err} }

type lostCause struct{ err error }

func (e *lostCause) Error() string { return "connection lost (" + e.err.Error() + ")" }
func (e *lostCause) Unwrap() error { return e.err }

// silence is the time since the last byte of the connection that is silent or
// was lost, 0 where there was none.
func (h *host) silence() time.Duration {
	if h.lastByte.IsZero() {
		return 0
	}
	return time.Since(h.lastByte)
}

// cause is why there is no connection, in words.
func (h *host) cause() string {
	if h.why == nil || errors.Is(h.why, errSilent) {
		return ""
	}
	text := strings.TrimPrefix(withoutHost(h.why), "connect to "+h.dest.Addr()+": ")
	if via := h.dest.Via; via != nil { // as the jump host's own cause is told while it is tried
		jump := "jump host " + via.Name + ": "
		text = strings.Replace(text, jump+"connect to "+via.Addr()+": ", jump, 1)
	}
	return text
}

// demand says who wants a connection now, and how long the pause between two
// attempts may therefore be at most. Nobody does where why is empty.
func (h *host) demand(now time.Time) (pause time.Duration, why string) {
	held, behind, through := false, false, false
	for _, w := range h.waiters {
		switch {
		case w.through:
			through = true
		case w.background():
			behind = true
		case w.holds:
			held = true
		default:
			return alive.CapWaiting, "client"
		}
	}
	persist, forever := h.dest.Persist()
	switch {
	case through:
		return alive.CapWaiting, "forward"
	case held:
		return alive.CapPinned, "held"
	case behind:
		return alive.CapPinned, "jump host"
	case h.dismissed, h.m.gate.Drains():
		return 0, ""
	case h.dest.Pinned():
		return alive.CapPinned, "pinned"
	case h.forwards.Standing() > 0:
		return alive.CapForwards, "forwards"
	case h.leases > 0:
		return alive.CapForwards, "sessions"
	case !h.used.IsZero() && (forever || now.Before(h.used.Add(persist))):
		return alive.CapForwards, "recent use"
	}
	return 0, ""
}

// reconnect dials when there is nothing for new work, somebody wants it, and
// the time has come.
func (h *host) reconnect(a *agenda) {
	h.retry = time.Time{}
	if h.dialing != nil || h.serving() {
		return
	}
	pause, why := h.demand(a.now)
	client := h.client()
	switch {
	case why == "":
		return
	case client != nil: // any request makes one attempt
	case h.blocked != nil:
		h.lookForCause(a)
		return
	case h.needsPerson && h.has(sshlink.Suspect):
		// Learned at the doubt before: the old one is kept to its full budget.
		h.refuseBehind(errSilent)
		return
	}
	if client == nil && h.current != nil {
		return // it ended or fell silent, which changed is about to say
	}
	next := h.backoff.Next(pause)
	if client == nil {
		next = later(next, h.lostAt.Add(returnAfter))
		if h.has(sshlink.Suspect) && !h.replaced.IsZero() {
			next = later(next, h.replaced.Add(replaceEvery))
		}
		if !h.routed() {
			h.outageOf(errNoRoute)
			h.refuseBehind(errNoRoute) // clients may wait behind them, and have an attempt coming
			next = later(next, a.now.Add(routeEvery))
		}
	}
	if !a.at(next) {
		h.retry = next
		return
	}
	if client != nil {
		h.dial(client.dest, forWaiters)
		return
	}
	h.replaced = a.now
	h.dial(h.dest, forReturn)
}

var errNoRoute = errors.New("no route to it from here")

// routed reports whether there may be a way to the server, as far as is known
// without asking for its name. For one that was met on this machine there always
// is.
func (h *host) routed() bool {
	c := &h.m.cfg
	if h.dest.Via != nil || h.dest.Proxy != "" {
		return true
	}
	if ip, err := netip.ParseAddr(h.dest.Host); err == nil {
		return c.Routed == nil || c.Routed(ip)
	}
	away := h.newest != nil && h.newest.local.IsValid() && !h.newest.local.IsLoopback()
	return !away || c.Online == nil || c.Online()
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// client is the first waiter behind which there may be a person.
func (h *host) client() *waiter {
	for _, w := range h.waiters {
		if !w.background() {
			return w
		}
	}
	return nil
}

// hurry begins the ladder anew because a person wants an attempt now, and gives
// up one that has been getting nowhere.
func (h *host) hurry() {
	h.backoff.Reset(time.Now(), 0, true)
	h.replaced = time.Time{}
	h.redial(hurryAfter)
	if via := h.dest.Via; via != nil {
		if hop := h.m.lookup(via); hop != nil {
			go hop.post(hop.hurry)
		}
	}
}

// hurryAfter is how long a dial may have taken before it is given up for a new
// one: what it sent may be lost, and is repeated after 1, 3 and 7 s.
const hurryAfter = time.Second

// redial gives up a dial that is older than that, so that a new one begins.
// While a person is at a question it is left alone.
func (h *host) redial(older time.Duration) {
	if d := h.dialing; d != nil && !d.again && time.Since(d.began) >= older && !d.asker.busy() {
		d.again = true
		d.cancel()
	}
}

// meetAgent remembers the agent of a request. The newest that lives serves the
// logins for which nobody waits.
func (h *host) meetAgent(socket string) {
	const enough = 8
	if socket == "" {
		return
	}
	h.agents = slices.DeleteFunc(slices.Clone(h.agents), func(s string) bool { return s == socket })
	h.agents = slices.Insert(h.agents, 0, socket)
	h.agents = h.agents[:min(len(h.agents), enough)]
}
