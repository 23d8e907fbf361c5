package master

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"muxd/alive"
	"muxd/control"
	"muxd/internal/dest"
	"muxd/internal/forward"
	"muxd/internal/sshconf"
	"muxd/internal/sshlink"
)

// forgetAfter is how long a host that nobody wants is remembered, for muxd
// status to tell what happened last.
const forgetAfter = 10 * time.Minute

// forgetRetry is when it is tried again for a host that a request has in hand at
// that moment, be it only to take its refusal.
const forgetRetry = time.Second

// passAfter is how long a dial that nobody waits for must have stood in line for
// a client to have it begin anew: one whose turn comes at once is left alone.
const passAfter = 50 * time.Millisecond

// host is one destination for as long as somebody wants it, or muxd status may
// be asked about it. Connections come and go under it.
//
// Everything is decided by one goroutine, run: it alone touches the fields
// marked so, and everybody else posts it functions to run. After each of them,
// and when a moment has come that was waited for, decide looks at all of it.
// Whether a request that comes at the moment of expiry gets the old connection
// or a new one is therefore a matter of order, never of luck.
type host struct {
	m      *Master
	key    string
	log    *slog.Logger
	events chan func()
	ctx    context.Context // ends when the host is forgotten or muxd stops
	cancel context.CancelFunc

	// Owned by run.
	dest        *dest.Destination // of the newest request
	agents      []string          // sockets of the agents that requests brought, newest first
	links       map[*link]struct{}
	current     *link // serves new work; nil while there is none
	newest      *link // of all that there were
	waiters     []*waiter
	dialing     *dialing          // nil unless a dial is under way
	leases      int               // over all links
	places      places            // how many sessions fit on a connection
	fairly      bool              // the next place goes to the client that has the fewest
	held        map[int]int       // by client; how many places it has
	turns       map[int]int       // by client, while somebody waits; the turn at which it was given a place
	turn        int               // counts them
	lineMoved   time.Time         // when a session last began, once how many fit is known
	movers      map[int]time.Time // by client; when it had moved much
	growing     bool              // growNow is about to be posted
	loginTook   time.Duration     // the last login that asked nobody
	needsPerson bool              // a further connection cannot be had without a person
	hostKey     []byte            // of the last login, in wire form; nil before the first
	used        time.Time         // when it was last in use; zero: never, or closed by request
	quietSince  time.Time         // since when there is nothing to remember it for; zero while there is
	pastIn      int64             // bytes on the wire of connections that are gone
	pastOut     int64
	decided     int    // how often decide looked; a test counts that nothing spins
	outage             // why there is no connection, and when the next one is tried
	succeeded   *link  // its successor was dialled, because of its age
	notified    bool   // a person was told that it is blocked
	served      *link  // the forwards were told that it is in service
	hop         *lease // on the jump host, between two attempts; nil: none
	asked       bool   // a request came since the last dial

	forwards *forward.Set   // safe for concurrent use
	sticky   *forward.Owner // of those that need no client

	mu      sync.Mutex
	state   State     // guarded by mu; written by run
	since   time.Time // guarded by mu
	lastErr error     // guarded by mu
	logins  int       // guarded by mu
	failed  int       // guarded by mu; attempts to connect
	losses  int       // guarded by mu; connections that ended without anybody's wish
	returns int       // guarded by mu; logins after one of these, or one that fell silent
	shown   hostShown // guarded by mu; copies for status

	limited  atomic.Bool  // a session was refused: successes are worth telling run
	limit    atomic.Int32 // places.limit, for who opens sessions ahead of use
	inLine   atomic.Bool  // the dial under way waits for its turn, or for the jump host
	repeats  atomic.Bool  // the dial under way is not the first one since a request came
	lax      atomic.Bool  // the server has no strict key exchange: it is not offered what needs one
	unproven atomic.Bool  // the server left a proof of its keys unanswered: it is asked for none again

	users int // guarded by m.mu; requests between Master.host and their answer
}

