package master

import (
	"context"
	"fmt"
	"time"

	"muxd/control"
	"muxd/internal/dest"
	"muxd/internal/sshlink"
)

// Manage implements control.Backend: what ssh -O asks of a master. The texts
// and exit statuses are ssh's (mux.c, muxclient), because scripts read them.
func (m *Master) Manage(ctx context.Context, r *control.ManageRequest) (*control.Managed, error) {
	d := r.Dest.(*dest.Destination)
	h := m.lookup(d)
	held := r.Command == "exit" && m.endHolds(d.Key)
	switch {
	case r.Command == "cancel" && h != nil:
		return h.cancelForwards(r.Forward), nil
	case r.Command == "forward" && h != nil && h.wanted():
		return m.addForwards(ctx, r.Forward)
	case held && h == nil: // forgotten, for it waits for a person
		return &control.Managed{Text: exitSent}, nil
	case h == nil || !h.up() && !(r.Command != "check" && h.giveUp()) && !held:
		return nil, &control.Error{Phase: control.NotDialled, Host: d.Name, Text: h.absence()}
	}
	switch r.Command {
	case "conninfo":
		return &control.Managed{Out: connectionText(h.status())}, nil
	case "channels":
		return &control.Managed{Out: channelsText(h.status())}, nil
	case "check":
		return m.check(ctx, d, h)
	case "exit":
		h.call(func() {
			h.shut(sshlink.ErrAsked)
			h.hostKey = nil // what comes now is a first login
			h.dismiss()
			h.forwards.CancelAll()
		})
		return &control.Managed{Text: exitSent}, nil
	case "stop":
		h.call(func() { h.dismiss(); h.forwards.DropSticky() })
		return &control.Managed{Text: "Stop listening request sent."}, nil
	}
	return nil, &control.Error{Phase: control.NotDialled, Host: d.Name, Text: fmt.Sprintf("a multiplex command %q that nobody knows", r.Command)}
}

const exitSent = "Exit request sent."

// giveUp has nobody want a connection that is not there, until the next request,
// and reports whether somebody did: what is dialled in vain can be told to end
// like what is connected. Clients that wait are not sent away; who holds the
// connection is told by endHolds.
func (h *host) giveUp() (did bool) {
	h.call(func() {
		_, why := h.demand(time.Now())
		if did = why != "" && h.client() == nil; did {
			h.dismiss()
		}
	})
	return did
}

// up reports a connection that is not on its way out. One that does not answer
// just now is up: it carries sessions, and can be told to end.
func (h *host) up() bool {
	up := false
	h.call(func() {
		for l := range h.links {
			s := l.State()
			up = up || s == sshlink.Ready || s == sshlink.Suspect
		}
	})
	return up
}

// absence says that there is no connection, and why if that is known.
func (h *host) absence() string {
	text := "no connection"
	if h == nil {
		return text
	}
	if st := h.status(); st.LastErr != "" && st.State != Idle.String() {
		text += " (" + st.State + ": " + st.LastErr + ")"
	}
	return text
}
