package forward

import (
	"context"
	"errors"
	"fmt"
	"time"

	"muxd/control"
)

// unlistenMost is how long a server's answer to Unlisten is waited for. One that
// does not answer is as good as dead, and then its listeners go with it.
const unlistenMost = 3 * time.Second

// undo is a listener to take back.
type undo struct {
	srv Server
	at  control.Endpoint
}

var errNoPort = errors.New("the server did not say which port it chose")

// Serve says which connection is in service; nil is none just now, and changes
// nothing for what stands already. When another one serves than did last, every
// remote forward is asked for there, in the order of Add and on the port that it
// had: the listener of a connection before that still lives is taken back
// first, for which the first of them wait 3 s in all. Serve itself never waits.
func (s *Set) Serve(srv Server) {
	s.mu.Lock()
	defer s.unlock()
	if s.ctx.Err() != nil {
		return
	}
	s.serving = srv
	if srv == nil {
		s.unserved()
		return
	}
	if srv == s.last { // it paused
		for _, w := range s.list {
			if w.want.Kind.Remote() && w.on != srv && w.asking == nil {
				w.turn(control.ForwardOpening)
			}
		}
		s.wake()
		return
	}
	s.last = srv
	s.endTerm()
	s.term, s.endTerm = context.WithCancel(s.ctx)
	s.patience = unlistenMost
	for _, w := range s.list {
		if w.want.Kind.Remote() {
			w.tries, w.next = 0, time.Time{}
			if w.on == nil {
				w.turn(control.ForwardOpening)
			}
		}
	}
	go s.watch(srv)
	s.wake()
}

// watch waits for the end of a server that serves or served.
func (s *Set) watch(srv Server) {
	select {
	case <-srv.Done():
	case <-s.ctx.Done():
		return
	}
	s.mu.Lock()
	defer s.unlock()
	if s.serving == srv {
		s.serving = nil
	}
	for _, w := range s.list {
		if w.on == srv {
			if w.on = nil; s.serving != nil {
				w.turn(control.ForwardOpening)
			}
		}
	}
	if s.serving == nil {
		s.unserved()
	}
	s.wake()
}

// unserved has what is to be asked for wait; mu is held. What is being asked for
// just now comes to its own end.
func (s *Set) unserved() {
	for _, w := range s.list {
		if w.want.Kind.Remote() && w.on == nil && w.asking == nil {
			w.next = time.Time{}
			w.turn(control.ForwardWaiting)
		}
	}
}

// served reports that a server is there to be asked; mu is held.
func (s *Set) served() bool { return s.serving != nil && !over(s.serving) }

func over(srv Server) bool {
	select {
	case <-srv.Done():
		return true
	default:
		return false
	}
}

// tend is the one goroutine that asks servers for listeners, one after the
// other, as SSH does anyway: requests for the connection are answered in order
// (RFC 4254 section 4), and forwards are asked for in theirs.
func (s *Set) tend() {
	for s.ctx.Err() == nil {
		job, wait := s.job()
		if job != nil {
			job()
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-s.kick:
		case <-timer.C:
		case <-s.ctx.Done():
		}
		timer.Stop()
	}
}

// job is the next thing to ask, or how long there is none. What is taken back
// comes first, because the same may have been asked for again.
func (s *Set) job() (job func(), wait time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.undos) > 0 {
		u := s.undos[0]
		s.undos = s.undos[1:]
		if over(u.srv) {
			return func() {}, 0
		}
		if u.srv != s.serving { // what it holds may be what the next one is asked for
			return func() { s.leave(u) }, 0
		}
		return func() { s.unlisten(u, unlistenMost) }, 0
	}
	wait = time.Hour
	if !s.served() {
		return nil, wait
	}
	srv, now := s.serving, time.Now()
	for _, w := range s.list {
		if !w.want.Kind.Remote() || w.on == srv {
			continue
		}
		if d := w.next.Sub(now); d > 0 {
			wait = min(wait, d)
			continue
		}
		return func() { s.ask(w, srv) }, 0
	}
	return nil, wait
}

