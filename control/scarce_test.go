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

// lastOne is a connection that took one of the last descriptors.
type lastOne struct{ *controltest.PipeConn }

func (lastOne) Scarce() bool { return true }

// scarceServer serves connections in virtual time; dial may have one of the last
// descriptors.
func scarceServer(t *testing.T) (dial func(scarce bool) *controltest.PipeConn) {
	b := sessions(false, func(_ context.Context, s *controltest.Stream) { s.End(control.Exit{Code: 3}, nil) })
	b.OnStatus = func(context.Context, *control.StatusRequest) (*control.Status, error) {
		return &control.Status{PID: 7}, nil
	}
	srv := &control.Server{Log: new(log), Backend: b, Many: func(control.Conn) (control.Streams, error) { return nil, control.ErrNotMuxd }}
	return func(scarce bool) *controltest.PipeConn {
		c, s := controltest.Pipe()
		t.Cleanup(func() { c.Close() })
		var conn control.ServerConn = s
		if scarce {
			conn = lastOne{s}
		}
		go srv.ServeConn(t.Context(), conn)
		return c
	}
}

func TestScarceDescriptors(t *testing.T) {
	refused := func(t *testing.T, what string, err error) {
		t.Helper()
		if err == nil || !strings.HasPrefix(err.Error(), "muxd refused: too many open files") {
			t.Errorf("%s: %v", what, err)
		}
	}
	run := func(c *controltest.PipeConn) (control.Exit, error) {
		op, err := control.Run(c, &control.Invocation{Args: []string{"h", "true"}})
		if err != nil {
			return control.Exit{}, err
		}
		return op.Wait(&controltest.Screen{})
	}
	synctest.Test(t, func(t *testing.T) {
		dial, start := scarceServer(t), time.Now()
		_, err := run(dial(true))
		refused(t, "a command", err)
		_, err = control.Greet(dial(true))
		refused(t, "many operations", err)
		if st, err := control.GetStatus(dial(true), control.StatusRequest{}); err != nil || st.PID != 7 {
			t.Errorf("status: %+v, %v", st, err)
		}
		if d := time.Since(start); d != 0 {
			t.Errorf("that took %v", d)
		}
		_, err = control.NewFrames(dial(true)).Hello()
		refused(t, "silence", err)
		if d := time.Since(start); d != control.ScarceTimeout {
			t.Errorf("silence was heard for %v, want %v", d, control.ScarceTimeout)
		}
		if e, err := run(dial(false)); err != nil || e.Code != 3 {
			t.Errorf("after it has passed: %+v, %v", e, err)
		}
	})
	// Those who had the time to speak make room for who comes, and others not.
	for _, had := range []time.Duration{control.ScarceTimeout - 1, control.ScarceTimeout} {
		synctest.Test(t, func(t *testing.T) {
			dial := scarceServer(t)
			silent := dial(false)
			time.Sleep(had)
			synctest.Wait()
			e, err := run(dial(true))
			if had < control.ScarceTimeout {
				refused(t, "beside one that just came", err)
				return
			}
			if err != nil || e.Code != 3 {
				t.Errorf("%+v, %v", e, err)
			}
			if h, _ := control.NewFrames(silent).Hello(); h.Welcome != control.TooBusy {
				t.Errorf("the silent one was told %+v", h)
			}
		})
	}
}
