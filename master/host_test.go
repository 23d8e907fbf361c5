package master

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"muxd/control"
	"muxd/internal/dest"
	"muxd/internal/sshlink"
	"muxd/internal/sshtest"
)

func TestFiftyFirstCommandsMakeOneLogin(t *testing.T) {
	inBubble(t, sshtest.Options{AuthDelay: time.Second, DialDelay: time.Second}, func(t *testing.T, r *rig) {
		for i, o := range r.many(persons(50), "host", "echo", "hello") {
			if o.err != nil {
				t.Fatalf("%d: %v", i, o.err)
			}
			if out, _, err := finish(o.s); out != "hello\n" || err != nil {
				t.Errorf("%d: %q, %v", i, out, err)
			}
		}
		r.wantLogins(1)
		if n := r.srv.Count(sshtest.Dialled, ""); n != 1 {
			t.Errorf("%d dials", n)
		}
		if st := r.host().status(); st.Logins != 1 || st.State != "ready" {
			t.Errorf("%+v", st)
		}
	})
}

func TestAFailedDialIsSharedAndTheNextRequestDialsAnew(t *testing.T) {
	for _, c := range []struct {
		name  string
		set   func(r *rig)
		args  []string
		phase control.ErrorPhase
		part  string
		after string
	}{
		{"refused", func(r *rig) {
			r.srv.Update(func(o *sshtest.Options) { o.DialError = errors.New("connection refused") })
		},
			nil, control.Refused, "connect to host:22: connection refused", "idle"},
		{"no login", func(r *rig) { r.srv.Update(func(o *sshtest.Options) { o.Password = "no key will do" }) },
			[]string{"-o", "PasswordAuthentication=no", "-o", "KbdInteractiveAuthentication=no"}, control.Refused, "", ""},
		{"unknown host key", func(r *rig) { r.know() },
			[]string{"-o", "StrictHostKeyChecking=yes"}, control.Refused, "no ED25519 key is known for host and StrictHostKeyChecking is yes", "blocked"},
		{"timeout", func(r *rig) { r.srv.Update(func(o *sshtest.Options) { o.DialDelay = time.Hour }) },
			nil, control.Refused, "connect to host:22: timed out", "idle"},
		{"not SSH", func(r *rig) { r.srv.Update(func(o *sshtest.Options) { o.Greeting = "Exceeded MaxStartups\r\n" }) },
			nil, control.Refused, `the server refused the connection: "Exceeded MaxStartups"`, "idle"},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, sshtest.Options{DialDelay: time.Second}, func(t *testing.T, r *rig) {
				c.set(r)
				args := append(c.args, "host", "true")
				all := r.many(persons(50), args...)
				for _, o := range all {
					wantError(t, o.err, c.phase, "host: ", c.part)
					if o.err.Error() != all[0].err.Error() {
						t.Errorf("%v is not %v", o.err, all[0].err)
					}
				}
				if n := r.srv.Count(sshtest.Dialled, ""); n != 1 {
					t.Errorf("%d dials", n)
				}
				if got := r.state(); c.after != "" && got != c.after {
					t.Errorf("state %q, want %q", got, c.after)
				}
				// Nobody tries again by himself, and every request tries once.
				for i := range 2 {
					time.Sleep(5 * time.Minute)
					_, err := r.ask(context.Background(), nil, args...)
					wantError(t, err, c.phase, c.part)
					if n := r.srv.Count(sshtest.Dialled, ""); n != 2+i {
						t.Errorf("%d dials", n)
					}
				}
				r.wantLogins(0)
			})
		})
	}
}

func TestAnErrorNamesTheHostAsEachRequestSpeltIt(t *testing.T) {
	inBubble(t, sshtest.Options{DialDelay: time.Second, DialError: errors.New("down")}, func(t *testing.T, r *rig) {
		a, b := r.request("host", "true"), r.request("me@host", "true")
		errs := make(chan error, 2)
		for _, q := range []*control.SessionRequest{a, b} {
			go func() { _, err := r.m.Session(t.Context(), q, nil); errs <- err }()
		}
		got := []string{(<-errs).Error(), (<-errs).Error()}
		slices.Sort(got)
		if want := []string{"host: connect to host:22: down", "me@host: connect to host:22: down"}; !slices.Equal(got, want) {
			t.Errorf("%q", got)
		}
	})
}

