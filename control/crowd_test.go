package control_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

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
	if got := controltest.Get(t, ch); got.err == nil || !strings.Contains(got.err.Error(), "too many clients") {
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
	if got := controltest.Get(t, ch); got.exit.Code != 3 || got.err != nil {
		t.Errorf("after they left: %+v", got)
	}
}

// clinging is a session that its server does not end when it is closed.
type clinging struct{ *controltest.Stream }

func (clinging) Close() error { return nil }

// A client that has left is no client any more, whether or not the server ends its
// session.
func TestLeftBehind(t *testing.T) {
	for _, eof := range []bool{false, true} { // of the outputs, without an end of the session
		synctest.Test(t, func(t *testing.T) {
			st := controltest.NewStream(false)
			srv := &control.Server{Log: new(log), Backend: &controltest.Backend{OnResolve: resolveSession,
				OnSession: func(context.Context, *control.SessionRequest, control.Prompter) (control.Stream, error) {
					return clinging{st}, nil
				}}}
			c, s := controltest.Pipe()
			done := make(chan struct{})
			go func() { defer close(done); srv.ServeConn(t.Context(), s) }()
			if _, err := control.Run(c, &control.Invocation{Args: []string{"h", "true"}}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if eof {
				st.Out.Close()
				st.Err.Close()
			}
			left := time.Now()
			c.Close()
			<-done
			if took := time.Since(left); took != control.Linger || srv.Clients() != 0 {
				t.Errorf("it is a client for %v, and there are %d", took, srv.Clients())
			}
			st.End(control.Exit{}, nil)
		})
	}
}
