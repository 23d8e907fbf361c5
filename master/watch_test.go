package master

import (
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"muxd/control"
	"muxd/internal/sshtest"
)

func (r *rig) probes() int { return r.srv.Count(sshtest.GlobalRequest, "keepalive@openssh.com") }

// silent begins a silence of the newest connection: from now on nothing comes.
func (r *rig) silent() *sshtest.Conn {
	r.t.Helper()
	synctest.Wait()
	c := r.srv.Last().Pipe()
	c.Stall()
	return c
}

func alives(interval, count string) []string {
	return []string{"-o", "ServerAliveInterval=" + interval, "-o", "ServerAliveCountMax=" + count}
}

// Given up (CountMax+1) x Interval after the last byte, as OpenSSH really
// counts.
func TestServerAliveDeath(t *testing.T) {
	for _, c := range []struct {
		interval, count string
		want            time.Duration
		probes          int // sent until then, had they arrived
	}{
		{"15", "3", time.Minute, 1}, {"1", "1", 2 * time.Second, 1}, {"10", "0", 10 * time.Second, 0},
		{"60", "10", 11 * time.Minute, 1}, {"7", "3", 28 * time.Second, 1},
	} {
		t.Run(c.interval+"x"+c.count, func(t *testing.T) {
			inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
				s := r.open(append(alives(c.interval, c.count), "host", "sleep", "9h")...)
				r.silent()
				var dead atomic.Bool
				go func() {
					_, _, err := finish(s)
					wantError(t, err, control.Running, "host: connection lost (no answer: nothing was received for "+c.want.String()+")",
						"the command may still be running")
					dead.Store(true)
				}()
				just(t, c.want, "alive", func() bool { return !dead.Load() })
			})
		})
	}
}

// Any byte resets the count: of the command's output too, while the server
// answers no probe at all.
func TestAnyByteResetsTheCount(t *testing.T) {
	inBubble(t, sshtest.Options{IgnoreKeepalives: true}, func(t *testing.T, r *rig) {
		args := append(alives("10", "2"), "host", "cat")
		s := r.open(args...)
		go finish(s)
		for range 20 {
			time.Sleep(29 * time.Second)
			if err := s.Link().Err(); err != nil {
				t.Fatal(err)
			}
			s.Write([]byte("x")) // comes back
			synctest.Wait()
		}
		just(t, 30*time.Second, "alive", func() bool { return s.Link().Err() == nil })
	})
}

func TestServerAliveZeroIsOff(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		r.write(".ssh/config", "ServerAliveInterval 0\n")
		s := r.open("host", "sleep", "9h")
		go finish(s)
		r.silent()
		time.Sleep(8 * time.Hour)
		r.wantLinks("ready")
		r.srv.Last().Pipe().Resume()
		synctest.Wait()
		if n := r.probes(); n != 0 {
			t.Errorf("%d probes", n)
		}
	})
}

func TestUnsetProbesAfterFifteenSeconds(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		r.run("host", "true")
		just(t, 15*time.Second, "no probe", func() bool { return r.probes() == 0 })
		time.Sleep(15 * time.Second)
		synctest.Wait()
		if n := r.probes(); n != 2 {
			t.Errorf("%d probes", n)
		}
		r.wantLinks("ready")
	})
}

// A connection that carries nothing is closed at the short verdict. It was used
// within ControlPersist, so another one takes its place.
func TestDoubtWithoutASessionCloses(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		r.run("host", "true")
		l := r.host().current
		r.silent()
		just(t, 18*time.Second, "connected", func() bool { return l.Err() == nil })
		time.Sleep(returnAfter)
		r.wantState("ready")
		r.run("host", "true")
		r.wantLogins(2)
	})
}

// A closed session that the server cannot acknowledge is nobody's.
func TestDoubtWithAnAbandonedSessionCloses(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		s := r.open("host", "sleep", "9h")
		r.silent()
		s.Close()
		just(t, 18*time.Second, "connected", func() bool { return s.Link().Err() == nil })
		time.Sleep(returnAfter)
		r.wantLinks("ready")
	})
}