func TestStates(t *testing.T) {
	inBubble(t, sshtest.Options{DialDelay: time.Second}, func(t *testing.T, r *rig) {
		r.wantState("forgotten")
		go func() { finish(r.open("host", "true")) }()
		r.wantState("connecting")
		time.Sleep(time.Second)
		r.wantState("ready")
		r.wantManaged("exit", "Exit request sent.")
		r.wantState("idle")
		r.srv.RotateHostKey()
		_, err := r.ask(t.Context(), nil, "host", "true")
		wantError(t, err, control.Refused, "the host key has changed")
		r.wantState("blocked")
		if st := r.host().status(); st.LastErr == "" || st.Waiting != 0 {
			t.Errorf("%+v", st)
		}
		r.know(r.srv.HostKey())
		r.run("host", "true")
		r.wantState("ready")
		if st := r.host().status(); st.LastErr != "" || st.Logins != 2 {
			t.Errorf("%+v", st)
		}
		h := r.host()
		r.m.Close()
		if h.State() != Closed {
			t.Errorf("state %v after Close", h.State())
		}
	})
}

func TestExpiry(t *testing.T) {
	for _, c := range []struct {
		persist string // "" is unset
		after   time.Duration
	}{
		{"", time.Hour}, {"10m", 10 * time.Minute}, {"1s", time.Second}, {"90", 90 * time.Second},
	} {
		t.Run("ControlPersist "+c.persist, func(t *testing.T) {
			inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
				args := []string{"host", "sleep", "5s"}
				if c.persist != "" {
					args = append([]string{"-o", "ControlPersist=" + c.persist}, args...)
				}
				r.run(args...)
				time.Sleep(c.after / 2)
				r.run(args...) // starts the time anew
				just(t, c.after, "connected", func() bool { return r.links() == "ready" })
				r.wantState("idle")
				if n := r.srv.Count(sshtest.Disconnected, ""); n != 1 {
					t.Errorf("%d disconnected", n)
				}
				just(t, 10*time.Minute, "remembered", func() bool { return r.host() != nil })
			})
		})
	}
}

func TestExpiryNoIsTheLastSession(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		a, b := r.open("-o", "ControlPersist=no", "host", "sleep", "5s"), r.open("-o", "ControlPersist=no", "host", "sleep", "9s")
		finish(a)
		time.Sleep(3 * time.Second)
		r.wantLinks("ready")
		finish(b)
		r.wantLinks("")
	})
}

func TestExpiryForever(t *testing.T) {
	for _, v := range []string{"yes", "0"} {
		inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
			r.run("-o", "ControlPersist="+v, "host", "true")
			time.Sleep(50 * time.Hour)
			r.wantLinks("ready")
			r.wantManaged("exit", "Exit request sent.")
			synctest.Wait()
			just(t, 10*time.Minute, "remembered", func() bool { return r.host() != nil })
		})
	}
}

// The end of an idle connection starts the host's own time, however little of
// the connection's was left.
func TestForgettingCountsFromTheEnd(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		r.run("-o", "ControlPersist=1h", "host", "true")
		time.Sleep(59*time.Minute + 59*time.Second)
		r.wantManaged("exit", "Exit request sent.")
		synctest.Wait()
		just(t, 10*time.Minute, "remembered", func() bool { return r.host() != nil })
		r.run("-o", "ControlPersist=1h", "host", "true")
		r.wantManaged("exit", "Exit request sent.")
		synctest.Wait()
		just(t, 10*time.Minute, "remembered", func() bool { return r.host() != nil })
	})
}

// A request at the very instant of expiry gets a session that works, be it on
// the old connection or on a new one.
func TestExpiryMeetsARequest(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		req := r.request("-o", "ControlPersist=1s", "host", "echo", "on")
		dialled := 0
		times := int(long(1000))
		for i := range times {
			s, err := r.m.Session(context.Background(), req, nil)
			if err != nil {
				t.Fatalf("%d: %v", i, err)
			}
			if out, exit, err := finish(s); out != "on\n" || exit.Code != 0 || err != nil {
				t.Fatalf("%d: %q %v %v", i, out, exit, err)
			}
			synctest.Wait()
			if i%2 == 0 {
				time.Sleep(time.Second) // with the timer
				continue
			}
			time.Sleep(time.Second - time.Nanosecond) // and just before it
		}
		dialled = r.srv.Logins()
		t.Logf("%d of %d requests met the expiry first", dialled, times)
		if n := len(r.execs()); n != times {
			t.Errorf("%d commands", n)
		}
	})
}

