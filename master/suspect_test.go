package master

import (
	"io"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"muxd/alive"
	"muxd/control"
	"muxd/internal/sshlink"
	"muxd/internal/sshtest"
)

// A silent connection that carries sessions gets a replacement beside it, also
// while nobody waits: one at a time, 30 s apart, until one is there.
func TestAReplacementWithoutDemand(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		s := r.open("host", "sleep", "9h")
		r.silent()
		out := r.down(errDown)
		time.Sleep(14 * time.Minute)
		r.wantLinks("suspect")
		r.wantState("suspect")
		if d := out.offset(0); d != 18*time.Second {
			t.Errorf("the first attempt came after %v", d)
		}
		for i, at := range out.times()[1:] {
			if d := at.Sub(out.times()[i]); d < replaceEvery {
				t.Errorf("attempt %d came %v after the one before", i+2, d)
			}
		}
		if n := len(out.times()); n < 4 {
			t.Errorf("%d attempts", n)
		}
		if s.Link().Err() != nil {
			t.Error("the old one was closed before its budget was spent")
		}
		s.Close()
	})
}

// Where logging in needs a person, the old connection is kept to its full
// budget, and only a request has somebody asked.
func TestNoReplacementThatNeedsAPerson(t *testing.T) {
	inBubble(t, sshtest.Options{Password: "secret"}, func(t *testing.T, r *rig) {
		p := says("secret")
		st, err := r.ask(t.Context(), p, "host", "sleep", "9h")
		if err != nil {
			t.Fatal(err)
		}
		r.silent()
		out := r.down(nil)
		time.Sleep(10 * time.Minute)
		r.wantLinks("suspect")
		if n := len(out.times()); n != 1 { // to learn that
			t.Errorf("%d attempts", n)
		}
		if p.Times() != 1 {
			t.Error("somebody was asked in the background")
		}
		if _, err := r.ask(t.Context(), p, "host", "true"); err != nil {
			t.Error(err)
		}
		r.wantLinks("suspect ready")
		if p.Times() != 2 {
			t.Errorf("asked %d times", p.Times())
		}
		st.Close()
	})
}

// A session that asked for a terminal and met silence before its command was
// handed over is opened on the replacement, once.
func TestSilenceBeforeTheCommandMovesIt(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		keep := r.open("host", "sleep", "9h")
		synctest.Wait()
		// The open is answered, the terminal is not.
		pipe := r.srv.Last().Pipe()
		go func() {
			r.srv.Wait(t.Context(), 2, sshtest.ChannelOpen, "session")
			synctest.Wait()
			pipe.Stall()
		}()
		pipe.Slow(100 * time.Millisecond)
		req := r.request("host", "echo", "moved")
		req.TTY = &control.TTY{Term: "vt100"}
		start := time.Now()
		s, err := r.m.Session(t.Context(), req, nil)
		if err != nil {
			t.Fatal(err)
		}
		if s.(*sshlink.Session).Link() == keep.Link() {
			t.Fatal("the terminal was granted before the stall")
		}
		if took := time.Since(start); took > 20*time.Second {
			t.Errorf("it took %v", took)
		}
		pipe.Resume()
		time.Sleep(time.Minute)
		n := 0
		for _, e := range r.execs() {
			if e == "echo moved" {
				n++
			}
		}
		if n != 1 {
			t.Errorf("it ran %d times", n)
		}
	})
}

// A channel open that is not answered for 5 s makes the connection prove itself.
func TestASlowOpenIsADoubt(t *testing.T) {
	inBubble(t, sshtest.Options{OpenDelay: time.Hour}, func(t *testing.T, r *rig) {
		p := says("")
		go r.ask(t.Context(), p, "host", "true")
		just(t, openDoubt, "unprobed", func() bool { return r.probes() == 0 })
		r.wantLinks("ready")
		if w := p.Waits(); len(w) == 0 || w[len(w)-1].Cause != "for the server to answer" {
			t.Errorf("told %+v", w)
		}
		time.Sleep(time.Minute)
	})
}

