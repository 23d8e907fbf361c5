package control

import (
	"errors"
	"os"
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
	c     Conn
	since time.Time
	out   bool // it was made to go
}

// join gives the connection its time. Beyond maxGreeting the oldest has
// to go. It does so by its deadline, so that nobody but its own goroutine
// writes to it or closes it.
func (g *greetings) join(c Conn, patience time.Duration) *greeting {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	c.SetReadDeadline(now.Add(patience))
	me := &greeting{c: c, since: now}
	g.list = append(g.list, me)
	if len(g.list) > maxGreeting {
		g.dismiss()
	}
	return me
}

// makeRoom has those go that have had the time to speak, and reports whether
// there was any.
func (g *greetings) makeRoom() (some bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for len(g.list) > 0 && time.Since(g.list[0].since) >= scarceTimeout {
		g.dismiss()
		some = true
	}
	return some
}

// dismiss has the oldest go. Called with mu held.
func (g *greetings) dismiss() {
	g.list[0].out = true
	g.list[0].c.SetReadDeadline(time.Unix(1, 0))
	g.list = slices.Delete(g.list, 0, 1)
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

// lastLook is a connection that is read on behind its time where its client has
// spoken. Where many come at once, a goroutine may come to read what was long sent
// when others, who were read before, have had that client go; and a muxd that was
// stopped, or whose machine stood still, wakes behind the time.
type lastLook struct {
	ServerConn
	looked bool
}

// unread is what a ServerConn may say: that bytes have come which nobody has read.
type unread interface{ Unread() bool }

// lookFor is how long a client may take that has begun to speak.
const lookFor = time.Second

// late reports a read that is to be tried again.
func (l *lastLook) late(n int, err error) bool {
	if n > 0 || l.looked || !errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	if u, ok := l.ServerConn.(unread); !ok || !u.Unread() {
		return false
	}
	l.looked = true
	l.SetReadDeadline(time.Now().Add(lookFor))
	return true
}

func (l *lastLook) Read(b []byte) (int, error) {
	n, err := l.ServerConn.Read(b)
	if l.late(n, err) {
		return l.ServerConn.Read(b)
	}
	return n, err
}

// ReadFDs implements ServerConn.
func (l *lastLook) ReadFDs(b []byte, max int) (int, []int, error) {
	n, fds, err := l.ServerConn.ReadFDs(b, max)
	if l.late(n, err) {
		return l.ServerConn.ReadFDs(b, max)
	}
	return n, fds, err
}
