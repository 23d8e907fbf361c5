package master

import (
	"context"
	"slices"
	"sync"
)

// slotsPerServer is how many connections to one server may be on their way to a
// login at a time. sshd drops newcomers at random from ten such connections on
// (MaxStartups 10:30:100), those of other people among them, and four logins at
// once saturate the cores that a small server has for key exchanges.
const slotsPerServer = 4

// slots bounds the unauthenticated connections to each server, first come first
// served. What a connection is counted by is destination.way.
//
// Whoever holds a slot must not wait for another one, or a chain of jump hosts
// could wait for itself. throughHop therefore has its jump host logged in before
// it takes the slot of what goes through it: a slot is only ever held over
// things that end by themselves, a connect, a channel open and a handshake, each
// with its limit. One in which a person is asked gives its slot back after a
// while (deadline), and then counts no more. It also lets all that wait for a jump host share the failure
// of one dial to it, instead of four at a time each causing another.
type slots struct {
	mu    sync.Mutex
	lines map[string]*slotLine // guarded by mu; of servers with a slot taken
}

// slotLine is the slots of one server.
type slotLine struct {
	taken   int
	waiting []chan struct{} // closed when its slot is handed over
}

// enter waits for a slot and returns what gives it back, to be called once.
func (s *slots) enter(ctx context.Context, key string) (leave func(), err error) {
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
func (s *slots) join(key string) chan struct{} {
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
	if l.taken < slotsPerServer {
		l.taken++
		close(turn)
	} else {
		l.waiting = append(l.waiting, turn)
	}
	return turn
}

// quit leaves the line, and reports whether that was still possible.
func (s *slots) quit(key string, turn chan struct{}) bool {
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
func (s *slots) leave(key string) {
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

// way is what a connection's slot is counted by: the server or, where there is
// one, the jump host that it goes through, whose network it would flood; a
// ProxyCommand by its text, because nobody knows where it leads.
func (d *destination) way() string {
	switch {
	case d.via != nil:
		return "via " + d.via.key
	case d.proxy != "":
		return "by " + d.proxy
	}
	return "to " + d.addr()
}