// hostShown is what status shows of the fields that run owns.
type hostShown struct {
	dest    *dest.Destination
	links   []*link // in the order of their IDs; not written any more, others read it
	current *link
	waiting int
	coming  int // those of them who would be served by another muxd as well
	attempt int
	next    time.Time
	wanted  string
	limit   int
	pastIn  int64
	pastOut int64
}

// waiter is a request that waits for a link.
type waiter struct {
	ctx     context.Context
	dest    *dest.Destination
	p       control.Prompter
	again   bool        // had a place that the server did not have: first in line
	bare    bool        // wants no session, and so no place for one
	agent   string      // socket of the agent that its session forwards, "" for none
	client  int         // whose session it is, see clientOf
	class   class       // of its session
	since   time.Time   // when the request came, before it was refused a place; of those that want one
	until   time.Time   // owned by run; how long it waits for a connection of its own, zero: it was not decided
	looked  time.Time   // owned by run; when it was last seen to be about to have waited long enough
	through bool        // is a connection to a forward, behind which somebody waits whom nobody can ask
	repeats bool        // is for a destination behind this one, and was refused before
	holds   bool        // wants the connection alone, and had it before
	asks    bool        // is a client's own request, see movable
	answer  chan answer // capacity 1: run never waits for a waiter

	told  told              // owned by run
	heard map[string]*asker // owned by run; notices, by the attempt that told them first
}

type answer struct {
	lease *lease
	err   error
}

func newHost(m *Master, d *dest.Destination) *host {
	ctx, cancel := context.WithCancel(m.ctx)
	h := &host{m: m, key: d.Key, log: m.cfg.Log.With("host", d.Name), events: make(chan func(), 16),
		ctx: ctx, cancel: cancel, dest: d, links: map[*link]struct{}{}, since: time.Now()}
	h.backoff = alive.Backoff{Rand: m.cfg.Rand}
	h.places, h.held, h.turns, h.movers = h.remembered(), map[int]int{}, map[int]int{}, map[int]time.Time{}
	h.shown.dest = d
	h.forwards, h.sticky = h.newForwards(), &forward.Owner{Sticky: true}
	return h
}

// run is the host's goroutine.
func (h *host) run() {
	defer h.end()
	timer := time.NewTimer(forgetAfter)
	defer timer.Stop()
	for {
		select {
		case f := <-h.events:
			f()
		case <-timer.C:
		case <-h.ctx.Done():
			return
		}
		rearm(timer, h.decide(time.Now()))
	}
}

// rearm sets the timer to the deadline; a zero deadline is none.
func rearm(t *time.Timer, at time.Time) {
	t.Stop()
	if !at.IsZero() {
		t.Reset(max(0, time.Until(at)))
	}
}

// post hands f to run. It reports false when the host has ended. It may block
// while run is busy, and run never waits for anybody, so not for long.
func (h *host) post(f func()) bool {
	select {
	case h.events <- f:
		return true
	case <-h.ctx.Done():
		return false
	}
}

// call runs f in run and waits for it.
func (h *host) call(f func()) {
	done := make(chan struct{})
	if !h.post(func() { defer close(done); f() }) {
		return
	}
	select {
	case <-done:
	case <-h.ctx.Done():
	}
}

// end answers whoever still waits and closes what is open.
func (h *host) end() {
	h.setState(Closed)
	for {
		select {
		case f := <-h.events:
			f() // a lease that comes back, a link that died, a request too late
			continue
		default:
		}
		break
	}
	h.sendAway()
	h.refuseAll(errStopping)
	h.dropHop()
	h.forwards.Close()
	for l := range h.links {
		l.Fail(errStopping)
	}
	h.publish()
}

