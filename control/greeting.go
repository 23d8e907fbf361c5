package control

import (
	"slices"
	"sync"
	"time"
)

// greetings are the connections whose preface has not come yet, the oldest
// first.
type greetings struct {
	mu   sync.Mutex
	list []*greeting // guarded by mu
}

// greeting is one of them; out is guarded by greetings.mu.
type greeting struct {
	c   Conn
	out bool // it was made to go
}

// join gives the connection prefaceTimeout. Beyond maxGreeting the oldest has
// to go. It does so by its deadline, so that nobody but its own goroutine
// writes to it or closes it.
func (g *greetings) join(c Conn) *greeting {
	g.mu.Lock()
	defer g.mu.Unlock()
	c.SetReadDeadline(time.Now().Add(prefaceTimeout))
	me := &greeting{c: c}
	g.list = append(g.list, me)
	if len(g.list) > maxGreeting {
		g.list[0].out = true
		g.list[0].c.SetReadDeadline(time.Unix(1, 0))
		g.list = slices.Delete(g.list, 0, 1)
	}
	return me
}

// leave lifts the deadline. It is under the lock, because a deadline that join
// sets to a connection that just spoke would end its operation.
func (g *greetings) leave(me *greeting) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.list = slices.DeleteFunc(g.list, func(x *greeting) bool { return x == me })
	me.c.SetReadDeadline(time.Time{})
}

// isOut reports whether the connection was made to go.
func (g *greetings) isOut(me *greeting) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return me.out
}
