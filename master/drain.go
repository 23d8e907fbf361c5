package master

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"muxd/control"
)

// A muxd that drains takes on nothing new and ends with its last session, so that
// another one, of another version perhaps, takes what comes from then on. The last
// session is over when its client has taken all of its output. Forwards that stand
// without a client go at once, because the next muxd wants their ports; those of a
// client stay until the end. What came to either is waited for, from the moment that
// it was accepted: it may wait for the connection still, or for the far side. A client
// that keeps the connection (-N) is waited for as a session is, because its
// forwards would be cut: for as long as its window is open, which whoever waits
// for the drain is told. One that stands for a ControlPath (-M) is not: nobody
// comes by that any more, and nothing would ever end it.

// drainLook is how often a muxd that drains looks whether it is done. It looks
// rather than being told, since what ends, ends in several places.
const drainLook = 100 * time.Millisecond

// drain has muxd drain, and returns when it has, or ctx ends. Only lastGone looks
// whether it has: where everybody did, who looks first would end muxd under the
// others.
func (m *Master) drain(ctx context.Context, r *control.StopRequest) (*control.Stopped, error) {
	links, _ := m.Links()
	if m.gate.Drain() {
		m.beginDrain()
	}
	ticker := time.NewTicker(drainLook)
	defer ticker.Stop()
	for told := ""; ; {
		if n, what := m.unfinished(); n > 0 && what != told && r.Waits != nil {
			r.Waits(control.Waiting{Cause: what})
			told = what
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-m.drainOver:
			if !m.drained {
				return nil, errStopping
			}
			return &control.Stopped{Done: true, PID: os.Getpid(), Hosts: links}, nil
		}
	}
}

// beginDrain is called once.
func (m *Master) beginDrain() {
	m.cfg.Log.Info("draining")
	m.events.tell(control.Event{Time: time.Now(), Kind: control.EventMuxd, To: "draining"}, "")
	for _, h := range m.all() {
		h.forwards.RetireSticky()
		h.post(func() {
			h.sendAway()
			h.unwait()
		})
	}
	if m.cfg.OnDrain != nil {
		m.cfg.OnDrain()
	}
	m.mu.Lock() // so that Close does not begin to wait in between
	defer m.mu.Unlock()
	if m.ctx.Err() != nil {
		close(m.drainOver)
		return
	}
	m.wg.Go(m.lastGone) // also when nobody waits for it
}

// lastGone ends muxd with the last of what it has.
func (m *Master) lastGone() {
	defer close(m.drainOver)
	ticker := time.NewTicker(drainLook)
	defer ticker.Stop()
	for {
		// What Close cuts has not drained.
		if n, _ := m.unfinished(); n == 0 && m.ctx.Err() == nil {
			m.drained = true
			if m.cfg.OnStop != nil {
				m.cfg.OnStop()
			}
			return
		}
		select {
		case <-ticker.C:
		case <-m.ctx.Done():
			return
		}
	}
}

// unfinished is how much a muxd that drains has to wait for, and what that is.
func (m *Master) unfinished() (n int, what string) {
	more := !m.gate.Empty() // first: what has left there by then is seen below
	var parts []string
	for _, h := range m.all() {
		st, open := h.status(), h.forwards.Open()
		n += len(st.Sessions) + open
		for _, s := range st.Sessions {
			command := s.Command
			if command == "" {
				command = s.Kind
			}
			parts = append(parts, fmt.Sprintf("%s: %.40s (pid %d)", st.Name, control.CleanLine(command), s.PID))
		}
		if open > 0 {
			parts = append(parts, fmt.Sprintf("%s: %d through forwards", st.Name, open))
		}
	}
	for _, r := range m.held() {
		n++
		parts = append(parts, fmt.Sprintf("%s: -N (pid %d)", r.Dest, r.PID))
	}
	const most = 3
	if more := len(parts) - most; more > 0 {
		parts = append(parts[:most:most], fmt.Sprintf("and %d more", more))
	}
	if n == 0 && more {
		return 1, "a session that is being opened, or whose output its client has not taken"
	}
	return n, strings.Join(parts, ", ")
}

// held is who keeps a connection and would not come back, in the order of their
// processes' numbers.
func (m *Master) held() []*control.HoldRequest {
	m.mu.Lock()
	defer m.mu.Unlock()
	var rs []*control.HoldRequest
	for h := range m.holds {
		if !h.r.Serves {
			rs = append(rs, h.r)
		}
	}
	slices.SortFunc(rs, func(a, b *control.HoldRequest) int { return cmp.Compare(a.PID, b.PID) })
	return rs
}

// movable reports a client's request of which nothing was begun: another muxd serves
// it as well.
func (w *waiter) movable() bool { return w.asks && !w.background() }

// coming is how many of them wait here. Called in run.
func (h *host) coming() (n int) {
	for _, w := range h.waiters {
		if w.movable() {
			n++
		}
	}
	return n
}

// leaves is why a waiter has to ask another muxd, nil where it may wait here.
func (h *host) leaves(w *waiter) error {
	if !w.movable() {
		return nil
	}
	return h.m.gate.Leaves()
}

// sendAway refuses those who have to. It looks at the gate once: one that shuts
// meanwhile must refuse nobody without a reason. Called in run.
func (h *host) sendAway() {
	if why := h.m.gate.Leaves(); why != nil {
		h.refuse(why, (*waiter).movable)
	}
}

// ending is what a waiter is told that muxd's end met.
func (h *host) ending(w *waiter) error { return cmp.Or(h.leaves(w), errStopping) }