// A host that somebody has in hand is not forgotten.
func TestAHostInHandIsKept(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		h, err := r.m.host(r.request("host", "true").Dest.(*dest.Destination))
		if err != nil {
			t.Fatal(err)
		}
		h.call(func() { r.m.forget(h) })
		r.wantState("idle")
		r.m.unuse(h)
		h.call(func() { r.m.forget(h) })
		r.wantState("forgotten")
	})
}

// A dial that was given up may take its time to end. Whoever comes meanwhile is
// not to blame for that, and dials anew.
func TestARequestMeetsAGivenUpDial(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		dials := 0
		r.dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if dials++; dials == 1 {
				time.Sleep(10 * time.Second) // deaf to ctx
				return nil, ctx.Err()
			}
			return r.srv.DialContext(ctx, network, addr)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := r.ask(ctx, nil, "host", "true"); err == nil {
			t.Error("a session without a connection")
		}
		time.Sleep(time.Second)
		start := time.Now()
		r.run("host", "true")
		if d := time.Since(start); d != 8*time.Second || dials != 2 {
			t.Errorf("after %v, %d dials", d, dials)
		}
	})
}

// Requests come and go around the host's forgetting too.
func TestForgettingMeetsARequest(t *testing.T) {
	inBubble(t, sshtest.Options{DialError: errors.New("down")}, func(t *testing.T, r *rig) {
		req := r.request("host", "true")
		for range 300 {
			_, err := r.m.Session(context.Background(), req, nil)
			wantError(t, err, control.Refused, "down")
			synctest.Wait()
			time.Sleep(forgetAfter)
		}
	})
}

// doubted has the server fall silent, until its connection is doubted.
func (r *rig) doubted(l *link) {
	r.t.Helper()
	r.silent()
	just(r.t, 18*time.Second, "trusted", func() bool { return l.State() == sshlink.Ready })
}

// The states of the links decide, not the order in which the news of them come.
func TestNewsOutOfOrder(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		keep := r.open("host", "sleep", "1h")
		h, l := r.host(), r.link(keep)
		news := func() { h.call(func() { h.changed(l) }) }

		// Doubt and trust before the host heard of either, and a request in
		// between that started a dial.
		r.srv.Update(func(o *sshtest.Options) { o.DialDelay = time.Hour })
		l.onState = func() {}
		r.doubted(l)
		got := make(chan error, 1)
		go func() { _, err := r.ask(t.Context(), nil, "host", "true"); got <- err }()
		synctest.Wait()
		if h.dialing == nil {
			t.Error("the request did not dial")
		}
		r.srv.Last().Pipe().Resume() // and it answers
		synctest.Wait()
		news()
		if err := <-got; err != nil {
			t.Error(err)
		}
		r.wantState("ready")
		r.wantLogins(1)
	})
}

// A dial that fails while the old connection serves again must not leave behind
// those who came in between.
func TestAFailedReplacementLeavesNobodyWaiting(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		keep := r.open("host", "sleep", "1h")
		h, l := r.host(), r.link(keep)
		l.onState = func() {} // nobody tells the host
		r.srv.Update(func(o *sshtest.Options) { o.DialDelay, o.DialError = time.Second, errors.New("down") })
		r.doubted(l)
		got := make(chan error, 1)
		go func() { _, err := r.ask(t.Context(), nil, "host", "true"); got <- err }()
		synctest.Wait()
		r.srv.Last().Pipe().Resume() // and it answers
		synctest.Wait()
		select {
		case err := <-got:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(time.Minute):
			t.Errorf("waits for ever, %d waiting, dialing %v", len(h.waiters), h.dialing != nil)
		}
		r.wantState("ready")
	})
}

func TestStateNames(t *testing.T) {
	got := fmt.Sprint(Idle, Connecting, Ready, Suspect, Waiting, Blocked, Closed, sshlink.Ready, sshlink.Suspect, sshlink.Draining, sshlink.Dead)
	if got != "idle connecting ready suspect waiting blocked closed ready suspect draining dead" {
		t.Error(got)
	}
}
