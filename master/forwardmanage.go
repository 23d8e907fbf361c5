package master

import (
	"context"
	"fmt"
	"strings"
	"time"

	"muxd/control"
)

// wanted reports a host that has a connection, or that somebody wants one of.
func (h *host) wanted() bool {
	wanted := false
	h.call(func() {
		_, why := h.demand(time.Now())
		wanted = why != "" || h.current != nil
	})
	return wanted
}

// addForwards is ssh -O forward: the forwards stay until they are cancelled, or
// the connection is told to end. Of a port that the server chose the client
// prints the number, and of everything else nothing (mux.c,
// mux_client_forward).
func (m *Master) addForwards(ctx context.Context, r *control.ForwardRequest) (*control.Managed, error) {
	if r == nil {
		return new(control.Managed), nil
	}
	r.Sticky, r.Strict = true, true
	ports, release, err := m.forward(ctx, r, nil)
	if err != nil {
		return nil, err
	}
	release()
	var out strings.Builder
	for i, f := range r.Forwards {
		if chosenThere(f) {
			fmt.Fprintf(&out, "%d\n", ports[i])
		}
	}
	return &control.Managed{Out: []byte(out.String())}, nil
}

// cancelForwards is ssh -O cancel, for whomever the forwards stand. That one did
// not stand is told, and unlike in ssh by the exit status too.
func (h *host) cancelForwards(r *control.ForwardRequest) *control.Managed {
	if r == nil {
		return new(control.Managed)
	}
	var missed []string
	for _, f := range r.Forwards {
		if !h.forwards.Cancel(f) {
			missed = append(missed, "muxc: "+r.Dest.String()+": cancel "+f.String()+": port not forwarded")
		}
	}
	if len(missed) > 0 {
		return &control.Managed{Text: strings.Join(missed, "\n"), Code: 255}
	}
	return new(control.Managed)
}
