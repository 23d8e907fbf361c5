package master

import (
	"fmt"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"muxd/control"
	"muxd/internal/sshtest"
)

// manage is ssh -O.
func (r *rig) manage(command string) (*control.Managed, error) {
	r.t.Helper()
	plan, err := r.plan(nil, "-O", command, "host")
	if err != nil {
		r.t.Fatal(err)
	}
	return r.m.Manage(r.t.Context(), plan.Manage)
}

func (r *rig) wantManaged(command, text string) {
	r.t.Helper()
	got, err := r.manage(command)
	if err != nil || got.Text != text || got.Code != 0 {
		r.t.Errorf("-O %s: %+v, %v", command, got, err)
	}
}

func TestCheckExitStop(t *testing.T) {
	running := fmt.Sprintf("Master running (pid=%d)", os.Getpid())
	inBubble(t, sshtest.Options{DialDelay: time.Second}, func(t *testing.T, r *rig) {
		no := func() {
			t.Helper()
			for _, c := range []string{"check", "exit", "stop"} {
				_, err := r.manage(c)
				wantError(t, err, control.NotDialled, "host: no connection")
			}
		}
		no()
		r.run("host", "true")
		r.wantManaged("check", running+"\nhost: last byte 0s ago")
		s := r.open("host", "cat")
		r.wantManaged("exit", "Exit request sent.")
		_, _, err := finish(s)
		wantError(t, err, control.Running, "host: connection lost (closed by request (-O exit))")
		r.wantState("idle")
		no()

		s = r.open("host", "cat")
		r.wantManaged("stop", "Stop listening request sent.")
		r.wantLinks("draining")
		no()
		r.run("host", "true") // logs in anew
		r.wantLinks("draining ready")
		r.wantManaged("check", running+"\nhost: last byte 0s ago")
		s.CloseWrite()
		if _, exit, err := finish(s); exit.Code != 0 || err != nil {
			t.Errorf("%v %v", exit, err)
		}
		r.wantLinks("ready")
		r.wantManaged("stop", "Stop listening request sent.")
		r.wantLinks("")
		r.wantLogins(3)
	})
}

// A connection that does not answer can be told to end all the same.
func TestExitOfASilentConnection(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		s := r.open("host", "sleep", "9h")
		r.silent()
		time.Sleep(time.Minute)
		r.wantLinks("suspect ready")
		r.wantManaged("exit", "Exit request sent.")
		_, _, err := finish(s)
		wantError(t, err, control.Running, "closed by request")
		synctest.Wait()
		r.wantLinks("")
	})
}

// TestActsOnWhatIsShown: by the id of status, whatever the name means by now;
// and what connections had been through is counted when they are gone.
func TestActsOnWhatIsShown(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		admin := func(command, id string) (*control.Managed, error) {
			return r.m.Admin(t.Context(), &control.AdminRequest{Command: command, Shown: id})
		}
		r.run("host", "true")
		before := r.host().status()
		if before.In == 0 || before.Out == 0 || before.In != before.Links[0].In {
			t.Errorf("%+v", before)
		}
		if got, err := admin("exit", before.ID); err != nil || got.Text != "Exit request sent." {
			t.Errorf("%+v, %v", got, err)
		}
		r.wantState("idle")
		synctest.Wait()
		if st := r.host().status(); st.In < before.In || st.Out < before.Out || st.Lost != 0 || st.ID != before.ID {
			t.Errorf("%+v, before %+v", st, before)
		}
		if got, err := admin("reconnect", before.ID); err != nil || got.Text != "host: ready" {
			t.Errorf("%+v, %v", got, err)
		}
		r.srv.Last().Drop()
		time.Sleep(time.Minute)
		if st := r.host().status(); st.Lost != 1 || st.Logins != 3 || st.In <= before.In {
			t.Errorf("%+v", st)
		}
		_, err := admin("exit", "0123456789abcdef")
		wantError(t, err, control.NotDialled, "muxd does not know that host any more")
		if got, err := r.m.Admin(t.Context(), &control.AdminRequest{Command: "exit", Dest: r.host().destination()}); err == nil {
			t.Errorf("%+v", got)
		}
	})
}
