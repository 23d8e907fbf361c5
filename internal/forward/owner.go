package forward

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"muxd/control"
)

// Owner is who wants a forward: a client, or whoever asked for forwards that
// stay. Two are the same if they are one Owner.
type Owner struct {
	PID    int  // of the client; shown where it is not sticky
	Sticky bool // what it wants stays without a client
	// Tell is told, in one line, what becomes of its forwards later: that one
	// does not stand, stands again, was given a port, was cancelled. What Add
	// returns is not told again. It is called without locks held and must not
	// block; nil: nobody listens.
	Tell func(text string)
}

var (
	errClosed = errors.New("forwards end: the connection is not wanted any more")
	errEnded  = errors.New("it was cancelled meanwhile")
)

// Add makes f stand for o. A forward that is there already, equal in all or, for
// a remote one, in all but the port that the server chose, gains an owner; how
// is then the first one's. A local one listens when Add returns; a remote one
// is listened for by the server in service, or is waiting where none serves,
// which is no error. A degraded one is attempted at once. An address that
// another client's forward has is waited for, a moment only, because that client
// may just have gone.
//
// The error says in one line why it does not stand, or is the context's. With
// keep it stays wanted then, and is tried again after 1, 2, 4, 8, 16, 30, 30 …
// seconds, each up to a quarter shorter. Without keep, o does not gain it.
//
// The port is where it listens; 0 where a server is yet to choose it.
func (s *Set) Add(ctx context.Context, f control.Forward, how control.ForwardOptions, o *Owner, keep bool) (port int, err error) {
	return s.put(ctx, f, how, f.Listen.Port, o, keep, nil)
}

// AddAnswered is Add for who is not content with a forward that waits, because
// the server went away before it had answered: next is called then, and is to
// return once another one serves, or why none is waited for.
func (s *Set) AddAnswered(ctx context.Context, f control.Forward, how control.ForwardOptions, o *Owner, keep bool, next func() error) (port int, err error) {
	return s.put(ctx, f, how, f.Listen.Port, o, keep, next)
}

// put is Add with the port that a new one is to have at the server, or
// AddAnswered where next is not nil.
func (s *Set) put(ctx context.Context, f control.Forward, how control.ForwardOptions, at int, o *Owner, keep bool, next func() error) (port int, err error) {
	s.mu.Lock()
	if s.ctx.Err() != nil {
		s.unlock()
		return 0, errClosed
	}
	w := s.find(f)
	if w == nil {
		w = s.add(f, how, at)
	}
	c, gained := w.claim(o)
	c.adding++
	if w.state == control.ForwardDegraded {
		w.hasten()
	}
	s.unlock()

	port, waits, err := w.settled(ctx)
	if err != nil && w.outlasts(ctx) {
		port, waits, err = w.settled(ctx)
	}
	for waits && next != nil {
		if err = next(); err != nil {
			break
		}
		port, waits, err = w.settled(ctx)
	}
	s.mu.Lock()
	c.adding--
	last := false
	if err != nil && !keep && gained {
		last = w.drop(c)
	}
	s.unlock()
	if last {
		s.endWhere(func(x *forward) bool { return x == w && len(x.claims) == 0 }, "")
	}
	return port, err
}

// settled waits for the attempt under way. The forward waits if that can come to
// nothing before another server serves.
func (w *forward) settled(ctx context.Context) (port int, waits bool, err error) {
	for {
		w.set.mu.Lock()
		state, port, failure, moved := w.state, w.port, w.failure, w.moved
		w.set.mu.Unlock()
		switch state {
		case control.ForwardActive, control.ForwardWaiting:
			return port, state == control.ForwardWaiting, nil
		case control.ForwardDegraded:
			return port, false, failure
		case "":
			if w.set.ctx.Err() != nil {
				return 0, false, errClosed
			}
			return 0, false, errEnded
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return port, false, fmt.Errorf("%s: %w", w.want, context.Cause(ctx))
		}
	}
}

// hasten has a degraded forward attempted now; mu is held.
func (w *forward) hasten() {
	w.turn(control.ForwardOpening)
	w.next = w.since // now
	if w.want.Kind.Remote() {
		w.set.wake()
		return
	}
	select {
	case w.again <- struct{}{}:
	default:
	}
}

// find is the forward that f names; mu is held. One that was asked for by port 0
// is also named by the port that it was given.
func (s *Set) find(f control.Forward) *forward {
	for _, w := range s.list {
		if w.want == f || w.port != 0 && w.named() == f {
			return w
		}
	}
	return nil
}

// claim is o's, and whether it is new; mu is held.
func (w *forward) claim(o *Owner) (*claim, bool) {
	for _, c := range w.claims {
		if c.Owner == o {
			return c, false
		}
	}
	c := &claim{Owner: o}
	w.claims = append(w.claims, c)
	return c, true
}

// drop takes a claim off and reports whether there is no other; mu is held.
func (w *forward) drop(c *claim) bool {
	w.claims = slices.DeleteFunc(w.claims, func(x *claim) bool { return x == c })
	return len(w.claims) == 0
}

// Release drops o everywhere. A forward without owners ends: its port is free
// when Release returns, and a server that listens for it is asked to stop.
// Connections that are through it live on, as in ssh -O cancel.
func (s *Set) Release(o *Owner) { s.dropOwners(func(c *Owner) bool { return c == o }, false) }

// DropSticky drops every owner that is sticky, so that forwards which no client
// wants end, as Release has them end.
func (s *Set) DropSticky() { s.dropOwners(func(c *Owner) bool { return c.Sticky }, false) }

// RetireSticky is DropSticky for forwards whose ports another process wants: what was
// accepted, and does not go through yet, goes on.
func (s *Set) RetireSticky() { s.dropOwners(func(c *Owner) bool { return c.Sticky }, true) }

func (s *Set) dropOwners(match func(*Owner) bool, spares bool) {
	s.endWhere(func(w *forward) bool {
		w.claims = slices.DeleteFunc(w.claims, func(c *claim) bool { return match(c.Owner) })
		w.spares = spares && len(w.claims) == 0
		return len(w.claims) == 0
	}, "")
}

// Cancel ends f, whoever wants it, and reports whether it was there. All four of
// its fields must match (mux.c, compare_forward); of one whose port the server
// chose, either port does. The owners are told.
func (s *Set) Cancel(f control.Forward) bool {
	s.mu.Lock()
	w := s.find(f)
	s.mu.Unlock()
	return w != nil && s.endWhere(func(x *forward) bool { return x == w }, " was cancelled") > 0
}

// CancelAll ends every forward, whoever wants it. No owner is told: what ends
// them all is something that he hears of himself.
func (s *Set) CancelAll() { s.endWhere(func(*forward) bool { return true }, "") }
