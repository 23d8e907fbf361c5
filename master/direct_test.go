package master

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"muxd/alive"
	"muxd/control"
	"muxd/internal/sshtest"
)

// forward opens a stdio forward that must open.
func (r *rig) forward(to string, args ...string) control.Stream {
	r.t.Helper()
	s, err := r.forwardErr(nil, to, args...)
	if err != nil {
		r.t.Fatalf("-W %s: %v", to, err)
	}
	return s
}

func (r *rig) forwardErr(p control.Prompter, to string, args ...string) (control.Stream, error) {
	r.t.Helper()
	plan, err := r.plan(p, append([]string{"-W", to}, args...)...)
	if err != nil {
		r.t.Fatal(err)
	}
	return r.m.Direct(context.Background(), plan.Direct, p)
}

func TestDirect(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		s := r.forward("db:5432", "host")
		io.WriteString(s, "to and fro")
		s.CloseWrite()
		if out, exit, err := finish(s); out != "to and fro" || err != nil || exit != (control.Exit{}) {
			t.Errorf("%q, %+v, %v", out, exit, err)
		}
		for _, to := range []string{"db:5432", "[::1]:5432", "/run/db.sock"} {
			s := r.forward(to, "host")
			if got := r.host().status().Sessions; len(got) != 1 || got[0].Kind != "direct" {
				t.Errorf("%s: status shows %+v", to, got)
			}
			s.Close()
			synctest.Wait()
		}
		r.wantLogins(1)
	})
}

func TestDirectIsRefused(t *testing.T) {
	inBubble(t, sshtest.Options{RefuseForward: true}, func(t *testing.T, r *rig) {
		_, err := r.forwardErr(nil, "db:5432", "host")
		wantError(t, err, control.Refused, "host: stdio forwarding to db:5432 failed: administratively prohibited: forwarding is refused")
		r.run("host", "true")
		r.wantLogins(1)
	})
}

// A lost connection is no end of a stdio forward.
func TestDirectIsLost(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		s := r.forward("db:5432", "host")
		io.WriteString(s, "half of")
		r.srv.Peers()[0].Drop()
		_, _, err := finish(s)
		wantError(t, err, control.Running, "host: connection lost")
	})
}

// A client that reads no more may still send: all of it arrives.
func TestDirectReadsNoMore(t *testing.T) {
	var got []byte
	arrived := make(chan struct{})
	inBubble(t, sshtest.Options{Direct: func(context.Context, string) (io.ReadWriteCloser, error) {
		a, b := sshtest.Pipe()
		go func() { io.WriteString(b, "unread"); got, _ = io.ReadAll(b); b.Close(); close(arrived) }()
		return a, nil
	}}, func(t *testing.T, r *rig) {
		s := r.forward("db:5432", "host")
		io.WriteString(s, "before, ")
		s.CloseRead()
		time.Sleep(time.Second)
		io.WriteString(s, "after")
		s.CloseWrite()
		_, exit, err := finish(s)
		if <-arrived; string(got) != "before, after" || err != nil || exit != (control.Exit{}) {
			t.Errorf("%q, %+v, %v", got, exit, err)
		}
	})
}

// What needs no session's place passes by those who wait for one.
func TestDirectWaitsForNoPlace(t *testing.T) {
	inBubble(t, sshtest.Options{MaxSessions: 1}, func(t *testing.T, r *rig) {
		one := []string{"-o", "MaxConnections=1", "host"}
		first := r.open(append(one, "sleep", "1h")...)
		got, _ := r.queue(persons(2), append(one, "true")...)
		time.Sleep(time.Second)
		start := time.Now()
		s := r.forward("db:5432", one...)
		if took := time.Since(start); took != 0 {
			t.Errorf("it waited %v", took)
		}
		s.Close()
		select {
		case o := <-got[0]:
			t.Errorf("a place was found where there is none: %v", o.err)
		default:
		}
		first.Close()
		for _, ch := range got {
			if o := <-ch; o.err != nil {
				t.Error(o.err)
			} else {
				finish(o.s)
			}
		}
		r.wantLogins(1)
	})
}

// held holds a connection as -N does.
func (r *rig) held(p control.Prompter, args ...string) (control.Stream, error) {
	r.t.Helper()
	plan, err := r.plan(p, append([]string{"-N"}, args...)...)
	if err != nil {
		r.t.Fatal(err)
	}
	return r.m.Hold(context.Background(), plan.Hold, p)
}