// A connection with a session is kept until fifteen minutes of silence; new
// work goes beside it.
func TestDoubtWithASessionKeepsIt(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		s := r.open("host", "sleep", "9h")
		var ended atomic.Bool
		go func() {
			_, _, err := finish(s)
			wantError(t, err, control.Running, "nothing was received for 15m0s")
			ended.Store(true)
		}()
		r.silent()
		just(t, 18*time.Second, "trusted", func() bool { return r.links() == "ready" })
		time.Sleep(time.Minute)
		r.wantLinks("suspect ready")
		r.run("host", "true")
		r.wantLinks("suspect ready")
		r.wantState("ready")
		r.wantLogins(2)
		just(t, 15*time.Minute-78*time.Second, "kept", func() bool { return !ended.Load() })
		r.wantLinks("ready")
	})
}

// The old one answers again: with a replacement it drains, and ends with its
// last session.
func TestTheOldOneAnswersAgainAndDrains(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		a, b := r.open("host", "cat"), r.open("host", "cat")
		pipe := r.silent()
		time.Sleep(time.Minute)
		r.run("host", "true")
		r.wantLinks("suspect ready")
		pipe.Resume()
		r.wantLinks("draining ready")
		r.run("host", "true")
		r.wantLogins(2)
		a.Write([]byte("still here"))
		a.CloseWrite()
		if out, exit, err := finish(a); out != "still here" || exit.Code != 0 || err != nil {
			t.Errorf("%q, %v, %v", out, exit, err)
		}
		r.wantLinks("draining ready")
		b.Close()
		r.wantLinks("ready")
		r.wantState("ready")
	})
}

// Also when the answer comes at the very instant of the doubt.
func TestAnAnswerAtTheInstantOfTheDoubt(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		s := r.open("host", "sleep", "9h")
		pipe := r.silent()
		r.srv.Update(func(o *sshtest.Options) { o.DialDelay = time.Hour })
		time.Sleep(18 * time.Second)
		r.wantLinks("suspect")
		pipe.Resume()
		r.wantLinks("ready")
		s.Close()
	})
}

// Without a replacement it returns to service.
func TestTheOldOneAnswersAgainAndReturns(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		s := r.open("host", "sleep", "9h")
		pipe := r.silent()
		r.srv.Update(func(o *sshtest.Options) { o.DialError = errors.New("down") })
		time.Sleep(time.Minute)
		r.wantLinks("suspect")
		r.wantState("suspect")
		pipe.Resume()
		r.wantLinks("ready")
		r.wantState("ready")
		r.run("host", "true")
		r.wantLogins(1)
		s.Close()
	})
}

// It answers while its replacement is dialled: whoever waits is served by it,
// and the dial is given up.
func TestTheOldOneAnswersDuringTheDial(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		s := r.open("host", "sleep", "9h")
		pipe := r.silent()
		r.srv.Update(func(o *sshtest.Options) { o.DialError = errors.New("down") })
		time.Sleep(time.Minute)
		r.srv.Update(func(o *sshtest.Options) { o.DialDelay, o.DialError = time.Hour, nil })
		got := make(chan outcome, 1)
		req := r.request("-o", "ConnectTimeout=3600", "host", "echo", "back")
		go func() {
			st, err := r.m.Session(t.Context(), req, nil)
			got <- outcome{st, err}
		}()
		r.wantState("suspect")
		pipe.Resume()
		o := <-got
		if o.err != nil {
			t.Fatal(o.err)
		}
		if out, _, _ := finish(o.s); out != "back\n" {
			t.Errorf("%q", out)
		}
		r.wantState("ready")
		r.wantLinks("ready")
		r.wantLogins(1)
		s.Close()
	})
}

// A request that meets silence asks before it trusts, and moves on when there
// is no answer: nothing of it was seen by the old connection's server twice.
func TestARequestMeetsSilence(t *testing.T) {
	for _, c := range []struct {
		name    string
		silence time.Duration
		session bool
		want    time.Duration // until the command ran
	}{
		{"idle", 12 * time.Second, false, 3 * time.Second},
		{"with a session", 12 * time.Second, true, 3 * time.Second},
		{"while a probe is out", 16 * time.Second, true, 2 * time.Second},
		{"not yet silent enough", 9 * time.Second, true, 8 * time.Second}, // the open's own doubt after 5 s, and its verdict
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
				if c.session {
					defer r.open("host", "sleep", "9h").Close()
				} else {
					r.run("host", "true")
				}
				pipe := r.silent()
				time.Sleep(c.silence)
				start := time.Now()
				if out := r.run("host", "echo", "moved"); out != "moved\n" {
					t.Errorf("%q", out)
				}
				if d := time.Since(start); d != c.want {
					t.Errorf("after %v, want %v", d, c.want)
				}
				r.wantLogins(2)
				pipe.Resume()
				synctest.Wait()
				n := 0
				for _, e := range r.execs() {
					if e == "echo moved" {
						n++
					}
				}
				if n != 1 {
					t.Errorf("ran %d times: %q", n, r.execs())
				}
			})
		})
	}
}

