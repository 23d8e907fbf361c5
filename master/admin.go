package master

import (
	"context"
	"fmt"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"muxd/control"
	"muxd/internal/dest"
)

// outcomePatience is how long muxd reconnect waits to tell how it went.
const outcomePatience = 5 * time.Second

// Admin implements control.Backend.
func (m *Master) Admin(ctx context.Context, r *control.AdminRequest) (*control.Managed, error) {
	d, one := r.Dest.(*dest.Destination)
	if r.Shown != "" {
		h := m.shown(r.Shown)
		if h == nil {
			return nil, &control.Error{Phase: control.NotDialled, Text: "muxd does not know that host any more"}
		}
		d, one = h.destination(), true
	}
	switch r.Command {
	case "lock", "unlock":
		return m.lock(r.Command == "lock"), nil
	}
	if !one {
		return m.adminAll(ctx, r)
	}
	switch r.Command {
	case "reconnect":
		return m.adminReconnect(ctx, d, r.Forget)
	case "recycle":
		return m.adminRecycle(ctx, d)
	case "exit":
		if r.Shown != "" {
			return m.Manage(ctx, &control.ManageRequest{Command: "exit", Dest: d})
		}
	case "wait":
		return m.adminWait(ctx, d, r)
	case "doctor":
		return &control.Managed{Text: m.doctor(d)}, nil
	}
	return nil, &control.Error{Phase: control.NotDialled, Text: fmt.Sprintf("a command %q that nobody knows", r.Command)}
}

// adminAll does for each host that muxd knows what was asked of all, at once.
func (m *Master) adminAll(ctx context.Context, r *control.AdminRequest) (*control.Managed, error) {
	if r.Command == "wait" {
		return nil, &control.Error{Phase: control.NotDialled, Text: "wait needs a host"}
	}
	if r.Command == "reconnect" && r.Forget {
		m.forgetLearned("")
	}
	hs := slices.DeleteFunc(m.all(), func(h *host) bool { return !h.concerned(r.Command) })
	sort.Slice(hs, func(i, j int) bool { return hs[i].name() < hs[j].name() })
	all := &control.Managed{}
	var lines []string
	for _, wave := range waves(r.Command, hs) {
		for _, res := range m.adminEach(ctx, r, wave) {
			lines = append(lines, res.Text)
			all.Code = max(all.Code, res.Code)
		}
	}
	if all.Text = strings.Join(lines, "\n"); len(hs) == 0 {
		all.Text = "no host is connected or wanted"
	}
	return all, nil
}

// adminEach does for each of the hosts what was asked, at once.
func (m *Master) adminEach(ctx context.Context, r *control.AdminRequest, hs []*host) []*control.Managed {
	results := make([]*control.Managed, len(hs))
	var wg sync.WaitGroup
	for i, h := range hs {
		one := *r
		one.Dest, one.Forget = h.destination(), false // forgotten for all
		wg.Go(func() {
			res, err := m.Admin(ctx, &one)
			if err != nil {
				res = &control.Managed{Text: control.CleanLine(err.Error()), Code: 1}
			}
			results[i] = res
		})
	}
	wg.Wait()
	return results
}

// waves are the hosts in the order in which a command is to meet them: jump
// hosts are replaced before what goes through them, or that would be dialled
// over the connection that is on its way out.
func waves(command string, hs []*host) [][]*host {
	if command != "recycle" {
		return [][]*host{hs}
	}
	var all [][]*host
	for _, h := range hs {
		depth := 0
		for via := h.destination().Via; via != nil; via = via.Via {
			depth++
		}
		for len(all) <= depth {
			all = append(all, nil)
		}
		all[depth] = append(all[depth], h)
	}
	return all
}

func (h *host) destination() *dest.Destination {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.shown.dest
}

// concerned reports whether a command for all hosts means this one: what nobody
// wants any more, or was told to end, is not dialled by it, and what is not
// connected cannot be replaced.
func (h *host) concerned(command string) bool {
	switch command {
	case "reconnect":
		return h.State() != Idle
	case "recycle":
		return h.up()
	}
	return true
}

func (h *host) name() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.shown.dest.Name
}

