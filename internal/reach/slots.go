package reach

import (
	"context"
	"slices"
	"sync"
)

const (
	// PerServer is how many connections to one server may be on their way to a
	// login at a time. sshd drops newcomers at random from ten such connections
	// on (MaxStartups 10:30:100), those of other people among them, and four
	// logins at once saturate the cores that a small server has for key
	// exchanges.
	PerServer = 4
	// Overall is how many there may be to all servers together. After a wake or
	// an outage of the network every connection is made anew: each costs a core
	// some milliseconds of key exchange, and the path, which is the same one for
	// all behind a bastion or a home router, an entry in a table. Sixteen at a
	// time have a thousand hosts back within a minute where a login takes less
	// than a second, and leave a client that waits no further than one of them
	// from its turn.
	Overall = 16
)

// Slots bounds the unauthenticated connections, to each server and together.
// What a connection is counted by is the caller's to say. The zero value has
// all of them free.
//
// Who waits is served in the order of its coming, whoever a client waits for
// before all others. One whose server has no slot free keeps its place and
// holds nobody up: the next in line whose server has one goes. It is not
// overtaken for its own server's slot, which frees one of all when it becomes
// free, and it is the first then that can take them.
//
// Both limits are taken in one step, never one while waiting for the other, so
// a full server keeps no slots from the others. And whoever holds a slot must
// not wait for another one, or a chain of jump hosts could wait for itself.
// Have a jump host logged in, then, before the slot of what goes through it is
// taken: a slot is held only over things that end by themselves, a connect, a
// channel open and a handshake, each with its limit, and is given back while a
// person is asked. So all that wait for a jump host share the failure of one
// dial to it, too, instead of four at a time each causing another.
type Slots struct {
	mu      sync.Mutex
	taken   map[string]int // guarded by mu; of servers with a slot taken
	total   int            // guarded by mu; the sum of taken
	waiting []*place       // guarded by mu; in their order. None of them could go
}

// place is a place in the line.
type place struct {
	key    string
	urgent bool
	turn   chan struct{} // closed when the slot is handed over
}

// Enter waits for a slot and returns what gives it back, to be called once.
// Urgent is a connection that a client waits for: it goes before those that
// are not. The error is ctx's.
func (s *Slots) Enter(ctx context.Context, key string, urgent bool) (leave func(), err error) {
	p := s.join(key, urgent)
	select {
	case <-p.turn:
		return func() { s.leave(key) }, nil
	case <-ctx.Done():
	}
	if !s.quit(p) {
		s.leave(key) // it was handed over in this very moment
	}
	return nil, ctx.Err()
}

// join takes a place in the line. Its turn may have come already.
func (s *Slots) join(key string, urgent bool) *place {
	p := &place{key: key, urgent: urgent, turn: make(chan struct{})}
	s.mu.Lock()
	defer s.mu.Unlock()
	i := len(s.waiting)
	if urgent {
		if j := slices.IndexFunc(s.waiting, func(w *place) bool { return !w.urgent }); j >= 0 {
			i = j
		}
	}
	s.waiting = slices.Insert(s.waiting, i, p)
	s.admit()
	return p
}

// quit leaves the line, and reports whether that was still possible. It frees
// nothing that another one could take.
func (s *Slots) quit(p *place) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.Index(s.waiting, p)
	if i < 0 {
		return false
	}
	s.waiting = slices.Delete(s.waiting, i, i+1)
	return true
}

// leave gives a slot back.
func (s *Slots) leave(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.total--
	if s.taken[key]--; s.taken[key] == 0 {
		delete(s.taken, key)
	}
	s.admit()
}

// admit hands a slot to the first in line that can take it. There is no second
// one: what came in or was given back is one slot, and before it none could go.
// Called with mu held.
func (s *Slots) admit() {
	if s.total >= Overall {
		return
	}
	i := slices.IndexFunc(s.waiting, func(p *place) bool { return s.taken[p.key] < PerServer })
	if i < 0 {
		return
	}
	p := s.waiting[i]
	s.waiting = slices.Delete(s.waiting, i, i+1)
	if s.taken == nil {
		s.taken = map[string]int{}
	}
	s.taken[p.key]++
	s.total++
	close(p.turn)
}

// Busy is how many servers have a slot taken.
func (s *Slots) Busy() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.taken)
}
