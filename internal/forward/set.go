package forward

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"muxd/control"
)

// Set is the forwards of one destination. Its methods are safe for concurrent
// use; of them only Add and Probe wait for anything, and so does Incoming where
// it says.
type Set struct {
	cfg    Config // settled: no function is nil
	ctx    context.Context
	cancel context.CancelFunc
	kick   chan struct{} // holds one: the tender looks again

	mu      sync.Mutex // guards what follows and, of every forward, what says so; nothing is called and nothing waited for with it held
	list    []*forward // in the order of Add
	leaving []*forward // local ones off the list that may still have a listener
	pipes   map[*pipe]struct{}

	serving  Server // the server in service; nil: none
	last     Server // the one that served last, which Serve(nil) does not change
	term     context.Context
	endTerm  context.CancelFunc // when another one serves
	patience time.Duration      // how long the servers before are still waited for
	undos    []undo             // listeners to take back, in order

	accepted   int // connections that came here, in any state
	connecting int // incoming channels before they are connected
	incoming   int // incoming channels in any state but refused
	refusing   int // goroutines that refuse one

	notes  []func() // calls to make once mu is free, in order
	noting bool     // somebody makes them
}

// New returns an empty Set, which runs until Close.
func New(cfg Config) *Set {
	if cfg.Dial == nil {
		cfg.Dial = dialer().DialContext
	}
	if cfg.Listen == nil {
		cfg.Listen = listen
	}
	if cfg.Rand == nil {
		cfg.Rand = rand.Float64
	}
	if cfg.Changed == nil {
		cfg.Changed = func(control.ForwardStatus) {}
	}
	s := &Set{cfg: cfg, kick: make(chan struct{}, 1), pipes: map[*pipe]struct{}{}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.term, s.endTerm = context.WithCancel(s.ctx)
	go s.tend()
	return s
}

// Close ends every forward and every connection: a connection is reset, because
// what it carried did not come to its end. It returns when all goroutines are
// on their way out. Nothing is taken back from a server.
func (s *Set) Close() {
	s.cancel()
	s.endWhere(func(*forward) bool { return true }, "")
	s.mu.Lock()
	defer s.mu.Unlock()
	for p := range s.pipes {
		go p.abort(true) // may wait for the connection to take the channel's end
	}
}

// unlock frees mu, and then makes the calls that were noted under it. They are
// made by one goroutine at a time, which keeps them in order; another that comes
// meanwhile leaves its own to that one.
func (s *Set) unlock() {
	defer s.mu.Unlock()
	if s.noting {
		return
	}
	s.noting = true
	for len(s.notes) > 0 {
		notes := s.notes
		s.notes = nil
		s.mu.Unlock()
		for _, call := range notes {
			call()
		}
		s.mu.Lock()
	}
	s.noting = false
}

// wake has the tender look again.
func (s *Set) wake() {
	select {
	case s.kick <- struct{}{}:
	default: // it will
	}
}

// Status is every forward as it is now, in the order of Add. A port that the
// server chose stands in it.
func (s *Set) Status() []control.ForwardStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]control.ForwardStatus, len(s.list))
	for i, w := range s.list {
		all[i] = w.status()
	}
	return all
}

// Standing is how many forwards are wanted, in whatever state.
func (s *Set) Standing() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.list)
}

// Open is how many connections go through forwards now or are on their way to it,
// from their being accepted to their end, those of forwards that ended meanwhile
// among them.
func (s *Set) Open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.accepted + s.incoming
}

// endWhere ends forwards, and has their owners told text unless it is empty. It
// returns how many once the ports are free again.
func (s *Set) endWhere(match func(*forward) bool, text string) int {
	var listening []*listeners
	s.mu.Lock()
	n := len(s.list)
	s.list = slices.DeleteFunc(s.list, func(w *forward) bool {
		if !match(w) {
			return false
		}
		if w.listening != nil {
			listening = append(listening, w.listening)
		}
		if text != "" {
			w.tell(w.named().String() + text)
		}
		w.end()
		return true
	})
	n -= len(s.list)
	s.unlock()
	for _, l := range listening {
		l.close()
	}
	return n
}
