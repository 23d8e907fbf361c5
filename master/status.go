package master

import (
	"context"
	"errors"
	"os"
	"sort"
	"sync"
	"time"

	"muxd/alive"
	"muxd/control"
	"muxd/internal/dest"
)

// Status implements control.Backend.
func (m *Master) Status(ctx context.Context, r *control.StatusRequest) (*control.Status, error) {
	st := &control.Status{PID: os.Getpid(), Build: m.cfg.Build, Started: m.started, Socket: m.cfg.Socket,
		Locked: m.gate.Locked(), Drains: m.gate.Drains()}
	if m.cfg.Clients != nil {
		st.Clients = m.cfg.Clients()
	}
	all := m.all()
	for _, h := range all {
		st.Hosts = append(st.Hosts, h.status())
	}
	if r.Probe {
		probeForwards(ctx, all, st.Hosts)
	}
	sort.Slice(st.Hosts, func(i, j int) bool {
		a, b := &st.Hosts[i], &st.Hosts[j]
		if a.Name != b.Name {
			return a.Name < b.Name
		}
		return a.User+a.Addr < b.User+b.Addr
	})
	return st, nil
}

// probeTimeout bounds the opening of the far sides of forwards: all that a
// person waits for who asks whether they work.
const probeTimeout = 10 * time.Second

// probeForwards has every forward's far side opened once, all hosts at once.
func probeForwards(ctx context.Context, all []*host, into []control.HostStatus) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	var wg sync.WaitGroup
	for i, h := range all {
		wg.Go(func() { into[i].Forwards = h.forwards.Probe(ctx) })
	}
	wg.Wait()
}

// shownID is how a host is named to whoever saw it in status. Its key is a
// digest already.
func shownID(d *dest.Destination) string { return d.Key[:min(len(d.Key), 16)] }

// shown returns the host of an ID, nil where it is gone.
func (m *Master) shown(id string) *host {
	for _, h := range m.all() {
		if shownID(h.destination()) == id {
			return h
		}
	}
	return nil
}

func (h *host) status() control.HostStatus {
	h.mu.Lock()
	d := h.shown.dest
	st := control.HostStatus{ID: shownID(d), Name: d.Name, User: d.User, Addr: d.Addr(), State: h.state.String(), Since: h.since,
		Waiting: h.shown.waiting, Logins: h.logins, Failed: h.failed, Lost: h.losses, Again: h.returns, Limit: h.shown.limit,
		In: h.shown.pastIn, Out: h.shown.pastOut, Persist: d.PersistText(),
		Attempt: h.shown.attempt, Next: h.shown.next, Wanted: h.shown.wanted}
	if h.lastErr != nil {
		st.LastErr = withoutHost(h.lastErr)
	}
	links, current := h.shown.links, h.shown.current
	h.mu.Unlock()
	st.KeepWarm, st.KeepWarmLearned = h.keepWarm(d)
	st.Forwards = h.forwards.Status()
	for _, l := range links {
		ls, ss := l.Status()
		ls.Use = l.use(current)
		st.Links = append(st.Links, ls)
		st.In, st.Out = st.In+ls.In, st.Out+ls.Out
		st.Sessions = append(st.Sessions, ss...)
	}
	return st
}

// keepWarm is the silence after which an idle connection to d is used, and
// whether the path taught it.
func (h *host) keepWarm(d *dest.Destination) (every time.Duration, learned bool) {
	if d.Via != nil || d.Proxy != "" {
		return d.Alive.ProbeAfter(), false
	}
	c := d.Alive.Learned(func() alive.Warmth { return h.m.cfg.Learned.Warmth(h.key, h.m.network()) })
	return c.ProbeAfter(), c.ProbeAfter() != d.Alive.ProbeAfter()
}

// withoutHost is an error's text without the host's name: it stands beside it.
func withoutHost(err error) string {
	var e *control.Error
	if errors.As(err, &e) {
		return e.Text
	}
	return err.Error()
}

// use is what new work the link gets.
func (l *link) use(current *link) string {
	switch {
	case !l.Usable():
		return ""
	case l == current:
		return control.UseMain
	case l.bulk.Load():
		return control.UseBulk
	}
	return control.UseFurther
}
