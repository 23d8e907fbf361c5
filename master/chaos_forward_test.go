package master

import (
	"context"
	"io"
	"slices"
	"strings"
	"testing/synctest"
	"time"

	"muxd/control"
	"muxd/internal/dest"
)

// chaosForwards are the forwards of the clients of a random history. All that they ask
// for are of a few, so that they share some.
var chaosForwards = [][]string{
	{"-L", "1001:db:1"},
	{"-L", "1002:db:1"},
	{"-R", "2001:x:22"},
	{"-R", "0:x:23"},
	{"-L", "1001:db:1", "-R", "2002:x:22"},
	{"-R", "0:x:24", "-L", "1003:db:1", "-R", "2001:x:22"},
}

// chaosClient is the forwards of one client, from its asking to its end.
type chaosClient struct {
	want    []control.Forward
	exits   int // orders to end before it asked
	release func()
}

// sure reports that no order can have ended them. Called with c.mu held.
func (c *chaos) sure(f *chaosClient) bool { return f.exits == c.exits }

// forwardStep is what clients of forwards and those who connect to them do.
func (c *chaos) forwardStep() {
	switch c.rnd.IntN(4) {
	case 0, 1:
		c.forward()
	case 2:
		c.connect()
	default:
		c.mu.Lock()
		defer c.mu.Unlock()
		if n := len(c.holders); n > 0 {
			i := c.rnd.IntN(n)
			c.holders[i].release()
			c.holders = slices.Delete(c.holders, i, i+1)
		}
	}
}

// forward is a client that asks for forwards, and stays.
func (c *chaos) forward() {
	args := append([]string{"-N", "-o", "WaitForReady=" + c.oneOf("no", "5", "45", "yes")}, chaosForwards[c.rnd.IntN(len(chaosForwards))]...)
	p := c.person()
	plan, err := c.r.plan(p, append(args, c.name)...)
	if err != nil {
		c.fail("%q: %v", args, err)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	pl := &plea{at: time.Now(), what: strings.Join(args, " "), bound: dest.Forever, cancel: cancel}
	c.note("ask %s", pl.what)
	c.mu.Lock()
	c.open = append(c.open, pl)
	f := &chaosClient{want: plan.Forward.Forwards, exits: c.exits}
	c.mu.Unlock()
	go func() {
		release, err := c.r.m.Forward(ctx, plan.Forward, p)
		c.note("answer %s: %v", pl.what, err)
		if err == nil {
			f.release = release
			c.mu.Lock()
			c.holders = append(c.holders, f)
			c.mu.Unlock()
		}
		c.answered(pl)
	}()
}

// connect is somebody who connects to a forward, and waits for what comes.
func (c *chaos) connect() {
	name := c.oneOf("localhost:1001", "localhost:1002", "localhost:1003")
	conn, err := c.shore.connect(name)
	if err != nil {
		return
	}
	pl := &plea{at: time.Now(), what: "a connection to " + name, bound: dest.Forever, cancel: func() { conn.Close() }}
	c.mu.Lock()
	c.open = append(c.open, pl)
	c.mu.Unlock()
	stay := time.Duration(c.rnd.IntN(3)*c.rnd.IntN(60)) * time.Second
	go func() {
		conn.Write([]byte("x"))
		n, err := conn.Read(make([]byte, 1))
		c.note("%s: %d bytes, %v", pl.what, n, err)
		time.Sleep(stay)
		conn.Close()
		c.answered(pl)
	}()
}

// forwardsAtRest checks what is true of forwards whenever nothing moves: a
// listener here stands for as long as somebody wants it, and none twice.
func (c *chaos) forwardsAtRest() {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range c.holders {
		for _, w := range f.want {
			if c.sure(f) && !w.Kind.Remote() && !c.shore.listens(w.Listen.String()) {
				c.t.Errorf("nobody listens for %s", w)
			}
		}
	}
	for _, h := range c.r.m.all() {
		seen := map[string]bool{}
		for _, st := range h.forwards.Status() {
			at := st.Forward.String()
			if seen[at] && st.Forward.Listen.Port != 0 {
				c.t.Errorf("%s stands twice", at)
			}
			seen[at] = true
			if st.State == control.ForwardActive && st.Forward.Listen.Port == 0 {
				c.t.Errorf("%s is active at port 0", at)
			}
		}
	}
}

// calmForwards checks, long after all is well, that none was lost, and that
// nothing is left when nobody wants any.
func (c *chaos) calmForwards() {
	c.t.Helper()
	remote := 0
	for _, h := range c.r.m.all() {
		ready := h.State() == Ready
		for _, st := range h.forwards.Status() {
			switch {
			case !ready && st.Forward.Kind.Remote():
			case st.State != control.ForwardActive:
				c.fail("%s is %s 20 minutes after all is well: %s", st.Forward, st.State, st.LastErr)
			case st.Forward.Kind.Remote():
				remote++
				c.comesThrough(st.Forward.Listen.String())
			}
		}
		if got := c.far.Forwards(); ready && h.forwards.Standing() > 0 && len(got) != remote {
			c.fail("the server listens at %q, want %d", got, remote)
		}
	}
	c.mu.Lock()
	for _, f := range c.holders {
		for _, w := range f.want {
			if c.sure(f) && !c.stands(w) {
				c.t.Errorf("%s was lost", w)
			}
		}
	}
	holders := c.holders
	c.mu.Unlock()
	for _, f := range holders {
		f.release()
	}
	time.Sleep(10 * time.Second)
	synctest.Wait()
	for _, h := range c.r.m.all() {
		if n := h.forwards.Standing(); n > 0 {
			c.fail("%d forwards that nobody wants", n)
		}
	}
	if got := c.far.Forwards(); len(got) > 0 {
		c.fail("the server listens for nobody at %q", got)
	}
	if n := c.shore.count(); n > 0 {
		c.fail("%d listeners are left", n)
	}
}

// stands reports that some host has the forward.
func (c *chaos) stands(w control.Forward) bool {
	for _, h := range c.r.m.all() {
		for _, st := range h.forwards.Status() {
			at := st.Forward
			if w.Listen.Port == 0 {
				at.Listen.Port = 0
			}
			if at == w {
				return true
			}
		}
	}
	return false
}

// comesThrough connects to a remote forward, which must serve.
func (c *chaos) comesThrough(at string) {
	c.t.Helper()
	ch, err := c.far.Connect(at)
	if err != nil {
		c.fail("connect to %s: %v", at, err)
		return
	}
	defer ch.Close()
	ch.Write([]byte("x"))
	if _, err := io.ReadFull(ch, make([]byte, 1)); err != nil {
		c.fail("through %s: %v", at, err)
	}
}

// listens reports that there is a listener of that name.
func (s *shore) listens(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.listeners[name] != nil
}

func (s *shore) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.listeners)
}
