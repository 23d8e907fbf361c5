package master

import (
	"context"
	"sync"
	"time"

	"muxd/control"
	"muxd/internal/dest"
	"muxd/internal/sshlink"
)

// lease is a request's hold on a link: while one is out, the link does not
// expire, and the request's own keepalive values hold.
type lease struct {
	sshlink.User
	host  *host
	link  *link
	bare  bool      // has no place for a session
	lends bool      // its session forwards an agent
	since time.Time // when the request came
	class class     // of its session
	told  told      // what the request was told of its wait
	once  sync.Once
}

func newLease(h *host, l *link, u sshlink.User) *lease {
	ls := &lease{User: u, host: h, link: l}
	ls.Release = ls.release
	return ls
}

// release gives the hold back. It is safe to call more than once.
func (ls *lease) release() {
	ls.once.Do(func() {
		ls.link.Drop(&ls.User)
		ls.host.post(func() { ls.host.released(ls) })
	})
}

// exchange is release in run, for a request that goes to the head of the line
// with the same step: between the two somebody else would take the place.
func (ls *lease) exchange() {
	ls.once.Do(func() {
		ls.link.Drop(&ls.User)
		ls.giveBack()
	})
}

// giveBack counts the hold as ended. Called in run.
func (ls *lease) giveBack() {
	if !ls.host.dismissed {
		ls.host.used = time.Now()
	}
	ls.host.leases--
	ls.link.leases--
	if ls.lends {
		if ls.link.lends--; ls.link.lends == 0 {
			ls.link.lentTo = ""
		}
	}
	if !ls.bare {
		ls.link.placed--
		ls.host.hold(ls.Client, -1)
		ls.link.classes[ls.class]--
	}
	ls.link.used = time.Now()
}

// acquire returns a lease on the destination's connection, dialling it if need
// be, until ctx ends. A lease that was of no use, because the server had no
// place, is given in exchange, and the request waits at the head of the line.
//
// Where the session forwards an agent, the lease is on a connection on which no
// other agent is forwarded.
func (m *Master) acquire(ctx context.Context, d *dest.Destination, r *control.SessionRequest, p control.Prompter, useless *lease) (*lease, error) {
	w := &waiter{ctx: ctx, dest: d, p: p, agent: r.Agent, client: clientOf(r.PID), class: classOf(d, r), asks: true, since: time.Now(), answer: make(chan answer, 1)}
	if useless != nil {
		w.again, w.since, w.told = true, useless.since, useless.told
	}
	return m.await(w, useless)
}

// acquireBare is acquire for what needs the connection and no session's place
// on it: a forward, a jump, -N. It never waits in line behind sessions.
func (m *Master) acquireBare(ctx context.Context, d *dest.Destination, p control.Prompter) (*lease, error) {
	return m.await(&waiter{ctx: ctx, dest: d, p: p, bare: true, asks: true, answer: make(chan answer, 1)}, nil)
}

// acquireHop is acquireBare for a destination that is reached through this one.
// Where it repeats an attempt that failed, it is no news here that somebody wants
// a connection: it has the next attempt that is due, and shares it with whatever
// else is behind. Twenty destinations would otherwise begin the ladder anew once a
// second.
func (m *Master) acquireHop(ctx context.Context, d *dest.Destination, p control.Prompter, repeats bool) (*lease, error) {
	return m.await(&waiter{ctx: ctx, dest: d, p: p, bare: true, repeats: repeats, answer: make(chan answer, 1)}, nil)
}

// acquireHeld is acquireBare for a client that wants nothing but the connection,
// and has had it already: it waits for as long as it takes.
func (m *Master) acquireHeld(ctx context.Context, d *dest.Destination, p control.Prompter) (*lease, error) {
	patient := *d
	patient.Patience = dest.Forever
	return m.await(&waiter{ctx: ctx, dest: &patient, p: p, bare: true, holds: true, answer: make(chan answer, 1)}, nil)
}

// acquireThrough is acquireBare for a connection that somebody made to a forward:
// it asks nobody, waits as long as a command would in a script, and has an
// attempt be made at once where the next one is some time off. How long it has
// waited counts from d.Asked.
func (m *Master) acquireThrough(ctx context.Context, d *dest.Destination) (*lease, error) {
	return m.await(&waiter{ctx: ctx, dest: d, p: background{}, bare: true, through: true, answer: make(chan answer, 1)}, nil)
}

// await has w wait for its lease.
func (m *Master) await(w *waiter, useless *lease) (*lease, error) {
	ctx := w.ctx
	h, err := m.host(w.dest)
	if err != nil {
		return nil, err
	}
	if !w.through {
		m.supersede(w.dest, w.p)
	}
	defer m.unuse(h)
	want := func() {
		if useless != nil {
			useless.exchange()
		}
		h.want(w)
	}
	if !h.post(want) {
		return nil, h.ending(w)
	}
	var impatient <-chan struct{}
	if w.p != nil {
		impatient = w.p.Impatient()
	}
	for ctx.Err() == nil {
		select {
		case a := <-w.answer:
			if a.lease != nil {
				a.lease.tellLink()
			}
			return a.lease, a.err
		case <-h.ctx.Done():
			return nil, h.ending(w)
		case <-impatient:
			h.post(h.hurry)
		case <-ctx.Done():
		}
	}
	// The answer may be on its way; leave makes sure that there is one, and a
	// lease that was given meanwhile goes back.
	h.post(func() { h.leave(w, ctx.Err()) })
	select {
	case a := <-w.answer:
		if a.lease != nil {
			a.lease.release()
		}
	case <-h.ctx.Done():
	}
	return nil, ctx.Err()
}
