package sshmux

import (
	"context"
	"maps"
	"slices"
	"sync"

	"muxd/control"
	"muxd/socket"
)

// door is one path that is served for one destination.
//
//	serving ──stop, taken over──► draining ──last client──► done
//	   └──exit, last claim closed──► closed (its clients too) ──► done
type door struct {
	s        *Doors
	path     string
	dest     control.Destination // as it was when the door was opened
	listener *socket.Listener
	done     chan struct{} // closed when nothing is left

	mu      sync.Mutex // guards following
	request *control.ListenRequest
	claims  []*claim // the oldest first
	confirm bool     // somebody asked to be asked
	stays   bool     // nobody's end is the door's end
	clients map[*client]bool
	stopped bool // no new ones
	ended   bool // done is closed
}

func newDoor(s *Doors, r *control.ListenRequest, l *socket.Listener) *door {
	return &door{s: s, path: r.Path, dest: r.Dest, listener: l, request: r, done: make(chan struct{}), clients: map[*client]bool{}}
}

// serves reports whether the door is for what r asks for: another alias of the
// same machine may be another login.
func (d *door) serves(r *control.ListenRequest) bool { return r.Dest.Same(d.dest) }

// claim is one request's part in a door (control.Door).
type claim struct {
	d    *door
	p    control.Prompter // who holds it
	asks bool             // p wants to be asked
	pid  int              // guarded by d.mu
	// opened is closed when p has what it wants itself: until then what it is
	// asked is about its own login.
	opened chan struct{}
}

func (d *door) claim(r *control.ListenRequest, p control.Prompter) *claim {
	c := &claim{d: d, p: p, asks: r.Confirm, pid: r.PID, opened: make(chan struct{})}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.request = r
	d.confirm = d.confirm || r.Confirm
	d.claims = append(d.claims, c)
	return c
}

// pid is the process that stands for the door: who asked for it first and is
// still there, else muxd.
func (d *door) pid() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.claims) > 0 && d.claims[0].pid > 0 {
		return d.claims[0].pid
	}
	return d.s.PID // stock ssh takes no 0
}

// holder is whom to ask about a client's request, nil where nobody is there any
// more who asked to be. Who shares the door without that does not undo it.
func (d *door) holder() (c *claim, ask bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if i := slices.IndexFunc(d.claims, func(c *claim) bool { return c.asks }); i >= 0 {
		c = d.claims[i]
	}
	return c, d.confirm
}

func (d *door) wants() *control.ListenRequest {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.request
}

// accept serves clients until the listener ends.
func (d *door) accept() {
	for {
		conn, err := d.listener.Accept()
		if err != nil {
			break
		}
		if conn.Scarce() {
			// A session would take five more. ssh goes its own way, and muxd keeps
			// what it needs to be told to end.
			d.s.Log.Warn("client of a ControlPath turned away: too many open files", "path", d.path, "pid", conn.PeerPID())
			conn.Close()
			continue
		}
		c := newClient(d, conn)
		if !d.join(c) {
			conn.Close()
			continue
		}
		d.s.clients.Add(1)
		d.s.running.Go(func() {
			defer d.s.clients.Add(-1)
			c.serve(d.s.ctx)
			d.leave(c)
		})
	}
	d.stop()
}

func (d *door) join(c *client) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stopped {
		return false
	}
	d.clients[c] = true
	return true
}

func (d *door) leave(c *client) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.clients, c)
	d.settle()
}

// settle closes done when nothing is left. Called with mu held.
func (d *door) settle() {
	if d.stopped && len(d.clients) == 0 && !d.ended {
		d.ended = true
		close(d.done)
	}
}

// stop ends the listening (ssh -O stop). Whoever is in goes on.
func (d *door) stop() { d.s.remove(d, func() bool { return true }) }

// end is stop, and the clients' end too (ssh -O exit).
func (d *door) end() {
	d.stop()
	d.mu.Lock()
	all := slices.Collect(maps.Keys(d.clients))
	d.mu.Unlock()
	for _, c := range all {
		c.end()
	}
}

func (d *door) resized() {
	d.mu.Lock()
	all := slices.Collect(maps.Keys(d.clients))
	d.mu.Unlock()
	for _, c := range all {
		c.resized()
	}
}

// Resized implements control.Door.
func (c *claim) Resized() { c.d.resized() }

// Opened implements control.Door.
func (c *claim) Opened() { close(c.opened) }

// Moved implements control.Door.
func (c *claim) Moved(pid int) {
	c.d.mu.Lock()
	defer c.d.mu.Unlock()
	c.pid = pid
}

// Done implements control.Door.
func (c *claim) Done() <-chan struct{} { return c.d.done }

// Drain implements control.Door.
func (c *claim) Drain(ctx context.Context) {
	if !c.d.s.remove(c.d, c.last) {
		return
	}
	select {
	case <-c.d.done:
	case <-ctx.Done():
	}
}

// last reports that the door ends with c. Called with d.mu held.
func (c *claim) last() bool {
	return !c.d.stays && len(c.d.claims) == 1 && c.d.claims[0] == c
}

// Ended implements control.Door.
func (c *claim) Ended() bool {
	if c.d.s.ending() {
		return false
	}
	c.d.mu.Lock()
	defer c.d.mu.Unlock()
	return c.d.stopped
}

// Keep implements control.Door.
func (c *claim) Keep() {
	d := c.d
	d.mu.Lock()
	before := d.stays
	d.stays = true
	d.mu.Unlock()
	if !before {
		d.s.watch(d)
	}
}

// outlast ends a door that stays when the destination's connection is given up:
// it has expired, or somebody asked for its end.
func (d *door) outlast() {
	ctx, cancel := context.WithCancel(d.s.ctx)
	defer cancel()
	go func() {
		select {
		case <-d.done:
			cancel()
		case <-ctx.Done():
		}
	}()
	used := false
	for lost := true; lost; {
		lost = false
		d.s.Backend.Events(ctx, &control.EventsRequest{Dest: d.dest}, func(e control.Event) error {
			switch {
			case e.Kind == control.EventLost:
				// The end may be among them. Events begin with how things stand.
				used, lost = true, true
				return errShut
			case e.Kind != control.EventHost:
			case e.To != "idle" && e.To != "closed":
				used = true
			case used:
				d.stop()
				return errShut
			}
			return nil
		})
	}
}

// Close implements control.Door.
func (c *claim) Close() {
	d := c.d
	over := d.s.remove(d, func() bool {
		last := c.last()
		d.claims = slices.DeleteFunc(d.claims, func(o *claim) bool { return o == c })
		return last
	})
	if over {
		d.end()
	}
}