// decide does what is due and returns when to look again; the zero time is not
// before something happens. It is called after each event, so nothing else needs
// to remember whom it might concern.
func (h *host) decide(now time.Time) time.Time {
	if h.ctx.Err() != nil {
		return time.Time{}
	}
	a := agenda{now: now}
	h.decided++
	h.limit.Store(int32(h.places.limit))
	h.retireOld(&a)
	h.serve()
	h.loseThePatient(&a)
	h.reconnect(&a)
	h.dropOrphans(&a)
	if len(h.waiters) > 0 {
		a.at(h.places.probeAt)
	}
	h.mindHop()
	h.endIdle(&a)
	h.rest(&a)
	h.serveForwards()
	h.setState(h.stands())
	h.tell(&a)
	h.publish()
	return a.next
}

// agenda gathers the moments at which there is something to decide.
type agenda struct {
	now, next time.Time
}

// at notes a moment, and reports whether it has come.
func (a *agenda) at(t time.Time) bool {
	if !t.After(a.now) {
		return true
	}
	if a.next.IsZero() || t.Before(a.next) {
		a.next = t
	}
	return false
}

// publish copies for status what run owns.
func (h *host) publish() {
	_, why := h.demand(time.Now())
	h.mu.Lock()
	defer h.mu.Unlock()
	h.shown = hostShown{dest: h.dest, waiting: len(h.waiters), coming: h.coming(), wanted: why, attempt: h.tries, next: h.retry,
		limit: h.places.limit, pastIn: h.pastIn, pastOut: h.pastOut, links: make([]*link, 0, len(h.links)), current: h.current}
	for l := range h.links {
		h.shown.links = append(h.shown.links, l)
	}
	slices.SortFunc(h.shown.links, func(a, b *link) int { return cmp.Compare(a.ID, b.ID) })
}

// stands is the state that fits what there is.
func (h *host) stands() State {
	_, wanted := h.demand(time.Now())
	switch {
	case h.current != nil:
		return Ready
	case h.has(sshlink.Suspect):
		return Suspect // whether or not one is dialled beside it, and for whom
	case h.dialing != nil:
		return Connecting
	case h.blocked != nil:
		return Blocked
	case wanted != "":
		return Waiting
	}
	return Idle
}

// serving reports a link that new work can be given.
func (h *host) serving() bool { return h.current != nil && h.current.Usable() }

// has reports a link in that state.
func (h *host) has(s sshlink.State) bool {
	for l := range h.links {
		if l.State() == s {
			return true
		}
	}
	return false
}

// setState is called by run alone.
func (h *host) setState(s State) {
	h.mu.Lock()
	old, err := h.state, h.lastErr
	if old != s {
		h.state, h.since = s, time.Now()
	}
	h.mu.Unlock()
	if old == s {
		return
	}
	h.log.Info("state", "from", old.String(), "to", s.String())
	e := h.event(control.EventHost)
	e.From, e.To = old.String(), s.String()
	if s == Waiting || s == Blocked || s == Suspect {
		e.Silence = h.silence()
		if e.Text = h.cause(); e.Text == "" && err != nil {
			e.Text = withoutHost(err)
		}
	}
	h.m.events.tell(e, h.key)
	h.notify(e, s)
}

// notify has a person be told that the host needs one, and once it does not any
// more.
func (h *host) notify(e control.Event, s State) {
	if s != Blocked && !(s == Ready && h.notified) {
		return
	}
	h.notified = s == Blocked
	if line := h.dest.Conf.NotifyCommand(); line != "" {
		h.m.notify.Post(h.m.ctx, h.key, line, e)
	}
}

// State returns where the host stands.
func (h *host) State() State {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.state
}

