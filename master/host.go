package master

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"muxd/control"
)

// forgetAfter is how long a host that nobody wants is remembered, for muxd
// status to tell what happened last.
const forgetAfter = 10 * time.Minute

// host is one destination for as long as somebody wants it, or muxd status may
// be asked about it. Connections come and go under it.
//
// Everything is decided by one goroutine, run: it alone touches the fields
// marked so, and everybody else posts it functions to run. Whether a request
// that comes at the moment of expiry gets the old connection or a new one is
// therefore a matter of order, never of luck.
type host struct {
	m      *Master
	key    string
	log    *slog.Logger
	events chan func()
	ctx    context.Context // ends when the host is forgotten or muxd stops
	cancel context.CancelFunc

	// Owned by run.
	dest        *destination // of the newest request
	links       map[*link]struct{}
	current     *link // serves new work; nil while there is none
	waiters     []*waiter
	dialing     *dialing    // nil unless a dial is under way
	leases      int         // over all links
	places      places      // how many sessions fit on a connection
	growing     bool        // growNow is about to be posted
	needsPerson bool        // a further connection cannot be had without a person
	hostKey     []byte      // of the last login, in wire form; nil before the first
	timer       *time.Timer // expiry of an idle connection, then of the host; nil when unarmed
	timerID     int         // counts armings, so that a timer that fires late is known

	mu      sync.Mutex
	state   State     // guarded by mu; written by run
	since   time.Time // guarded by mu
	lastErr error     // guarded by mu
	logins  int       // guarded by mu
	shown   hostShown // guarded by mu; copies for status

	limited  atomic.Bool // a session was refused: successes are worth telling run
	unproven atomic.Bool // the server left a proof of its keys unanswered: it is asked for none again

	users int // guarded by m.mu; requests between Master.host and their answer
}

// hostShown is what status shows of the fields that run owns.
type hostShown struct {
	dest    *destination
	links   []*link
	waiting int
}

// waiter is a request that waits for a link.
type waiter struct {
	ctx    context.Context
	dest   *destination
	p      control.Prompter
	again  bool        // had a place that the server did not have: first in line
	bare   bool        // wants no session, and so no place for one
	answer chan answer // capacity 1: run never waits for a waiter
}

type answer struct {
	lease *lease
	err   error
}

// dialing is a dial under way.
type dialing struct {
	cancel  context.CancelFunc
	asker   *asker
	further bool // beside a link that is fit for work: nobody is asked
}

func newHost(m *Master, d *destination) *host {
	ctx, cancel := context.WithCancel(m.ctx)
	h := &host{m: m, key: d.key, log: m.cfg.Log.With("host", d.name), events: make(chan func(), 16),
		ctx: ctx, cancel: cancel, dest: d, links: map[*link]struct{}{}, since: time.Now()}
	h.shown.dest = d
	return h
}

