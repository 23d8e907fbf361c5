package master

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"muxd/control"
	"muxd/internal/sshtest"
)

// openssh is a server that is known to bear channels opened ahead of use.
func openssh(o sshtest.Options) sshtest.Options {
	o.Version = "SSH-2.0-OpenSSH_9.2p1 Debian-2"
	return o
}

// sessions is how many session channels the server has open.
func (r *rig) sessions() int {
	synctest.Wait()
	return r.srv.Count(sshtest.ChannelOpen, "session") - r.srv.Count(sshtest.ChannelFinished, "session")
}

func (r *rig) wantSessions(n int) {
	r.t.Helper()
	if got := r.sessions(); got != n {
		r.t.Errorf("the server has %d session channels open, want %d\n%s", got, n, r.srv.Dump())
	}
}

// warm runs a command and lets the spare for the next one be opened.
func (r *rig) warm(args ...string) {
	r.t.Helper()
	r.run(append(args, "host", "true")...)
	time.Sleep(2 * spareAfter)
	r.wantSessions(1)
}

// One spare follows a command, is no session for anybody who looks, and goes a
// minute after the last one; a connection that was used for no command has none.
func TestSpareLife(t *testing.T) {
	inBubble(t, openssh(sshtest.Options{}), func(t *testing.T, r *rig) {
		hold, err := r.held(nil, "host")
		if err != nil {
			t.Fatal(err)
		}
		f := r.forward("db:1", "host")
		time.Sleep(time.Second)
		r.wantSessions(0)
		f.Close()
		r.warm()
		time.Sleep(spareLife / 2)
		r.warm() // silent for long: by a channel of its own
		r.wantSessions(1)
		if st := r.host().status(); len(st.Sessions) != 0 || st.Links[0].Sessions != 0 {
			t.Errorf("%+v", st)
		}
		if links, sessions := r.m.Links(); links != 1 || sessions != 0 {
			t.Errorf("%d links, %d sessions", links, sessions)
		}
		just(t, spareLife-2*spareAfter, "kept", func() bool { return r.sessions() == 1 })
		r.run("host", "true") // silent for long: by an open of its own
		hold.Close()
	})
}

// Spares are no use of a connection: it expires as without them.
func TestSparesKeepNoConnection(t *testing.T) {
	inBubble(t, openssh(sshtest.Options{}), func(t *testing.T, r *rig) {
		r.warm("-o", "ControlPersist=10s")
		just(t, 10*time.Second-2*spareAfter, "held", func() bool { return r.links() == "ready" })
	})
}

// What is known of the connection is too old, or something happened since: the
// command waits for the answer to a channel open, and the spare stays.
func TestNoCommandGoesOutUnproved(t *testing.T) {
	for name, before := range map[string]func(r *rig){
		"silence": func(*rig) { time.Sleep(spareTrust + time.Millisecond) },
		"network": func(r *rig) { time.Sleep(time.Second); r.m.NetworkChanged() },
		"wake":    func(r *rig) { time.Sleep(time.Second); r.m.Woke(time.Hour) },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, openssh(sshtest.Options{}), func(t *testing.T, r *rig) {
				r.patient()
				r.warm()
				r.srv.Last().Pipe().Stall()
				before(r)
				s, err := r.ask(t.Context(), nil, "host", "echo", "moved")
				if err != nil {
					t.Fatal(err)
				}
				finish(s)
				r.wantLogins(2)
				if n := strings.Count(strings.Join(r.execs(), " "), "moved"); n != 1 {
					t.Errorf("it ran %d times", n)
				}
			})
		})
	}
}

// A command that went out on a spare of a connection which was dead by then may
// have run, for all that is known, and is not sent again.
func TestACommandOnADeadSpareIsNotRepeated(t *testing.T) {
	inBubble(t, openssh(sshtest.Options{}), func(t *testing.T, r *rig) {
		r.warm()
		r.srv.Last().Pipe().Stall()
		_, err := r.ask(t.Context(), nil, "-o", "ServerAliveInterval=1", "host", "echo", "lost")
		wantError(t, err, control.Sent, "may have run")
		r.wantLogins(1)
	})
}

// A draining connection closes its own.
func TestNoSparesOutOfService(t *testing.T) {
	inBubble(t, openssh(sshtest.Options{}), func(t *testing.T, r *rig) {
		s := r.open("host", "sleep", "9h")
		r.warm2()
		r.wantManaged("stop", "Stop listening request sent.")
		r.wantLinks("draining")
		r.wantSessions(1)
		s.Close()
		r.wantLinks("")
	})
}

// warm2 lets the spare beside an open session be opened.
func (r *rig) warm2() {
	r.t.Helper()
	time.Sleep(2 * spareAfter)
	r.wantSessions(2)
}