func (s *Set) unlisten(u undo, most time.Duration) {
	ctx, cancel := context.WithTimeout(s.ctx, most)
	defer cancel()
	if err := u.srv.Unlisten(ctx, u.at); err != nil {
		s.cfg.Log.Debug("forward: the server was asked to stop listening", "at", u.at.String(), "err", err)
	}
}

// ask asks srv for one forward. Until it has answered, a connection that comes
// for the forward is taken for what it is, because the two answers may overtake
// each other on their way to here.
func (s *Set) ask(w *forward, srv Server) {
	s.mu.Lock()
	if w.ctx.Err() != nil || s.serving != srv {
		s.mu.Unlock()
		return
	}
	before, at, term := w.on, w.at(), s.term
	if before != nil {
		w.left = before
	}
	w.asking, w.asked = srv, make(chan struct{})
	w.next = time.Time{}
	if w.state != control.ForwardDegraded {
		w.turn(control.ForwardOpening)
	}
	s.unlock()

	if before != nil && !over(before) {
		s.leave(undo{before, at})
	}
	s.mu.Lock()
	if w.on == before {
		w.on = nil
	}
	s.mu.Unlock()
	port, err := srv.Listen(term, at)

	s.mu.Lock()
	defer s.unlock()
	close(w.asked)
	w.asking, w.asked = nil, nil
	if before != nil {
		time.AfterFunc(leftFor, func() { s.forgetLeft(w, before) })
	}
	if err == nil && at.Path == "" && at.Port == 0 {
		if at.Port = port; port <= 0 {
			at.Port, err = 0, errNoPort
		}
	}
	s.answered(w, srv, at, err)
}

// leftFor is for how long after the next server's answer connections of the one
// before are still taken: it opened them before it took the listener back, but
// they come to here by a goroutine of their own.
const leftFor = 200 * time.Millisecond

func (s *Set) forgetLeft(w *forward, before Server) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if w.left == before {
		w.left = nil
	}
}

// leave takes back a listener of a server that serves no more, in a goroutine
// of its own: what is waited for is that the port is free for the next one, and
// that not longer than a living server needs.
func (s *Set) leave(u undo) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.unlisten(u, unlistenMost)
	}()
	s.mu.Lock()
	left := s.patience
	s.mu.Unlock()
	began := time.Now()
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	case <-s.ctx.Done():
	}
	s.mu.Lock()
	s.patience -= time.Since(began) // Serve may have renewed it, at worst by this much less
	s.mu.Unlock()
}

// answered takes what a server said; mu is held.
func (s *Set) answered(w *forward, srv Server, at control.Endpoint, err error) {
	no := errors.Is(err, ErrRefused) || err == errNoPort
	switch {
	case w.ctx.Err() != nil, err != nil && s.last != srv:
		// Nobody wants it any more, or not from this one. Unless it refused it
		// may listen: that it was asked is all that is known where the answer was
		// not waited for.
		if !no && (at.Path != "" || at.Port != 0) {
			s.undos = append(s.undos, undo{srv, at})
		}
		s.pending(w)
	case over(srv):
		s.pending(w)
	case err == nil:
		chosen := w.port == 0 && at.Port != 0
		w.on, w.port = srv, at.Port
		w.stands(nil)
		if chosen {
			w.tell(allocated(at.Port, w.want))
		}
	case no:
		w.fails(refused(at, err))
	default: // the connection's trouble, and not its end so far
		w.postpone(err)
		w.turn(control.ForwardWaiting)
	}
}

// allocated is ssh's line for a port that the server chose (mux.c,
// mux_confirm_remote_forward).
func allocated(port int, f control.Forward) string {
	if f.Kind.Dynamic() {
		return fmt.Sprintf("Allocated port %d for remote dynamic forward", port)
	}
	return fmt.Sprintf("Allocated port %d for remote forward to %s", port, f.Connect)
}

// pending is the state of a forward that stands nowhere and was refused by
// nobody; mu is held.
func (s *Set) pending(w *forward) {
	switch {
	case w.ctx.Err() != nil:
	case s.served():
		w.turn(control.ForwardOpening)
	default:
		w.next = time.Time{}
		w.turn(control.ForwardWaiting)
	}
}