// A change of the network makes every connection prove itself at once, and
// every host that waits try again within a short while.
func TestTheNetworkChanges(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		s := r.open("host", "sleep", "9h")
		time.Sleep(time.Second)
		r.m.NetworkChanged()
		synctest.Wait()
		if r.probes() != 1 {
			t.Errorf("%d probes", r.probes())
		}
		r.wantLinks("ready")
		r.silent()
		r.m.NetworkChanged()
		just(t, 3*time.Second, "trusted", func() bool { return r.links() == "ready" })
		time.Sleep(spreadEach)
		r.wantLinks("suspect ready")
		r.wantLogins(2)
		s.Close()
		time.Sleep(time.Second)

		out := r.down(errDown)
		r.srv.Last().Drop()
		time.Sleep(50 * time.Minute)
		// No attempt comes within a second of another, and not of this.
		for at := out.times(); time.Since(at[len(at)-1]) < time.Second; at = out.times() {
			time.Sleep(time.Second)
		}
		out.heal()
		n := len(out.times())
		r.m.NetworkChanged()
		time.Sleep(spreadEach)
		synctest.Wait()
		if len(out.times()) != n+1 {
			t.Errorf("%d attempts", len(out.times())-n)
		}
		r.wantState("ready")
	})
}

// Nothing ran for a while: no peer is condemned for it, each is asked.
func TestAfterASuspend(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		s := r.open(append(alives("15", "3"), "host", "sleep", "9h")...)
		pipe := r.silent()
		time.Sleep(50 * time.Second) // of 60
		r.m.Woke(time.Hour)
		time.Sleep(20 * time.Second)
		r.wantLinks("suspect ready") // asked again, and not condemned
		pipe.Resume()
		r.wantLinks("draining ready")
		if s.Link().Err() != nil {
			t.Error(s.Link().Err())
		}
		s.Close()
	})
}

// An old connection whose own address is gone is closed 5 s later if another
// one serves, and not for an address that came back.
func TestOrphans(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		gone := true
		r.m.cfg.HasAddress = func(netip.Addr) bool { return !gone }
		s := r.open("host", "sleep", "9h")
		r.link(s).local = netip.MustParseAddr("192.0.2.9")
		r.silent()
		r.m.NetworkChanged()
		time.Sleep(4 * time.Second)
		r.wantLinks("suspect ready")
		time.Sleep(time.Second)
		r.wantLinks("ready")
		_, _, err := finish(s)
		wantError(t, err, control.Running, "the local address of the connection is gone")
	})
}

// A change that comes before the one which takes the address gives it no less
// time to come back.
func TestAnOrphanHasItsOwnTime(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		gone := false
		r.m.cfg.HasAddress = func(netip.Addr) bool { return !gone }
		s := r.open("host", "sleep", "9h")
		r.link(s).local = netip.MustParseAddr("192.0.2.9")
		r.silent()
		r.m.NetworkChanged()
		time.Sleep(4 * time.Second)
		r.wantLinks("suspect ready")
		gone = true
		r.m.NetworkChanged()
		time.Sleep(5*time.Second - time.Millisecond)
		r.wantLinks("suspect ready")
		time.Sleep(time.Millisecond)
		r.wantLinks("ready")
		_, _, err := finish(s)
		wantError(t, err, control.Running, "the local address of the connection is gone")
	})
}

// An orphan is kept for as long as nothing serves in its place. When the network
// comes back, with one address after the other, there is time for its own, and
// what changes once another connection serves prolongs nothing.
func TestAnOrphanIsReplacedLate(t *testing.T) {
	for name, tt := range map[string]struct{ known, returns bool }{
		"gone": {true, false}, "back in time": {true, true}, "gone, dialled before the change is known": {false, false},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
				gone := true
				r.m.cfg.HasAddress = func(netip.Addr) bool { return !gone }
				s := r.open("host", "sleep", "9h")
				r.link(s).local = netip.MustParseAddr("192.0.2.9")
				pipe := r.silent()
				out := r.down(errDown)
				r.m.NetworkChanged()
				time.Sleep(20 * time.Second)
				r.wantLinks("suspect")
				out.heal()
				back := time.Now()
				if tt.known {
					r.m.NetworkChanged()
				} else {
					r.host().post(r.host().hurry) // an attempt that happens to be due
				}
				for range 4 {
					time.Sleep(time.Second)
					r.wantLinks("suspect ready")
					r.m.NetworkChanged()
				}
				time.Sleep(time.Until(back.Add(orphanAfter - time.Millisecond)))
				r.wantLinks("suspect ready")
				if tt.returns {
					gone = false
					pipe.Resume()
					time.Sleep(time.Minute)
					r.wantLinks("draining ready")
					s.Close()
					return
				}
				time.Sleep(2 * spreadEach) // the dial was a little later than the network
				r.wantLinks("ready")
				_, _, err := finish(s)
				wantError(t, err, control.Running, "the local address of the connection is gone")
			})
		})
	}
}

