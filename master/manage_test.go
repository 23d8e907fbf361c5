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