// A server that closes a channel that lies idle has it so: the next command has
// one of its own, and there are no more spares on that connection.
func TestAServerThatClosesSpares(t *testing.T) {
	inBubble(t, openssh(sshtest.Options{}), func(t *testing.T, r *rig) {
		r.warm()
		all := r.srv.Sessions()
		all[len(all)-1].Drop()
		r.wantSessions(0)
		for range 3 {
			r.run("host", "echo", "x")
			time.Sleep(2 * spareAfter)
			r.wantSessions(0)
		}
		r.wantLogins(1)
	})
}

// The server's close meets the command that takes the spare, at every distance
// on a slow path. Where the two cross, it may have run, for all that is known;
// otherwise it comes through; and it neither hangs nor runs twice.
func TestACloseThatMeetsTheCommand(t *testing.T) {
	const rtt = 100 * time.Millisecond
	for at := -rtt; at <= 2*rtt; at += rtt / 10 {
		for args, sent := range map[string]time.Duration{"host echo x": 0, "-tt host echo x": rtt} {
			inBubble(t, openssh(sshtest.Options{}), func(t *testing.T, r *rig) {
				r.warm()
				r.srv.Last().Pipe().Slow(rtt / 2)
				all := r.srv.Sessions()
				spare := all[len(all)-1]
				time.AfterFunc(rtt+at, func() { spare.Drop() })
				time.Sleep(rtt)
				s, err := r.ask(t.Context(), nil, strings.Fields(args)...)
				if err == nil {
					finish(s)
				}
				n := strings.Count(strings.Join(r.execs(), " "), "echo x")
				var e *control.Error
				switch {
				case n > 1, err == nil && n == 0:
					t.Errorf("%s, %v: it ran %d times, %v", args, at, n, err)
				case err != nil && (!errors.As(err, &e) || e.Phase != control.Sent):
					t.Errorf("%s, %v: %v", args, at, err)
				case err != nil && (at+rtt/2 < sent || at-rtt/2 > sent):
					t.Errorf("%s, %v: %v, and the close had come by then, or the command", args, at, err)
				}
				r.wantLogins(1)
			})
		}
	}
}

// Servers with few places: nobody is refused for a spare, no place is missing for
// one, and a server that says no to spares is not asked for ever. Pause is that
// between two commands: short, they take spares, long, they find that they must
// not, and there may be no place for both.
func TestSparesTakeNobodysPlace(t *testing.T) {
	for _, most := range []int{1, 2, 3, 10} {
		for _, pause := range []time.Duration{2 * spareAfter, 2 * spareTrust} {
			inBubble(t, openssh(sshtest.Options{MaxSessions: most}), func(t *testing.T, r *rig) { sparesTakeNobodysPlace(t, r, most, pause) })
		}
	}
}

func sparesTakeNobodysPlace(t *testing.T, r *rig, most int, pause time.Duration) {
	one := []string{"-o", "MaxConnections=1", "-o", "WaitForReady=yes"}
	for range 5 {
		r.run(append(one, "host", "true")...)
		time.Sleep(pause)
	}
	// All the places, one after the other, and one request that has to wait.
	var open []control.Stream
	for i := range most {
		s, err := r.ask(t.Context(), nil, append(one, "host", "sleep", "9h")...)
		if err != nil {
			t.Fatalf("%d of %d: %v", i, most, err)
		}
		open = append(open, s)
		time.Sleep(pause)
	}
	got := make(chan outcome, 1)
	go func() {
		s, err := r.ask(t.Context(), nil, append(one, "host", "sleep", "9h")...)
		got <- outcome{s, err}
	}()
	time.Sleep(spareLife)
	r.wantSessions(most)
	open[0].Close()
	o := <-got
	if o.err != nil {
		t.Fatal(o.err)
	}
	if n := r.host().places.limit; n != most {
		t.Errorf("learned %d, want %d", n, most)
	}
	o.s.Close()
	// The limit is known: beside all but one of the places there is none.
	time.Sleep(2 * spareLife)
	r.wantSessions(most - 1)
	for _, s := range open {
		s.Close()
	}
	start := r.srv.Count(sshtest.ChannelRefused, "")
	if start > placePatience {
		t.Errorf("%d places: %d refusals\n%s", most, start, r.srv.Dump())
	}
	for range 20 {
		r.run(append(one, "host", "true")...)
		time.Sleep(pause)
	}
	if n := r.srv.Count(sshtest.ChannelRefused, ""); n != start {
		t.Errorf("%d places: %d refusals, %d before", most, n, start)
	}
	r.wantLogins(1)
}

