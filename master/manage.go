package master

import (
	"context"
	"fmt"
	"os"

	"muxd/control"
)

// Manage implements control.Backend: what ssh -O asks of a master. The texts
// and exit statuses are ssh's (mux.c, muxclient), because scripts read them.
func (m *Master) Manage(_ context.Context, r *control.ManageRequest) (*control.Managed, error) {
	d := r.Dest.(*destination)
	h := m.lookup(d)
	if h == nil || !h.up() {
		return nil, &control.Error{Phase: control.NotDialled, Host: d.name, Text: "no connection"}
	}
	switch r.Command {
	case "check":
		return &control.Managed{Text: fmt.Sprintf("Master running (pid=%d)", os.Getpid())}, nil
	case "exit":
		h.call(func() {
			h.shut(errAsked)
			h.hostKey = nil // what comes now is a first login
		})
		return &control.Managed{Text: "Exit request sent."}, nil
	case "stop":
		h.call(h.retire)
		return &control.Managed{Text: "Stop listening request sent."}, nil
	}
	return nil, &control.Error{Phase: control.NotDialled, Host: d.name, Text: fmt.Sprintf("a multiplex command %q that nobody knows", r.Command)}
}

// up reports a connection that is not on its way out. One that does not answer
// just now is up: it carries sessions, and can be told to end.
func (h *host) up() bool {
	up := false
	h.call(func() {
		for l := range h.links {
			s := l.State()
			up = up || s == linkReady || s == linkSuspect
		}
	})
	return up
}

// call runs f in run and waits for it.
func (h *host) call(f func()) {
	done := make(chan struct{})
	if !h.post(func() { defer close(done); f() }) {
		return
	}
	select {
	case <-done:
	case <-h.ctx.Done():
	}
}

// retire takes the connection out of service: its sessions go on, it ends with
// the last of them, and the next request logs in anew.
func (h *host) retire() {
	h.current = nil
	for l := range h.links {
		l.drain()
	}
	h.settle()
}

// Admin implements control.Backend.
func (m *Master) Admin(ctx context.Context, r *control.AdminRequest) (*control.Managed, error) {
	return nil, &control.Error{Phase: control.NotDialled, Text: fmt.Sprintf("a command %q that nobody knows", r.Command)}
}

// Events implements control.Backend.
func (m *Master) Events(ctx context.Context, dest control.Destination, f func(control.Event) error) error {
	return &control.Error{Phase: control.NotDialled, Text: "no events"}
}