// want should be posted for every request. A link in service is given at once.
func (h *host) want(w *waiter) {
	if h.ctx.Err() != nil || h.leaves(w) != nil { // it came as the gate was shut
		w.answer <- answer{err: h.ending(w)}
		return
	}
	if !w.background() {
		h.dest = w.dest
		h.meetAgent(w.dest.Agent)
		if !w.repeats {
			h.backoff.Reset(time.Now(), 0, false)
			h.asked = true
		}
		h.dismissed = false
		if h.blocked != nil && h.client() == nil {
			h.why, h.tries = nil, 0 // what the last one met says nothing of what this one will
		}
		if d := h.dialing; d != nil && d.purpose == forReturn && h.inLine.Load() {
			h.redial(passAfter) // who waits goes first
		}
	}
	if w.through && h.blocked == nil {
		h.backoff.Reset(time.Now(), 0, false)
	}
	if !w.bare && w.class == plain && w.dest.Conf.Bulk() != sshconf.No && h.mover(w.client) {
		w.class = likely
	}
	if w.again {
		h.waiters = append([]*waiter{w}, h.waiters...)
	} else {
		h.waiters = append(h.waiters, w)
	}
}

// give hands a waiter its lease. The count changes here, in run, so an expiry
// either came before and the request dials, or comes after and sees the lease.
func (h *host) give(w *waiter, l *link) {
	h.leases++
	l.leases++
	if !w.bare {
		l.placed++
		h.places.took(l.given(), time.Now())
		h.hold(w.client, 1)
		l.classes[w.class]++
	}
	if w.agent != "" {
		l.lentTo = w.agent
		l.lends++
	}
	ls := newLease(h, l, sshlink.User{Dest: w.dest, P: w.p, Client: w.client})
	ls.bare, ls.lends, ls.class, ls.since, ls.told = w.bare, w.agent != "", w.class, w.since, w.told
	l.Add(&ls.User)
	if w.told.any && w.p != nil && (w.bare || !h.places.beyond(l.given())) {
		w.p.Waiting(control.Waiting{}) // over
	}
	w.answer <- answer{lease: ls}
}

// leave should be posted when a waiter's client went away or gave up. A dial
// that nobody waits for any more is given up too: its prompts would reach
// nobody.
func (h *host) leave(w *waiter, why error) {
	for i, x := range h.waiters {
		if x == w {
			h.waiters = append(h.waiters[:i:i], h.waiters[i+1:]...)
			w.answer <- answer{err: why}
			break
		}
	}
	if len(h.waiters) == 0 && h.dialing != nil && !h.dialing.alone() {
		h.dialing.cancel()
	}
}

func (h *host) refuseAll(err error) {
	for _, w := range h.waiters {
		w.answer <- answer{err: err}
	}
	h.waiters = nil
}

// released should be posted when a lease came back.
func (h *host) released(ls *lease) { ls.giveBack() }

// rest closes a connection that nobody has used for as long as ControlPersist
// says, and forgets a host that there is nothing to say about any more.
func (h *host) rest(a *agenda) {
	standing := h.forwards.Standing() > 0
	if h.leases > 0 || len(h.waiters) > 0 || h.dialing != nil || h.dismissed && standing {
		h.quietSince = time.Time{}
		return
	}
	persist, forever := h.dest.Persist()
	drains := h.m.gate.Drains() // the next muxd makes its own
	switch _, wanted := h.demand(a.now); {
	case len(h.links) > 0:
		h.quietSince = time.Time{}
		if !h.dismissed && (standing || !drains && (forever || h.dest.Pinned())) || !drains && !a.at(h.used.Add(persist)) {
			return
		}
		if drains && h.forwards.Open() > 0 {
			return // what the server opened has no lease before it is accepted
		}
		if h.current != nil && !h.dismissed && !drains { // once, and where that is why
			h.log.Info("idle, closing", "after", h.dest.PersistText())
		}
		h.shut(errIdle)
	case wanted != "":
		h.quietSince = time.Time{}
		a.at(h.used.Add(persist))
	default:
		if h.quietSince.IsZero() {
			h.quietSince = a.now
		}
		after := forgetAfter
		if h.dest.Alone != "" {
			after = 0 // nobody will ask about it again
		}
		if a.at(h.quietSince.Add(after)) && !h.m.forget(h) {
			a.at(a.now.Add(forgetRetry))
		}
	}
}

// shut closes every link.
func (h *host) shut(why error) {
	for l := range h.links {
		l.Fail(why)
	}
	h.current = nil
}