// The newest agent that a client brought is the one for logins that nobody
// waits for.
func TestAgentsAreRememberedNewestFirst(t *testing.T) {
	h := &host{}
	for _, s := range []string{"a", "b", "", "a", "c"} {
		h.meetAgent(s)
	}
	if want := []string{"c", "a", "b"}; !slices.Equal(h.agents, want) {
		t.Errorf("%q", h.agents)
	}
	for i := range 20 {
		h.meetAgent(string(rune('d' + i)))
	}
	if len(h.agents) != 8 {
		t.Errorf("%d", len(h.agents))
	}
}

// A jump host that is down is what its destination waits for, and is what the
// client hears of.
func TestWaitingForABastion(t *testing.T) {
	behindBastion(t, sshtest.Options{}, func(t *testing.T, r *rig, inside *sshtest.Server) {
		down := r.down(errDown)
		p, got := says(""), make(chan error, 1)
		go func() {
			s, err := r.ask(t.Context(), p, "-o", "WaitForReady=yes", "inside", "true")
			if err == nil {
				finish(s)
			}
			got <- err
		}()
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		w := p.Waits()
		if last := w[len(w)-1]; last.Cause != "jump host bastion: connection refused" || last.Attempt < 100 {
			t.Errorf("told %+v", last)
		}
		down.heal()
		time.Sleep(alive.CapWaiting)
		answered(t, got)
		// With a bound, the bastion's trouble is what is told at its end.
		r.srv.Last().Drop()
		down.fail(errDown)
		_, err := r.ask(t.Context(), nil, "-o", "WaitForReady=20", "inside", "true")
		wantError(t, err, control.Refused, "inside: jump host bastion: ", "connection refused (waited 20s")
	})
}

// Without anybody behind it a dial through a jump host that is down fails, and
// does not hold its host's one dial for ever.
func TestABackgroundDialDoesNotWaitForABastion(t *testing.T) {
	behindBastion(t, sshtest.Options{}, func(t *testing.T, r *rig, inside *sshtest.Server) {
		r.run("inside", "echo", "in")
		time.Sleep(time.Second)
		down := r.down(errDown)
		r.srv.Last().Drop()
		time.Sleep(40 * time.Minute)
		synctest.Wait()
		for i := 0; i < 60 && hostNamed(r, "inside").State == "connecting"; i++ { // the pauses are drawn: one attempt may be on now
			time.Sleep(time.Second)
			synctest.Wait()
		}
		if st := hostNamed(r, "inside"); st.State != "waiting" {
			t.Errorf("%s: %s", st.State, st.LastErr)
		}
		if n := len(down.times()); n < 5 || n > 100 {
			t.Errorf("%d attempts in 40 minutes for recent use", n)
		}
		down.heal()
		time.Sleep(alive.CapForwards)
		synctest.Wait()
		if st := hostNamed(r, "inside"); st.State != "ready" {
			t.Errorf("%s: %s", st.State, st.LastErr)
		}
	})
}

// A client that goes away tells the command as a lost terminal would.
func TestAnAbandonedCommandIsHungUp(t *testing.T) {
	reads := func(s *sshtest.Session, _ []string) sshtest.Exit { io.Copy(io.Discard, s.In); return sshtest.Exit{} }
	inBubble(t, sshtest.Options{Commands: map[string]sshtest.Command{"reads": reads}}, func(t *testing.T, r *rig) {
		s := r.open("host", "cat")
		s.Close()
		synctest.Wait()
		if n := r.srv.Count(sshtest.ChannelRequest, "signal"); n != 1 {
			t.Errorf("%d signals", n)
		}
		r.run("host", "true") // which ended by itself, and then is closed
		sub := r.open("-s", "host", "reads")
		sub.Close()
		synctest.Wait()
		if n := r.srv.Count(sshtest.ChannelRequest, "signal"); n != 1 {
			t.Errorf("%d signals", n)
		}
	})
}
