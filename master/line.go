package master

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"muxd/control"
	"muxd/internal/dest"
)

// Who finds no place stands in line. A place that becomes free goes by turns to
// who came first, and to the first of the client that has the fewest places: a
// script with a hundred commands does not keep a person with one command out,
// and one after the other gets a hundred of them no further than twice as far
// back in line.
//
// A client is what a terminal's window, a service or a cron job is to the
// system, a session of processes: a hundred muxc of one xargs are one, and so is
// the hundredth muxc of a loop.

// clientOf is the client that a process is part of, 0 for one that is not known.
// A process that is gone is a client of its own.
func clientOf(pid int) int {
	if pid <= 0 {
		return 0
	}
	if sid, err := unix.Getsid(pid); err == nil {
		return sid
	}
	return pid
}

// serve gives links to whoever waits, and sees to those for whom there is none.
// Called in run.
func (h *host) serve() {
	h.serveForwards() // before who asks for forwards is given the connection that they are asked for on
	// Who needs no place passes by those who wait for one.
	h.waiters = slices.DeleteFunc(h.waiters, func(w *waiter) bool {
		l := h.pick(w)
		if !w.bare || l == nil {
			return false
		}
		h.give(w, l)
		return true
	})
	for {
		w, l, err := h.next()
		if w == nil {
			break
		}
		h.waiters = slices.DeleteFunc(h.waiters, func(x *waiter) bool { return x == w })
		if err != nil {
			w.answer <- answer{err: err}
			continue
		}
		h.give(w, l)
		h.turn++
		h.turns[w.client], h.fairly = h.turn, !h.fairly && h.places.limit > 0
	}
	if len(h.waiters) == 0 {
		clear(h.turns)
		return
	}
	h.grow()
}

// next is who is to have a place now, and where, or who is to be told that none
// is to be had; nil when everybody has to wait.
func (h *host) next() (*waiter, *link, error) {
	for _, w := range h.line() {
		switch l := h.pick(w); {
		case w.bare:
		case l != nil && h.waitsForOwn(w, l):
		case l != nil:
			return w, l, nil
		case !h.otherAgent(w):
			return nil, nil, nil // waits for a place, and so does everybody behind
		default:
			if err := h.noFurther(); err != nil {
				return w, nil, err
			}
		}
	}
	return nil, nil, nil
}

// line is the order of those who wait for a place, for the turn that it is.
func (h *host) line() []*waiter {
	if !h.fairly {
		return h.waiters
	}
	line := slices.Clone(h.waiters)
	slices.SortStableFunc(line, func(a, b *waiter) int {
		ha, ta := h.rank(a)
		hb, tb := h.rank(b)
		return cmp.Or(cmp.Compare(ha, hb), cmp.Compare(ta, tb))
	})
	return line
}

// rank is how many places w's client has, and when it was given the last one.
func (h *host) rank(w *waiter) (places, turn int) {
	if w.again { // it has had its turn
		return -1, 0
	}
	return h.held[w.client], h.turns[w.client]
}

// hold counts the places of a client.
func (h *host) hold(client, n int) {
	if h.held[client] += n; h.held[client] == 0 {
		delete(h.held, client)
	}
}

// pick returns the link that suits w best, nil where none does. Called in run.
func (h *host) pick(w *waiter) *link {
	if l := h.current; l != nil && h.cost(l, w) == 0 && h.suits(l, w) {
		return l // nearly always
	}
	var best *link
	for l := range h.links {
		if !h.suits(l, w) {
			continue
		}
		if best == nil || h.cost(l, w) < h.cost(best, w) || h.cost(l, w) == h.cost(best, w) && l.ID < best.ID {
			best = l
		}
	}
	return best
}

func (h *host) suits(l *link, w *waiter) bool {
	return h.fits(l, w) && (w.agent == "" || l.lentTo == "" || l.lentTo == w.agent)
}

// fits is suits but for the agent.
func (h *host) fits(l *link, w *waiter) bool {
	return l.Usable() && (w.bare || !l.paused && h.places.room(l.given(), l.Count(), time.Now()))
}

// placeLeast is how long a line may stand still for somebody who would not wait
// for a connection (WaitForReady no): in less, fifty short commands pass through
// ten places.
const placeLeast = 5 * time.Second

// waitsForPlace is the error of a waiter that waits for a place no longer, nil
// for one that does. Nobody is sent away while the line moves: the hundredth of
// a hundred commands has its turn, however long the others take. That a place
// was given moves nothing, for the server may not know of it: a session has to
// begin. Where it is not to have a connection of its own it still has one that
// is being made for it.
func (h *host) waitsForPlace(w *waiter, a *agenda) error {
	if w.bare || w.dest.Patience == dest.Forever {
		return nil
	}
	bound, until := w.dest.Patience, w.dest.Asked.Add(w.dest.Patience)
	if bound == 0 {
		bound, until = placeLeast, w.since.Add(placeLeast)
	}
	if moved := h.lineMoved.Add(bound); moved.After(until) {
		until = moved
	}
	if !w.overdue(until, bound, a) {
		return nil
	}
	return &control.Error{Phase: control.Refused, Host: w.dest.Name,
		Text: fmt.Sprintf("%s (no place for %v; WaitForReady sets how long)", h.noPlace(), bound)}
}

// noPlace says what those in line wait for, and why there is no further
// connection for them.
func (h *host) noPlace() string {
	fit := 0
	for l := range h.links {
		if l.Usable() {
			fit++
		}
	}
	text := "the server takes no more sessions"
	switch n := h.places.limit; {
	case n == 1:
		text = "the server takes one session on a connection"
	case n > 1:
		text = fmt.Sprintf("the server takes %d sessions on a connection", n)
	}
	text += ", one has to end"
	switch {
	case h.needsPerson:
		text += "; a further connection needs a person to log in"
	case fit >= h.maxConnections():
		text += fmt.Sprintf("; MaxConnections is %d", h.maxConnections())
	case h.places.denied != nil:
		text += "; a further connection failed: " + withoutHost(h.places.denied)
	}
	return text
}
