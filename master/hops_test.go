package master

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"muxd/control"
	"muxd/internal/dest"
	"muxd/internal/sshtest"
)

// A chain of jump hosts: what is behind it logs in again when any of them comes
// back, and each of them once, whoever is behind it.
func TestAChainComesBack(t *testing.T) {
	all := []string{"root", "mid", "in0", "in1", "in2"}
	inNetwork(t, sshtest.Options{}, all, []string{"root"}, func(t *testing.T, r *rig, n *network) {
		r.write(".ssh/config", "Host in*\n ProxyJump mid\nHost mid\n ProxyJump root\n")
		want := func(logins ...int) {
			t.Helper()
			var got []int
			for _, name := range all {
				got = append(got, n.logins(name))
			}
			if !slices.Equal(got, logins) {
				t.Errorf("logins at %v: %v, want %v", all, got, logins)
			}
		}
		use := func() {
			t.Helper()
			for _, o := range r.askAll(all[2:]) {
				if o.err != nil {
					t.Error(o.err)
					continue
				}
				o.s.Close()
			}
			synctest.Wait()
		}
		use()
		want(1, 1, 1, 1, 1)
		use()
		want(1, 1, 1, 1, 1)
		n.servers["root"].srv.Last().Drop()
		synctest.Wait()
		use()
		want(2, 2, 2, 2, 2)
		n.servers["mid"].srv.Last().Drop()
		synctest.Wait()
		use()
		want(2, 3, 3, 3, 3)
		n.servers["in1"].srv.Last().Drop()
		synctest.Wait()
		use()
		want(2, 3, 3, 4, 3)
	})
}

// A bastion that is down for a while is there again for the next request.
func TestABastionIsDownForAWhile(t *testing.T) {
	inNetwork(t, sshtest.Options{}, []string{"bastion", "inside"}, []string{"bastion"}, func(t *testing.T, r *rig, n *network) {
		r.write(".ssh/config", "Host inside\n ProxyJump bastion\n ServerAliveInterval 5\n ServerAliveCountMax 1\n")
		r.run("inside", "echo")
		bastion := n.servers["bastion"].srv
		bastion.Update(func(o *sshtest.Options) { o.Greeting = "Exceeded MaxStartups\r\n" })
		bastion.Last().Drop()
		synctest.Wait()
		_, err := r.ask(context.Background(), nil, "inside", "true")
		wantError(t, err, control.Refused, "inside: jump host bastion: ", "Exceeded MaxStartups")
		bastion.Update(func(o *sshtest.Options) { o.Greeting = "" })
		time.Sleep(6 * time.Second) // it said that it has too much to do
		r.run("inside", "echo")
	})
}

// A jump host that does not answer a channel open is waited for as long as an
// address would be.
func TestJumpOpenHasALimit(t *testing.T) {
	for limit, args := range map[time.Duration][]string{openTimeout: nil, 5 * time.Second: {"-oConnectTimeout=5"}} {
		behindBastion(t, sshtest.Options{}, func(t *testing.T, r *rig, _ *sshtest.Server) {
			// Probes are answered, so the bastion is not in doubt.
			r.open("bastion", "sleep", "9h")
			r.srv.Update(func(o *sshtest.Options) { o.OpenDelay = time.Hour })
			start := time.Now()
			_, err := r.ask(context.Background(), nil, append(args, "inside", "true")...)
			if took := time.Since(start); took != limit {
				t.Errorf("%v: it took %v", limit, took)
			}
			wantError(t, err, control.Refused, "inside: jump host bastion: connect to inside:22: timed out")
			synctest.Wait() // it is told before it is seen
			if in := hostNamed(r, "inside"); in.State != "idle" {
				t.Errorf("%s", in.State)
			}
		})
	}
}

// What goes through a connection is a reason to keep it, although it is no
// session: a bastion that stalls and answers again costs nobody anything, even
// when another connection took its place meanwhile.
func TestAStalledBastionKeepsWhatGoesThroughIt(t *testing.T) {
	behindBastion(t, sshtest.Options{}, func(t *testing.T, r *rig, inside *sshtest.Server) {
		s := r.open("inside", "cat")
		synctest.Wait()
		pipe := r.srv.Last().Pipe()
		pipe.Stall()
		time.Sleep(time.Minute)
		if st := hostNamed(r, "bastion"); len(st.Links) != 2 || st.Links[0].State != "suspect" || st.Links[1].State != "ready" {
			t.Errorf("%+v", st.Links)
		}
		r.run("bastion", "true") // on another connection
		pipe.Resume()
		synctest.Wait()
		s.Write([]byte("still here"))
		s.CloseWrite()
		if out, exit, err := finish(s); out != "still here" || exit != (control.Exit{}) || err != nil {
			t.Errorf("%q %+v %v", out, exit, err)
		}
		// The inner connection stays for its hour, and the old one under it.
		time.Sleep(dest.DefaultPersist + time.Minute)
		synctest.Wait()
		if st := hostNamed(r, "bastion"); len(st.Links) != 1 || r.srv.Logins() != 2 || inside.Logins() != 2 {
			t.Errorf("%d links; %d logins, %d inside", len(st.Links), r.srv.Logins(), inside.Logins())
		}
	})
}

// Silence is judged behind a jump host as anywhere: the hop answers, the host
// behind it does not.
func TestSilenceBehindAJumpHost(t *testing.T) {
	behindBastion(t, sshtest.Options{}, func(t *testing.T, r *rig, inside *sshtest.Server) {
		s := r.open("-oServerAliveInterval=5", "-oServerAliveCountMax=1", "inside", "sleep", "9h")
		ended := make(chan time.Time, 1)
		synctest.Wait()
		start := time.Now()
		inside.Last().Pipe().Stall()
		go func() {
			_, _, err := finish(s)
			wantError(t, err, control.Running, "inside: connection lost")
			ended <- time.Now()
		}()
		if took := (<-ended).Sub(start); took != 10*time.Second {
			t.Errorf("given up after %v", took)
		}
		synctest.Wait()
		if st := hostNamed(r, "bastion"); st.State != "ready" || len(st.Links) != 1 {
			t.Errorf("the bastion is %s with %d links", st.State, len(st.Links))
		}
		if inside.Last().Pipe().Resume(); r.srv.Logins() != 1 {
			t.Errorf("%d logins at the bastion", r.srv.Logins())
		}
		r.run("inside", "echo")
	})
}

// TestVerdictBehindASilentBastion: what goes through a jump host that says
// nothing ends when its own time is over, and not with the jump host.
func TestVerdictBehindASilentBastion(t *testing.T) {
	behindBastion(t, sshtest.Options{}, func(t *testing.T, r *rig, inside *sshtest.Server) {
		s := r.open("-oServerAliveInterval=5", "-oServerAliveCountMax=1", "inside", "sleep", "9h")
		synctest.Wait()
		start := time.Now()
		r.srv.Last().Pipe().Stall()
		_, _, err := finish(s)
		wantError(t, err, control.Running, "inside: connection lost (no answer: nothing was received for 10s)")
		if took := time.Since(start); took != 10*time.Second {
			t.Errorf("given up after %v", took)
		}
		r.srv.Last().Pipe().Resume()
	})
}