// run is the host's goroutine.
func (h *host) run() {
	defer h.end()
	for {
		select {
		case f := <-h.events:
			f()
		case <-h.ctx.Done():
			return
		}
		h.publish()
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

// end answers whoever still waits and closes what is open.
func (h *host) end() {
	h.setState(Closed)
	h.disarm()
	for {
		select {
		case f := <-h.events:
			f() // a lease that comes back, a link that died, a request too late
			continue
		default:
		}
		break
	}
	h.refuseAll(errStopping)
	for l := range h.links {
		l.fail(errStopping)
	}
	h.publish()
}

// publish copies for status what run owns.
func (h *host) publish() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.shown.dest = h.dest
	h.shown.waiting = len(h.waiters)
	h.shown.links = h.shown.links[:0:0]
	for l := range h.links {
		h.shown.links = append(h.shown.links, l)
	}
}

// setState is called by run alone.
func (h *host) setState(s State) {
	h.mu.Lock()
	old := h.state
	if old != s {
		h.state, h.since = s, time.Now()
	}
	h.mu.Unlock()
	if old != s {
		h.log.Info("state", "from", old.String(), "to", s.String())
	}
}

// want should be posted for every request. A link in service is given at once.
func (h *host) want(w *waiter) {
	h.disarm()
	h.dest = w.dest
	if h.ctx.Err() != nil {
		w.answer <- answer{err: errStopping}
		return
	}
	if w.again {
		h.waiters = append([]*waiter{w}, h.waiters...)
	} else {
		h.waiters = append(h.waiters, w)
	}
	h.serve()
}

// give hands a waiter its lease. The count changes here, in run, so an expiry
// either came before and the request dials, or comes after and sees the lease.
func (h *host) give(w *waiter, l *link) {
	h.leases++
	l.leases++
	if !w.bare {
		l.placed++
		h.places.took(l.placed, time.Now())
	}
	ls := &lease{host: h, link: l, dest: w.dest, p: w.p, bare: w.bare}
	l.addLease(ls)
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
	if len(h.waiters) == 0 && h.dialing != nil {
		h.dialing.cancel()
	}
	h.rest()
}

// dial starts the one dial that all waiters share. A further connection is
// dialled beside others, and only where login needs no person.
func (h *host) dial(w *waiter, further bool) {
	ctx, cancel := context.WithCancel(h.ctx)
	d := &dialing{cancel: cancel, further: further, asker: &asker{h: h}}
	h.dialing = d
	var p control.Prompter = d.asker
	if further {
		p = nobody{}
	} else {
		h.setState(Connecting)
	}
	before := h.hostKey
	go func() {
		l, err := h.m.dial(ctx, h, w.dest, p, before, true)
		cancel()
		h.post(func() { h.dialed(d, l, err) })
		if h.ctx.Err() != nil && l != nil {
			l.fail(errStopping) // the host ended, perhaps without having seen this
		}
	}()
}

// dialed should be posted when a dial ended, with a link or an error.
func (h *host) dialed(d *dialing, l *link, err error) {
	if h.dialing == d {
		h.dialing = nil
	}
	if err != nil {
		h.mu.Lock()
		if !isCanceled(err) { // nobody waited for it any more
			h.lastErr = err
		}
		h.mu.Unlock()
		h.log.Info("dial failed", "err", err)
		if d.further {
			h.furtherFailed(err)
		} else {
			h.failed(d, err)
		}
		h.rest()
		return
	}
	h.mu.Lock()
	h.logins++
	h.lastErr = nil
	h.mu.Unlock()
	if old := h.current; old != nil && !d.further {
		old.drain() // it answered again while this one was dialled
		h.current = nil
	}
	h.links[l] = struct{}{}
	h.hostKey = l.hostKey
	if h.current == nil {
		h.current = l
	}
	h.setState(Ready)
	h.serve()
	if !l.usable() {
		h.changed(l) // it died on the way here
	}
	h.rest()
}

// failed shares a dial's error with all who waited for it. Waiters who came
// while a given-up dial was ending are not to blame for that, and dial anew; so
// do those behind one who was asked and went to lunch.
func (h *host) failed(d *dialing, err error) {
	if l := h.current; l != nil && l.usable() {
		// Given up because the old link answered again. Whoever came between
		// its doubt and its answer is served by it.
		h.serve()
		h.settle()
		return
	}
	h.setState(stateAfter(err))
	if w := d.asker.silent; w != nil && slices.Contains(h.waiters, w) && len(h.waiters) > 1 {
		h.waiters = slices.DeleteFunc(h.waiters, func(x *waiter) bool { return x == w })
		w.answer <- answer{err: err}
		h.dial(h.waiters[0], false)
		return
	}
	if isCanceled(err) && len(h.waiters) > 0 {
		h.dial(h.waiters[0], false)
		return
	}
	h.refuseAll(err)
}

func (h *host) refuseAll(err error) {
	for _, w := range h.waiters {
		w.answer <- answer{err: err}
	}
	h.waiters = nil
}

// changed should be posted when a link's state changed.
func (h *host) changed(l *link) {
	switch l.State() {
	case linkDead:
		delete(h.links, l)
		h.withdraw(l)
		if len(h.links) == 0 {
			h.disarm() // it was the connection's time; now the host's own runs
			h.places, h.needsPerson = places{}, false
		}
	case linkSuspect:
		h.withdraw(l)
	case linkReady:
		if l.usable() {
			h.restore(l)
		}
	}
	h.serve()
	h.settle()
	h.rest()
}

// withdraw takes a link out of service, and puts another that is fit in its
// place if there is one.
func (h *host) withdraw(l *link) {
	if h.current != l {
		return
	}
	h.current = nil
	for o := range h.links {
		if o != l && o.usable() {
			h.current = o
		}
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
		l.drain()
		return
	}
	h.current = l
	h.serve()
	if h.dialing != nil {
		h.dialing.cancel()
	}
}

// settle finds the state that fits the links.
func (h *host) settle() {
	switch {
	case h.ctx.Err() != nil:
	case h.current != nil:
		h.setState(Ready)
	case h.dialing != nil:
		h.setState(Connecting)
	case h.State() == Ready:
		h.setState(Idle)
	}
}

// State returns where the host stands.
func (h *host) State() State {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.state
}

// released should be posted when a lease came back.
func (h *host) released(ls *lease) {
	ls.giveBack()
	h.serve()
	h.rest()
}

// rest arms the timer that fits a host nobody uses: the connection's expiry if
// there is one, the host's own otherwise.
func (h *host) rest() {
	if h.leases > 0 || len(h.waiters) > 0 || h.dialing != nil || h.timer != nil || h.ctx.Err() != nil {
		return
	}
	after := forgetAfter
	switch {
	case h.dest.alone != "":
		after = 0 // nobody will ask about it again
	case len(h.links) > 0:

		var forever bool
		if after, forever = h.dest.persist(); forever {
			return
		}
	}
	h.timerID++
	id := h.timerID
	h.timer = time.AfterFunc(after, func() { h.post(func() { h.expire(id) }) })
}

func (h *host) disarm() {
	if h.timer != nil {
		h.timer.Stop()
		h.timer = nil
	}
	h.timerID++
}

// expire should be posted by the timer. A request that came in between has
// disarmed it, so that its number no longer fits.
func (h *host) expire(id int) {
	if id != h.timerID {
		return
	}
	h.timer = nil
	if len(h.links) == 0 {
		h.m.forget(h)
		return
	}
	h.log.Info("idle, closing", "after", h.dest.persistText())
	h.shut(errIdle)
}

// shut closes every link and leaves the host idle.
func (h *host) shut(why error) {
	for l := range h.links {
		l.fail(why)
	}
	h.current = nil
	h.settle()
}