// A held connection does not expire; it does once nobody holds it.
func TestHold(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		s, err := r.held(nil, "-o", "ControlPersist=10", "host")
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(24 * time.Hour)
		r.wantLinks("ready")
		s.Close()
		if _, err := s.Wait(); err == nil {
			t.Error("an abandoned hold ended well")
		}
		synctest.Wait()
		just(t, 10*time.Second, "kept", func() bool { return r.links() == "ready" })
		r.wantLogins(1)
	})
}

// A connection that is lost comes back for whoever holds it, after as many
// attempts as it takes, further and further apart.
func TestHoldComesBack(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		p := says("")
		s, err := r.held(p, "host")
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		start, dials := time.Now(), 0
		r.dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if dials++; time.Since(start) < time.Hour {
				return nil, &net.OpError{Op: "dial", Err: io.ErrUnexpectedEOF}
			}
			return r.srv.DialContext(ctx, network, addr)
		}
		r.srv.Peers()[0].Drop()
		time.Sleep(time.Hour + alive.CapPinned)
		r.wantState("ready")
		if dials < 100 || dials > 400 { // 30 s apart at most, 15 s on the average
			t.Errorf("%d attempts in an hour", dials)
		}
		if told := p.Told(); strings.Count(told, "trying again until it is back") != 1 {
			t.Errorf("told %q", told)
		}
	})
}

// What only a person can mend ends the hold: no timer tries it again.
func TestHoldIsRefused(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		s, err := r.held(nil, "host")
		if err != nil {
			t.Fatal(err)
		}
		r.know(sshtest.NewKey().PublicKey())
		r.srv.Peers()[0].Drop()
		_, _, err = finish(s)
		wantError(t, err, control.Refused, "host: host key verification failed")
		time.Sleep(time.Hour)
		if n := len(r.srv.Events(sshtest.Connected)); n != 2 {
			t.Errorf("%d connections, want 2", n)
		}
	})
}

// One that serves others goes on: it makes no attempts of its own, and has the
// connection that one of the others made.
func TestHoldThatServesIsRefused(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		p := says("")
		plan, err := r.plan(p, "-N", "-o", "ControlPersist=10", "host")
		if err != nil {
			t.Fatal(err)
		}
		plan.Hold.Serves = true
		s, err := r.m.Hold(context.Background(), plan.Hold, p)
		if err != nil {
			t.Fatal(err)
		}
		r.know(sshtest.NewKey().PublicKey())
		r.srv.Peers()[0].Drop()
		time.Sleep(time.Hour)
		if n := len(r.srv.Events(sshtest.Connected)); n != 2 {
			t.Errorf("%d connections, want 2", n)
		}
		if told := p.Told(); strings.Count(told, "; waiting for a login by somebody else") != 1 {
			t.Errorf("told %q", told)
		}
		r.know(r.srv.HostKey())
		r.run("-o", "ControlPersist=10", "host", "true")
		time.Sleep(24 * time.Hour)
		r.wantLinks("ready")
		s.Close()
		if _, err := s.Wait(); err == nil {
			t.Error("an abandoned hold ended well")
		}
	})
}

// A connection that was whole is no loss where the SSH connection goes with it,
// since nobody wants that any more.
func TestDirectIsTheLastOfItsConnection(t *testing.T) {
	for name, args := range map[string][]string{"unwanted": {"-o", "ControlPersist=no"}, "replaced": nil} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
				f := r.forward("db:1", append(args, "host")...)
				if args == nil {
					if _, err := r.m.Admin(t.Context(), &control.AdminRequest{Command: "recycle"}); err != nil {
						t.Fatal(err)
					}
					r.wantLinks("draining ready")
				}
				f.Write([]byte("whole"))
				f.CloseWrite()
				if out, _, err := finish(f); out != "whole" || err != nil {
					t.Errorf("%q, %v", out, err)
				}
				if got := r.links(); got != "" && got != "ready" {
					t.Errorf("left: %s", got)
				}
			})
		})
	}
}