// adminReconnect makes the next attempt due at once, whatever held it back, and
// has a connection that there is prove itself.
func (m *Master) adminReconnect(ctx context.Context, d *dest.Destination, forget bool) (*control.Managed, error) {
	h, err := m.host(d)
	if err != nil {
		return nil, err
	}
	defer m.unuse(h)
	if forget {
		m.forgetLearned(h.key)
	}
	h.call(func() {
		h.blocked, h.dismissed, h.needsPerson = nil, false, false
		h.used = time.Now()
		h.hurry()
		for l := range h.links {
			l.Suspect()
		}
	})
	h.call(func() {}) // it has decided by then: what until sees is not from before
	ctx, cancel := context.WithTimeout(ctx, outcomePatience)
	defer cancel()
	m.until(ctx, d, func(s State) bool { return s == Ready && h.proven(ctx) == nil || s == Blocked })
	st := h.status()
	text, code := fmt.Sprintf("%s: %s", d.Name, st.State), 0
	if st.State != Ready.String() {
		code = 1
		if st.LastErr != "" {
			text += ": " + control.CleanLine(st.LastErr)
		}
	}
	return &control.Managed{Text: text, Code: code}, nil
}

// adminRecycle replaces the connection by a fresh one and cuts nothing: the
// sessions of the old one go on, and it ends with the last of them.
func (m *Master) adminRecycle(ctx context.Context, d *dest.Destination) (*control.Managed, error) {
	h := m.lookup(d)
	if h == nil || !h.up() {
		return nil, &control.Error{Phase: control.NotDialled, Host: d.Name, Text: "no connection"}
	}
	var dial *dialing
	h.call(func() {
		if h.dialing == nil {
			dial = h.dial(h.dest, forChange)
		}
	})
	if dial == nil {
		return nil, &control.Error{Phase: control.NotDialled, Host: d.Name, Text: "a connection is being made already"}
	}
	select {
	case <-dial.done:
	case <-h.ctx.Done():
		return nil, errStopping
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if err := dial.err; err != nil {
		text := "the connection was kept: " + control.CleanLine(withoutHost(err))
		if isCanceled(err) {
			text = "the connection was kept: its replacement was given up, because the network changed or somebody ended it"
		}
		if classify(err) == faultPerson {
			text += " (-O stop retires it all the same, the next login then asks)"
		}
		return nil, &control.Error{Phase: control.Refused, Host: d.Name, Text: text}
	}
	return &control.Managed{Text: d.Name + ": new sessions go to a fresh connection, the old one ends with its last session"}, nil
}

// adminWait waits until there is a connection that the server just answered on,
// or until there is none. Waiting for one makes it wanted, as a client does that
// asks nobody: what only a person can mend ends it after one attempt, with the
// cause and whatever the limit, for no time would mend it. One that does not
// answer counts as none.
func (m *Master) adminWait(ctx context.Context, d *dest.Destination, r *control.AdminRequest) (*control.Managed, error) {
	what := "ready"
	if r.Down {
		what = "down"
	}
	limit := ctx
	if r.Limit > 0 {
		c, cancel := context.WithTimeout(ctx, r.Limit)
		defer cancel()
		limit = c
	}
	var err error
	if r.Down {
		err = m.untilDown(limit, d)
	} else {
		err = m.waitReady(limit, d)
	}
	switch {
	case err == nil:
		return &control.Managed{}, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case limit.Err() == nil:
		return nil, asControl(d.Name, control.Refused, err)
	}
	text := fmt.Sprintf("%s: not %s within %v", d.Name, what, r.Limit)
	if h := m.lookup(d); h != nil {
		if st := h.status(); st.LastErr != "" && !r.Down {
			text += ": " + control.CleanLine(st.LastErr)
		}
	}
	return &control.Managed{Text: text, Code: 1}, nil
}

// waitReady waits as a client does that asks nobody.
func (m *Master) waitReady(ctx context.Context, d *dest.Destination) error {
	patient := *d
	patient.Patience = dest.Forever
	for {
		ls, err := m.acquireBare(ctx, &patient, nobody{})
		if err != nil {
			return err
		}
		err = ls.link.Proven(ctx)
		ls.release()
		if err == nil || ctx.Err() != nil {
			return err
		}
	}
}

// untilDown waits until d's host is not ready. It may be again before that is
// seen here: then it was down all the same.
func (m *Master) untilDown(ctx context.Context, d *dest.Destination) error {
	l := m.events.listen(d.Key)
	defer m.events.leave(l)
	for {
		if h := m.lookup(d); h == nil || h.State() != Ready {
			return nil
		}
		select {
		case <-l.wake:
			if slices.ContainsFunc(l.take(), leavesReady) {
				return nil
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func leavesReady(e control.Event) bool {
	return e.Kind == control.EventHost && e.From == Ready.String()
}

// until waits for a state of d's host.
func (m *Master) until(ctx context.Context, d *dest.Destination, fits func(State) bool) error {
	l := m.events.listen(d.Key)
	defer m.events.leave(l)
	for {
		s := Idle
		if h := m.lookup(d); h != nil {
			s = h.State()
		}
		if fits(s) {
			return nil
		}
		select {
		case <-l.wake:
			l.take()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