// A silent connection that is well costs the request nothing but the probe.
func TestARequestMeetsAQuietButLivingLink(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		r.run("host", "true")
		time.Sleep(12 * time.Second)
		start := time.Now()
		r.run("host", "true")
		if d := time.Since(start); d != 0 || r.probes() != 1 {
			t.Errorf("%v, %d probes", d, r.probes())
		}
		time.Sleep(5 * time.Second) // not silent now
		r.run("host", "true")
		if r.probes() != 1 {
			t.Errorf("%d probes", r.probes())
		}
		r.wantLogins(1)
	})
}

// What a request brings on its command line holds for as long as it lives.
func TestOverrideLivesWithItsRequest(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		keep := r.open("host", "sleep", "9h")
		go finish(keep)
		tight := r.open(append(alives("2", "2"), "host", "cat")...)
		l := keep.Link()
		if l != tight.Link() {
			t.Fatal("another connection")
		}
		holds := func(interval time.Duration, countMax int) {
			t.Helper()
			if st, _ := l.Status(); st.Interval != interval || st.CountMax != countMax {
				t.Errorf("in force: %v, %d", st.Interval, st.CountMax)
			}
		}
		holds(2*time.Second, 2)
		looser := r.open(append(alives("5", "2"), "host", "cat")...)
		holds(2*time.Second, 2)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if r.probes() != 1 {
			t.Errorf("%d probes", r.probes())
		}
		tight.CloseWrite()
		finish(tight)
		synctest.Wait()
		holds(5*time.Second, 2)
		looser.Close()
		synctest.Wait()
		holds(15*time.Second, 0)
		r.silent()
		time.Sleep(time.Minute)
		r.wantLinks("suspect ready") // and not dead, as after 6 s or 15 s
	})
}

func TestOverrideKillsInItsOwnTime(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		keep, tight := r.open("host", "sleep", "9h"), r.open(append(alives("2", "2"), "host", "sleep", "9h")...)
		go finish(keep)
		go finish(tight)
		r.silent()
		just(t, 6*time.Second, "alive", func() bool { return keep.Link().Err() == nil })
	})
}

// The SSH library holds a lock over a global request until its answer, so a
// second probe would wait for ever in it, and stop this bubble's clock.
func TestProbesAreNotStacked(t *testing.T) {
	inBubble(t, sshtest.Options{IgnoreKeepalives: true}, func(t *testing.T, r *rig) {
		s := r.open(append(alives("1", "100000"), "host", "cat")...)
		go finish(s)
		for range 100 {
			time.Sleep(700 * time.Millisecond)
			s.Write([]byte("x"))
			time.Sleep(2 * time.Second)
		}
		synctest.Wait()
		if n := r.probes(); n != 1 {
			t.Errorf("%d probes without an answer", n)
		}
		s.Close()
	})
}

// The answer of a probe is a round trip, and before the first that of a session.
func TestProbesMeasure(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		r.run("host", "true") // on a channel, and a spare follows it
		first := r.host().status().Links[0]
		if first.RTT != 0 {
			t.Errorf("%v on a path without delay", first.RTT)
		}
		r.srv.Last().Pipe().Slow(20 * time.Millisecond)
		r.run("host", "true")
		if st := r.host().status().Links[0]; st.RTT != 40*time.Millisecond {
			t.Errorf("%v by a session's open", st.RTT)
		}
		r.srv.Last().Pipe().Slow(10 * time.Millisecond)
		time.Sleep(16 * time.Second)
		synctest.Wait()
		if st := r.host().status().Links[0]; st.RTT != 20*time.Millisecond || st.Interval != 15*time.Second {
			t.Errorf("%+v", st)
		}
	})
}
