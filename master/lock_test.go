package master

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"muxd/control"
	"muxd/internal/gate"
	"muxd/internal/sshtest"
)

func (r *rig) lock(command string) string {
	r.t.Helper()
	m, err := r.m.Admin(r.t.Context(), &control.AdminRequest{Command: command})
	if err != nil || m.Code != 0 {
		r.t.Fatalf("%s: %+v, %v", command, m, err)
	}
	return m.Text
}

// While muxd is locked nothing new begins, by whatever way it comes, and what
// runs goes on.
func TestLock(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		s := r.open("host", "cat")
		if got := r.lock("lock"); got != "muxd is locked: nothing new begins until muxd unlock; one session goes on" {
			t.Error(got)
		}
		if got := r.lock("lock"); !strings.HasPrefix(got, "muxd is locked, since ") {
			t.Error(got)
		}
		refused := func(what string, err error) {
			t.Helper()
			wantError(t, err, control.NotDialled, "host: muxd is locked (muxd unlock opens it again")
		}
		_, err := r.ask(t.Context(), nil, "host", "true")
		refused("a session", err)
		for _, args := range [][]string{{"-W", "a:1", "host"}, {"-N", "host"}, {"-N", "-L", "1:a:2", "host"}} {
			plan, err := r.plan(nil, args...)
			if err != nil {
				t.Fatal(err)
			}
			switch {
			case plan.Direct != nil:
				_, err = r.m.Direct(t.Context(), plan.Direct, nil)
			case plan.Forward != nil:
				_, err = r.m.Forward(t.Context(), plan.Forward, nil)
			default:
				_, err = r.m.Hold(t.Context(), plan.Hold, nil)
			}
			refused(strings.Join(args, " "), err)
		}
		if _, err := r.host().openThrough(t.Context(), control.Endpoint{Host: "a", Port: 1}, nil); !errors.Is(err, gate.ErrLocked) {
			t.Errorf("a connection to a forward: %v", err)
		}
		if st, _ := r.m.Status(t.Context(), &control.StatusRequest{}); st.Locked.IsZero() || st.Drains {
			t.Errorf("status: %v, %v", st.Locked, st.Drains)
		}
		s.Write([]byte("on"))
		s.CloseWrite()
		if out, _, err := finish(s); out != "on" || err != nil {
			t.Errorf("the session that ran: %q, %v", out, err)
		}
		if got := r.lock("unlock"); got != "muxd is unlocked" {
			t.Error(got)
		}
		if got := r.lock("unlock"); got != "muxd is not locked" {
			t.Error(got)
		}
		r.run("host", "true")
		r.wantLogins(1)
	})
}

// A request that waits for its connection when muxd is locked has not begun.
func TestLockMeetsWhoWaits(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		r.patient()
		out := r.down(errDown)
		got := make(chan error, 2)
		for _, args := range [][]string{{"host", "true"}, {"-W", "a:1", "host"}} {
			plan, err := r.plan(nil, args...)
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				if plan.Direct != nil {
					_, err := r.m.Direct(context.Background(), plan.Direct, nil)
					got <- err
					return
				}
				_, err := r.m.Session(context.Background(), plan.Session, nil)
				got <- err
			}()
		}
		time.Sleep(time.Second)
		r.lock("lock")
		out.heal()
		wantError(t, <-got, control.Refused, "host: muxd is locked")
		wantError(t, <-got, control.Refused, "host: muxd is locked")
		synctest.Wait()
		if n := len(r.srv.Events(sshtest.ChannelOpen)); n != 0 {
			t.Errorf("%d channels were opened", n)
		}
		if st := r.host().status(); st.State != "ready" || r.host().leases != 0 {
			t.Errorf("%s, with %d leases", st.State, r.host().leases)
		}
	})
}

// A server gets no agent of a session that lends one while muxd is locked.
func TestLockLendsNothing(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		as := r.agents("/a")
		r.lends("/a", "cat")
		for _, c := range []struct{ command, at string }{{"unlock", "/a"}, {"lock", nobodyLends}, {"unlock", "/a"}} {
			r.lock(c.command)
			if got := as.at(r.srv.Last()); got != c.at {
				t.Errorf("after %s: %s", c.command, got)
			}
		}
	})
}

// A muxd that is locked does not end for want of work, nor for a later version: the
// next one would let everything through.
func TestLockKeepsMuxd(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		for _, command := range []string{"lock", "unlock"} {
			r.lock(command)
			if want := command == "unlock"; r.m.Idle() != want || r.m.Yield() != want {
				t.Errorf("after %s: idle %v, want %v of it and of Yield", command, r.m.Idle(), want)
			}
		}
	})
}
