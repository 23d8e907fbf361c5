package master

import (
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"muxd/control"
	"muxd/internal/sshlink"
	"muxd/internal/sshtest"
)

// flap has the connection go silent and answer again, for so long, and says how
// often it was in doubt.
func (r *rig) flap(d time.Duration) (doubts int) {
	r.t.Helper()
	s := r.open("host", "sleep", "9h")
	for end := time.Now().Add(d); time.Now().Before(end); doubts++ {
		pipe := s.Link().Wire.Conn.(*sshtest.Conn)
		pipe.Stall()
		for s.Link().State() != sshlink.Suspect {
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(time.Second)
		pipe.Resume()
		synctest.Wait()
		r.wantLinks("ready")
	}
	s.Close()
	return doubts
}

// A path that loses packets is in doubt every few seconds, and is dialled beside
// no more often than every 30 s: each of these counts at the server.
func TestALossyPathIsNotDialledAtEveryDoubt(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		r.run("host", "true")
		out := r.down(errDown)
		doubts := r.flap(10 * time.Minute)
		for i, at := range out.times()[1:] {
			if d := at.Sub(out.times()[i]); d < replaceEvery {
				t.Errorf("attempt %d came %v after the one before", i+2, d)
			}
		}
		if n := len(out.times()); n < 2 || n >= doubts {
			t.Errorf("%d attempts for %d doubts", n, doubts)
		}
		if st := r.host().status(); st.State != "ready" || st.LastErr != "" {
			t.Errorf("%s: %q", st.State, st.LastErr)
		}
	})
}

// Where a login needs a person that is learned once, and not by a refused login
// at every doubt: some servers lock out whoever has several.
func TestALossyPathIsRefusedOnce(t *testing.T) {
	inBubble(t, sshtest.Options{Password: "secret"}, func(t *testing.T, r *rig) {
		s, err := r.ask(t.Context(), says("secret"), "host", "sleep", "9h")
		if err != nil {
			t.Fatal(err)
		}
		out := r.down(nil)
		r.flap(10 * time.Minute)
		if n := len(out.times()); n != 1 {
			t.Errorf("%d attempts", n)
		}
		s.Close()
	})
}

// A jump host to which there is no way has nobody wait for it whose client wants
// one attempt: the dial that he shares was made for nobody, and is over.
func TestNoRouteToABastion(t *testing.T) {
	behindBastion(t, sshtest.Options{}, func(t *testing.T, r *rig, inside *sshtest.Server) {
		r.write(".ssh/config", "Host inside\n ProxyJump bastion\nHost bastion\n HostName 192.0.2.1\n HostKeyAlias bastion\n")
		var up atomic.Bool
		up.Store(true)
		r.through(r.srv.DialContext)
		r.m.cfg.Routed = func(netip.Addr) bool { return up.Load() }
		r.run("inside", "echo")
		up.Store(false)
		out := r.down(errDown)
		r.srv.Last().Drop()
		time.Sleep(time.Second)
		synctest.Wait()
		if n := len(out.times()); n != 0 {
			t.Errorf("%d attempts without a way", n)
		}
		began := time.Now()
		_, err := r.ask(t.Context(), nil, "inside", "echo")
		wantError(t, err, control.Refused, "inside: jump host bastion: ")
		if took := time.Since(began); took > time.Second {
			t.Errorf("it took %v", took)
		}
		if n := len(out.times()); n != 1 {
			t.Errorf("%d attempts, want the client's", n)
		}
		up.Store(true)
		out.heal()
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if st := hostNamed(r, "inside"); st.State != "ready" {
			t.Errorf("%s: %s", st.State, st.LastErr)
		}
	})
}
