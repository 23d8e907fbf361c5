package control_test

import (
	"context"
	"strings"
	"testing"

	"muxd/control"
	"muxd/control/controltest"
)

// However many clients there are, muxd says how it stands, and ends when it is
// told to.
func TestStatusBesideAllClients(t *testing.T) {
	b := sessions(false, func(_ context.Context, s *controltest.Stream) { s.End(control.Exit{Code: 3}, nil) })
	b.OnStatus = func(context.Context, *control.StatusRequest) (*control.Status, error) {
		return &control.Status{PID: 7}, nil
	}
	r := newRig(t, b)
	leave := r.srv.Crowd(control.MaxClients)
	_, ch := r.run(&controltest.Screen{})
	if got := get(t, ch); got.err == nil || !strings.Contains(got.err.Error(), "too many clients") {
		t.Errorf("one too many: %+v", got)
	}
	c, _ := r.dial()
	if st, err := control.GetStatus(c, control.StatusRequest{}); err != nil || st.PID != 7 {
		t.Errorf("status: %+v, %v", st, err)
	}
	more := r.srv.Crowd(control.LastClients)
	c, _ = r.dial()
	if _, err := control.GetStatus(c, control.StatusRequest{}); err == nil || !strings.Contains(err.Error(), "too many clients") {
		t.Errorf("status has no end: %v", err)
	}
	more()
	leave()
	_, ch = r.run(&controltest.Screen{})
	if got := get(t, ch); got.exit.Code != 3 || got.err != nil {
		t.Errorf("after they left: %+v", got)
	}
}
