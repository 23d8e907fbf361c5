package master

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"muxd/control"
	"muxd/internal/sshtest"
)

// What is dialled for nobody in particular is told to end by -O exit as what is
// connected is: also what is pinned, and in the middle of a dial.
func TestExitEndsWhatIsDialled(t *testing.T) {
	for _, command := range []string{"exit", "stop"} {
		inBubble(t, sshtest.Options{DialDelay: 2 * time.Second}, func(t *testing.T, r *rig) {
			r.write(".config/muxd/config", "WaitForReady no\nPinned yes\n")
			r.run("host", "true")
			time.Sleep(time.Minute)
			r.srv.Last().Drop()
			time.Sleep(time.Second)
			r.wantState("connecting")
			if m, err := r.manage(command); err != nil || m.Code != 0 {
				t.Errorf("%+v, %v", m, err)
			}
			time.Sleep(5 * time.Minute)
			r.wantState("idle")
			r.wantLogins(1)
			if _, err := r.manage(command); err == nil {
				t.Error("there was something to end")
			}
			r.run("host", "true")
			out := r.down(errDown)
			r.srv.Last().Drop()
			time.Sleep(time.Minute)
			if _, err := r.manage("check"); err == nil || !strings.Contains(err.Error(), "no connection (waiting: connect to host:22: connection refused)") {
				t.Error(err)
			}
			r.wantState("waiting")
			if m, err := r.manage(command); err != nil || m.Code != 0 {
				t.Errorf("%+v, %v", m, err)
			}
			n := len(out.times())
			time.Sleep(time.Hour)
			if len(out.times()) != n {
				t.Errorf("%d attempts after it", len(out.times())-n)
			}
		})
	}
}

// A connection that is one request's alone leaves nothing behind, also when its
// login fails while the request is there to hear of it.
func TestAPrivateHostIsForgotten(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		r.down(errDown)
		for range 20 {
			if _, err := r.ask(t.Context(), nil, "-S", "none", "host", "true"); err == nil {
				t.Error("no error")
			}
		}
		time.Sleep(forgetRetry)
		synctest.Wait()
		if n := len(r.m.all()); n != 0 {
			t.Errorf("%d hosts are remembered", n)
		}
	})
}

// A reconnect of a blocked host tells what came of it, not how it stood before.
func TestReconnectOfABlockedHost(t *testing.T) {
	inBubble(t, sshtest.Options{DialDelay: 100 * time.Millisecond}, func(t *testing.T, r *rig) {
		r.know(sshtest.NewKey().PublicKey())
		if _, err := r.ask(t.Context(), nil, "host", "true"); err == nil {
			t.Error("no error")
		}
		for range 50 {
			time.Sleep(2 * time.Second)
			r.know(r.srv.HostKey())
			if m, err := r.admin(control.AdminRequest{Command: "reconnect"}); err != nil || m.Text != "host: ready" {
				t.Errorf("%+v, %v", m, err)
			}
			r.know(sshtest.NewKey().PublicKey())
			r.hangUp()
			r.ask(t.Context(), nil, "host", "true")
		}
	})
}

// A host that waits, blocked, behind a jump host whose login needs a person is
// tried once when somebody has logged in there.
func TestALoginAtTheBastionUnblocks(t *testing.T) {
	behindBastion(t, sshtest.Options{Password: "secret"}, func(t *testing.T, r *rig, inside *sshtest.Server) {
		r.write(".config/muxd/config", "WaitForReady no\nPinned yes\n")
		_, err := r.ask(t.Context(), nil, "inside", "echo")
		wantError(t, err, control.Refused, "inside: jump host bastion: ")
		time.Sleep(time.Minute)
		if st := hostNamed(r, "inside"); st.State != "blocked" {
			t.Errorf("%s: %s", st.State, st.LastErr)
		}
		s, err := r.ask(t.Context(), says("secret"), "bastion", "echo")
		if err != nil {
			t.Fatal(err)
		}
		finish(s)
		time.Sleep(2 * causeEvery)
		synctest.Wait()
		if st := hostNamed(r, "inside"); st.State != "ready" {
			t.Errorf("%s: %s", st.State, st.LastErr)
		}
	})
}

// -O stop while a client waits: that client is served, and what it got is not
// kept for being pinned.
func TestStopWhileAClientWaits(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		r.write(".config/muxd/config", "WaitForReady yes\nPinned yes\n")
		r.run("host", "true")
		out := r.down(errDown)
		r.srv.Last().Drop()
		got := make(chan error, 1)
		go func() {
			s, err := r.ask(t.Context(), nil, "host", "true")
			if err == nil {
				finish(s)
			}
			got <- err
		}()
		time.Sleep(time.Minute)
		if _, err := r.manage("stop"); err == nil {
			t.Error("there was something to stop")
		}
		r.host().call(r.host().dismiss)
		out.heal()
		if err := <-got; err != nil {
			t.Error(err)
		}
		time.Sleep(time.Second)
		r.wantState("idle")
	})
}

// What only a person can mend is not waited for by muxd wait, with a limit or
// without: it makes one attempt and tells the cause. Of a connection that does
// not answer it is said that there is none.
func TestWaitOfABlockedHost(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		s := r.open("host", "sleep", "9h")
		r.silent()
		began := time.Now()
		if m, err := r.admin(control.AdminRequest{Command: "wait", Down: true}); err != nil || m.Code != 0 {
			t.Errorf("%+v, %v", m, err)
		}
		if took := time.Since(began); took < 15*time.Second || took > 20*time.Second {
			t.Errorf("it was down after %v", took)
		}
		s.Close()
		r.hangUp()
		r.know(sshtest.NewKey().PublicKey())
		for _, limit := range []time.Duration{0, time.Hour} {
			began, n := time.Now(), len(r.srv.Peers())
			_, err := r.admin(control.AdminRequest{Command: "wait", Limit: limit})
			wantError(t, err, control.Refused, "host: ")
			if took := time.Since(began); took > time.Second {
				t.Errorf("it took %v", took)
			}
			if got := len(r.srv.Peers()) - n; got != 1 {
				t.Errorf("%d attempts", got)
			}
			time.Sleep(time.Minute)
		}
	})
}