// LocalCommand runs once for every request, after the connection is there and
// before anything else.
func TestLocalCommandBeforeEachRequest(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		var ran []string
		p := says("")
		p.OnRun = func(_ context.Context, c control.Command) (control.Ran, error) {
			time.Sleep(time.Millisecond) // the server notes the login in its own time
			ran = append(ran, c.Args[0])
			if r.srv.Logins() == 0 {
				t.Error("it ran before the login")
			}
			return control.Ran{Status: 1}, nil
		}
		local := []string{"-o", "PermitLocalCommand=yes", "-o", "LocalCommand=up %h", "host"}
		s, err := r.ask(t.Context(), p, append(local, "true")...)
		if err != nil {
			t.Fatal(err)
		}
		finish(s)
		f, err := r.forwardErr(p, "db:1", local...)
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
		if h, err := r.held(p, local...); err != nil {
			t.Error(err)
		} else {
			h.Close()
		}
		if got := strings.Join(ran, ","); got != "up host,up host,up host" {
			t.Errorf("ran %q", got)
		}
		r.run(append(local, "true")...) // nobody there: nothing runs
	})
}

// What muxd refuses because it drains another one takes, but not where LocalCommand
// has run: it would run once more.
func TestLocalCommandRunsOnceWhereMuxdDrains(t *testing.T) {
	for name, ask := range map[string]func(r *rig, p *person, args ...string) error{
		"session": func(r *rig, p *person, args ...string) error {
			_, err := r.ask(context.Background(), p, append(args, "true")...)
			return err
		},
		"-W": func(r *rig, p *person, args ...string) error { _, err := r.forwardErr(p, "db:1", args...); return err },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
				s := r.open("host", "cat")
				p := says("")
				p.OnRun = func(context.Context, control.Command) (control.Ran, error) {
					time.Sleep(time.Second)
					return control.Ran{}, nil
				}
				asked := make(chan error, 1)
				go func() { asked <- ask(r, p, "-o", "PermitLocalCommand=yes", "-o", "LocalCommand=up", "host") }()
				time.Sleep(time.Second / 2)
				done := r.drained(t.Context(), nil)
				err := <-asked
				wantError(t, err, control.Refused, "host: this muxd takes on nothing new")
				if errors.Is(err, control.ErrNotTaken) {
					t.Error("another muxd is asked")
				}
				s.Close()
				time.Sleep(drainLook)
				answered(t, done)
			})
		})
	}
}

// Only who asked for it is told what happens, and only as much.
func TestDebugLinesGoToWhoAsked(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		quiet, loud := says(""), says("")
		a, err := r.ask(t.Context(), quiet, "host", "sleep", "1h")
		if err != nil {
			t.Fatal(err)
		}
		plan, err := r.plan(loud, "-v", "host", "sleep", "1h")
		if err != nil {
			t.Fatal(err)
		}
		b, err := r.m.Session(t.Context(), plan.Session, loud)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Second)
		if !strings.Contains(loud.Told(), "debug1: sending keepalive@openssh.com after 15s") {
			t.Errorf("told %q", loud.Told())
		}
		if quiet.Told() != "" {
			t.Errorf("who did not ask was told %q", quiet.Told())
		}
		a.Close()
		b.Close()
	})
}

// -v tells of the way through a jump host too, and only who asked.
func TestDebugLinesOfAJumpHost(t *testing.T) {
	inNetwork(t, sshtest.Options{}, []string{"bastion", "inside"}, []string{"bastion"}, func(t *testing.T, r *rig, n *network) {
		people := []*person{says(""), says("")}
		words := [][]string{{"-v", "-J", "bastion", "inside", "true"}, {"-J", "bastion", "inside", "true"}}
		done := make(chan error, 2)
		for i, args := range words {
			plan, err := r.plan(people[i], args...)
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				s, err := r.m.Session(context.Background(), plan.Session, people[i])
				if err == nil {
					_, _, err = finish(s)
				}
				done <- err
			}()
		}
		for range words {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		told := people[0].Told()
		for _, part := range []string{"debug1: authenticated to bastion:22 as me by ", "debug1: connecting to inside:22 through jump host bastion\n", "debug1: authenticated to inside:22 as me by "} {
			if strings.Count(told, part) != 1 {
				t.Errorf("%q is told %d times in\n%s", part, strings.Count(told, part), told)
			}
		}
		if n := strings.Count(told, "debug1: kex "); n != 2 {
			t.Errorf("what was agreed on is told %d times in\n%s", n, told)
		}
		if quiet := people[1].Told(); quiet != "" {
			t.Errorf("who did not ask was told %q", quiet)
		}
	})
}
