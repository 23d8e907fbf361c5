package master

import (
	"testing"
	"time"

	"muxd/internal/sshtest"
)

// Reconnections are the logins after a loss, and no others: not a connection's
// successor by somebody's wish, nor one beside it, nor the next after an idle one.
func TestReconnectsAreCounted(t *testing.T) {
	inBubble(t, sshtest.Options{MaxSessions: 1}, func(t *testing.T, r *rig) {
		r.write(".config/muxd/config", "ControlPersist 10m\n")
		again := func(what string, logins, want int) {
			t.Helper()
			r.wantLogins(logins)
			if st := r.host().status(); st.Again != want || st.Logins != logins {
				t.Errorf("%s: %d reconnections of %d logins, want %d of %d", what, st.Again, st.Logins, want, logins)
			}
		}
		first := r.open("host", "cat")
		second := r.open("host", "cat")
		again("a further connection", 2, 0)
		first.Close()
		second.Close()
		if _, err := r.m.adminRecycle(t.Context(), r.host().destination()); err != nil {
			t.Fatal(err)
		}
		again("recycled", 3, 0)
		r.srv.Last().Drop()
		time.Sleep(time.Second)
		again("lost", 4, 1)
		r.srv.Last().Pipe().Stall()
		time.Sleep(5 * time.Minute)
		again("silent", 5, 2)
		time.Sleep(9 * time.Minute)
		r.wantState("idle")
		r.run("host", "true")
		again("idle before", 6, 2)
	})
}
