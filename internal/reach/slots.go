package reach

import (
	"context"
	"slices"
	"sync"
)

// PerServer is how many connections to one server may be on their way to a
// login at a time. sshd drops newcomers at random from ten such connections on
// (MaxStartups 10:30:100), those of other people among them, and four logins at
// once saturate the cores that a small server has for key exchanges.
const PerServer = 4

// Slots bounds the unauthenticated connections to each server, first come first
// served. What a connection is counted by is the caller's to say. The zero value
// has all of them free.
//
// Whoever holds a slot must not wait for another one, or a chain of jump hosts
// could wait for itself. Have a jump host logged in, then, before the slot of
// what goes through it is taken: a slot is held only over things that end by
// themselves, a connect, a channel open and a handshake, each with its limit,
// and is given back while a person is asked. So all that wait for a jump host
// share the failure of one dial to it, too, instead of four at a time each
// causing another.
type Slots struct {
	mu    sync.Mutex
	lines map[string]*slotLine // guarded by mu; of servers with a slot taken
}

// slotLine is the slots of one server.
type slotLine struct {
	taken   int
	waiting []chan struct{} // closed when its slot is handed over
}

// Enter waits for a slot and returns what gives it back, to be called once.
func (s *Slots) Enter(ctx context.Context, key string) (leave func(), err error) {
	turn := s.join(key)
	select {
	case <-turn:
		return func() { s.leave(key) }, nil
	case <-ctx.Done():
	}
	if !s.quit(key, turn) {
		s.leave(key) // it was handed over in this very moment
	}
	return nil, ctx.Err()
}

// join takes a place in the line. Its turn may have come already.
func (s *Slots) join(key string) chan struct{} {
	turn := make(chan struct{})
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lines == nil {
		s.lines = map[string]*slotLine{}
	}
	l := s.lines[key]
	if l == nil {
		l = &slotLine{}
		s.lines[key] = l
	}
	if l.taken < PerServer {
		l.taken++
		close(turn)
	} else {
		l.waiting = append(l.waiting, turn)
	}
	return turn
}

// quit leaves the line, and reports whether that was still possible.
func (s *Slots) quit(key string, turn chan struct{}) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.lines[key]
	i := slices.Index(l.waiting, turn)
	if i < 0 {
		return false
	}
	l.waiting = slices.Delete(l.waiting, i, i+1)
	return true
}

// leave hands the slot to the next in line.
func (s *Slots) leave(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.lines[key]
	if len(l.waiting) > 0 {
		close(l.waiting[0])
		l.waiting = l.waiting[1:]
		return
	}
	if l.taken--; l.taken == 0 {
		delete(s.lines, key)
	}
}

// Busy is how many servers have a slot taken.
func (s *Slots) Busy() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.lines)
}