// Where the limit is not known there is room for no spare beyond what is far from
// the usual one, and where it is, none takes the last place.
func TestSparesNearTheLimit(t *testing.T) {
	inBubble(t, openssh(sshtest.Options{}), func(t *testing.T, r *rig) {
		for n := 1; n < 12; n++ {
			r.open("host", "sleep", "9h")
			time.Sleep(2 * spareAfter)
			r.wantSessions(max(n, min(n+1, spareRoom)))
		}
	})
	inBubble(t, openssh(sshtest.Options{}), func(t *testing.T, r *rig) {
		r.warm()
		r.host().call(func() { r.host().places.limit = 5 })
		for n := 1; n <= 5; n++ {
			r.open("host", "sleep", "9h")
			time.Sleep(2 * spareAfter)
			r.wantSessions(max(n, min(n+1, 4)))
		}
	})
}

// Many at once on ten places, and again while spares lie about.
func TestSparesAndCrowds(t *testing.T) {
	inBubble(t, openssh(sshtest.Options{MaxSessions: 10}), func(t *testing.T, r *rig) {
		for range 3 {
			var wg sync.WaitGroup
			for i := range 50 {
				req := r.request("host", "echo", fmt.Sprint(i))
				wg.Go(func() {
					s, err := r.m.Session(context.Background(), req, nil)
					if err != nil {
						t.Error(err)
						return
					}
					if out, _, err := finish(s); out != fmt.Sprintln(i) || err != nil {
						t.Errorf("%q, %v", out, err)
					}
				})
			}
			wg.Wait()
			time.Sleep(time.Second)
		}
		if n := len(r.execs()); n != 150 {
			t.Errorf("%d commands", n)
		}
		r.wantLogins(1)
		time.Sleep(spareLife)
		r.wantSessions(0)
		if h := r.host(); h.leases != 0 {
			t.Errorf("%d leases left", h.leases)
		}
	})
}

// Four that run one command after the other have a spare each before long, and
// all is dropped when they stop.
func TestSparesFollowTheNeed(t *testing.T) {
	const rtt = 100 * time.Millisecond
	inBubble(t, openssh(sshtest.Options{}), func(t *testing.T, r *rig) {
		r.warm()
		r.srv.Last().Pipe().Slow(rtt / 2)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for i := range 10 {
					req := r.request("host", "true")
					start := time.Now()
					s, err := r.m.Session(context.Background(), req, nil)
					if err != nil {
						t.Error(err)
						return
					}
					if took := time.Since(start); i >= 5 && took != rtt {
						t.Errorf("the command %d took %v", i, took)
					}
					finish(s)
					time.Sleep(2 * spareAfter)
				}
			})
		}
		wg.Wait()
		time.Sleep(rtt)
		r.wantSessions(spareMost)
		time.Sleep(spareLife + rtt)
		r.wantSessions(0)
		r.run("host", "true")
		time.Sleep(rtt)
		r.wantSessions(1)
	})
}

// Who waits for a spare that is on its way and goes leaves nothing behind.
func TestGoneWhileTheSpareIsOnItsWay(t *testing.T) {
	inBubble(t, openssh(sshtest.Options{}), func(t *testing.T, r *rig) {
		r.run("host", "true")
		r.srv.Last().Pipe().Slow(time.Second)
		time.Sleep(2 * spareAfter) // the spare's open is on its way
		ctx, cancel := context.WithTimeout(t.Context(), time.Second/2)
		defer cancel()
		_, err := r.ask(ctx, nil, "host", "echo", "x")
		wantError(t, err, control.Lost)
		time.Sleep(10 * time.Second)
		r.wantSessions(0)
		if len(r.execs()) != 1 || r.host().leases != 0 {
			t.Errorf("%q, %d leases", r.execs(), r.host().leases)
		}
	})
}

// A crowd of first commands takes up the places before there is a spare, however
// slowly the server answers.
func TestNoSparesBeforeTheCrowdIsIn(t *testing.T) {
	inBubble(t, openssh(sshtest.Options{MaxSessions: 10, OpenDelay: 10 * time.Millisecond}), func(t *testing.T, r *rig) {
		for _, o := range r.many(persons(10), "host", "sleep", "9h") {
			if o.err != nil {
				t.Fatal(o.err)
			}
		}
		time.Sleep(time.Second)
		r.wantSessions(10)
		if n := r.srv.Count(sshtest.ChannelRefused, ""); n != 0 {
			t.Errorf("%d refusals", n)
		}
		r.wantLogins(1)
	})
}

// Who waits for a spare that is then refused asks by itself, and stands in line.
func TestASpareRefusedInTheHand(t *testing.T) {
	inBubble(t, openssh(sshtest.Options{MaxSessions: 1}), func(t *testing.T, r *rig) {
		s := r.open("-o", "MaxConnections=1", "host", "sleep", "100ms")
		r.srv.Last().Pipe().Slow(50 * time.Millisecond)
		time.Sleep(2 * spareAfter) // the spare's open is on its way
		go finish(s)
		r.run("-o", "MaxConnections=1", "host", "true")
		time.Sleep(time.Second)
		r.wantSessions(0)
		r.wantLogins(1)
		if n := len(r.execs()); n != 2 {
			t.Errorf("%q", r.execs())
		}
	})
}
