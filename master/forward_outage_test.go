package master

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"

	"muxd/control"
	"muxd/internal/sshtest"
)

func (r *rig) wantForwards(want string) {
	r.t.Helper()
	if got := r.forwards(); got != want {
		r.t.Errorf("forwards %q, want %q", got, want)
	}
}

// serves sends through a local forward, which must serve.
func (s *shore) serves(r *rig, name string) {
	r.t.Helper()
	c, err := s.connect(name)
	if err != nil {
		r.t.Error(err)
		return
	}
	defer c.Close()
	if got, err := exchange(c, "hello"); got != "hello" || err != nil {
		r.t.Errorf("through %s: %q, %v\n%s", name, got, err, r.srv.Dump())
	}
}

// reaches connects to a remote forward, which must serve.
func reaches(t *testing.T, srv *sshtest.Server, bind string) ssh.Channel {
	t.Helper()
	ch, err := srv.Connect(bind)
	if err != nil {
		t.Errorf("connect to %s: %v", bind, err)
		return nil
	}
	ch.Write([]byte("x"))
	if _, err := io.ReadFull(ch, make([]byte, 1)); err != nil {
		t.Errorf("through %s: %v", bind, err)
	}
	return ch
}

func (r *rig) recycle() {
	r.t.Helper()
	if _, err := r.admin(control.AdminRequest{Command: "recycle"}); err != nil {
		r.t.Fatal(err)
	}
	synctest.Wait()
}

// order carries out a command line with -O.
func (r *rig) order(args ...string) (*control.Managed, error) {
	r.t.Helper()
	plan, err := r.plan(nil, args...)
	if err != nil {
		r.t.Fatalf("%q: %v", args, err)
	}
	return r.m.Manage(context.Background(), plan.Manage)
}

// A connection that carries a session is kept through a long silence, and the
// one beside it serves the forwards. The port is the old one's until its server
// can be asked, or it is closed: degraded, and then it stands.
func TestForwardsBesideASilentConnection(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		r.patient()
		s := r.ashore()
		s.echoes("localhost:22")
		r.mustForward("-N", "-L", "8080:db:1", "-R", "2222:localhost:22", "host")
		keeps := r.open("host", "cat")
		c, _ := s.connect("localhost:8080")
		exchange(c, "before")
		old := r.srv.Last()
		old.Pipe().Stall()
		time.Sleep(time.Minute)
		r.wantLinks("suspect ready")
		s.serves(r, "localhost:8080")
		r.wantForwards("-L localhost:8080:db:1 active 1; -R localhost:2222:localhost:22 degraded 0; ")
		old.Pipe().Resume() // it answers, and drains: another one serves
		time.Sleep(31 * time.Second)
		r.wantLinks("draining ready")
		r.wantForwards("-L localhost:8080:db:1 active 1; -R localhost:2222:localhost:22 active 0; ")
		reaches(t, r.srv, "localhost:2222").Close()
		if got, err := exchange(c, "after"); got != "after" || err != nil {
			t.Errorf("a connection through the silence: %q, %v", got, err)
		}
		// It ends with what it carries, of either kind.
		keeps.Close()
		r.wantLinks("draining ready")
		c.Close()
		r.wantLinks("ready")
		r.wantLogins(2)
	})
}

// The port that the server chose is the forward's from then on, and the status
// says it whatever happens.
func TestChosenPortStays(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		s := r.ashore()
		s.echoes("localhost:22")
		release := r.mustForward("-N", "-R", "0:localhost:22", "host")
		want := func(state string) {
			t.Helper()
			r.wantForwards("-R localhost:40001:localhost:22 " + state + " 0; ")
		}
		want("active")
		r.recycle()
		time.Sleep(5 * time.Second)
		want("active")
		reaches(t, r.srv, "localhost:40001").Close()
		r.srv.Update(func(o *sshtest.Options) { o.DialError = errors.New("down"); o.HoldPorts = time.Minute })
		r.srv.Last().Drop()
		synctest.Wait()
		want("waiting")
		r.srv.Update(func(o *sshtest.Options) { o.DialError = nil })
		time.Sleep(40 * time.Second)
		want("degraded")
		time.Sleep(time.Minute)
		want("active")
		keeps := r.open("host", "cat")
		r.srv.Last().Pipe().Stall()
		time.Sleep(time.Minute)
		if got := r.forwards(); !strings.HasPrefix(got, "-R localhost:40001:localhost:22 ") {
			t.Error(got)
		}
		keeps.Close()
		release()
	})
}

// A silent connection is asked for nothing: what is degraded on it waits.
func TestSilentServerIsNotAsked(t *testing.T) {
	inBubble(t, sshtest.Options{RefuseListen: true}, func(t *testing.T, r *rig) {
		r.patient()
		r.ashore()
		r.m.cfg.Rand = func() float64 { return 0 }
		keeps := r.open("host", "cat")
		release := r.mustForward("-N", "-R", "2222:localhost:22", "host")
		time.Sleep(62 * time.Second) // just after an attempt, and 29 s before the next
		r.wantForwards("-R localhost:2222:localhost:22 degraded 0; ")
		r.srv.Update(func(o *sshtest.Options) { o.DialError = errors.New("down") })
		r.srv.Last().Pipe().Stall()
		time.Sleep(28 * time.Second)
		r.wantLinks("suspect")
		r.wantForwards("-R localhost:2222:localhost:22 waiting 0; ")
		r.srv.Update(func(o *sshtest.Options) { o.RefuseListen = false })
		r.srv.Last().Pipe().Resume()
		time.Sleep(time.Minute)
		r.wantForwards("-R localhost:2222:localhost:22 active 0; ")
		keeps.Close()
		release()
	})
}

// A connection that came through a remote forward holds the SSH connection, of
// which nobody wants anything else any more.
func TestIncomingHoldsTheConnection(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		s := r.ashore()
		s.echoes("localhost:22")
		release := r.mustForward("-o", "ControlPersist=10s", "-R", "2222:localhost:22", "host", "true")
		ch := reaches(t, r.srv, "localhost:2222")
		release()
		r.wantForwards("")
		time.Sleep(5 * time.Hour)
		r.wantLinks("ready")
		ch.Write([]byte("y"))
		if _, err := io.ReadFull(ch, make([]byte, 1)); err != nil {
			t.Error(err)
		}
		ch.Close()
		just(t, 10*time.Second, "the connection persists", func() bool { return r.links() == "ready" })
		r.wantLogins(1)
	})
}

// The same of one that goes out, and of a connection that drains.
func TestDrainEndsWithTheLastForwarded(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		s := r.ashore()
		s.echoes("localhost:22")
		release := r.mustForward("-o", "ControlPersist=10s", "-L", "8080:db:1", "-R", "2222:localhost:22", "host", "true")
		in := reaches(t, r.srv, "localhost:2222")
		out, _ := s.connect("localhost:8080")
		exchange(out, "x")
		r.recycle()
		time.Sleep(takenBackRace)
		r.wantLinks("draining ready")
		s.serves(r, "localhost:8080")
		in.Close()
		r.wantLinks("draining ready")
		if got, err := exchange(out, "still"); got != "still" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		out.Close()
		r.wantLinks("ready")
		release()
		time.Sleep(11 * time.Second)
		r.wantLinks("")
	})
}

// Forwards behind a jump host come back when either connection is lost.
func TestForwardsBehindAJumpHost(t *testing.T) {
	inNetwork(t, sshtest.Options{}, []string{"bastion", "inside", "db"}, []string{"bastion"}, func(t *testing.T, r *rig, n *network) {
		r.patient()
		r.write(".ssh/config", "Host inside\n ProxyJump bastion\nHost *\n ControlPersist 10s\n")
		s := r.ashore()
		s.echoes("localhost:22")
		release := r.mustForward("-N", "-L", "8080:db:22", "-R", "0:localhost:22", "inside")
		inside := n.servers["inside"].srv
		for _, lost := range []string{"bastion", "inside", "bastion"} {
			reaches(t, inside, "localhost:40001").Close()
			c, err := s.connect("localhost:8080")
			if err != nil {
				t.Fatal(err)
			}
			c.SetDeadline(time.Now().Add(time.Minute))
			hello := make([]byte, 4)
			if _, err := io.ReadFull(c, hello); string(hello) != "SSH-" || err != nil {
				t.Errorf("%q, %v", hello, err)
			}
			n.servers[lost].srv.Last().Drop()
			if _, err := io.ReadAll(c); err == nil {
				t.Error("a connection that was lost ended cleanly")
			}
			time.Sleep(10 * time.Second)
			synctest.Wait()
		}
		if got := inside.Forwards(); len(got) != 1 || got[0] != "localhost:40001" {
			t.Errorf("%q", got)
		}
		release()
		time.Sleep(time.Hour)
		if links, _ := r.m.Links(); links != 0 {
			t.Errorf("%d connections are left", links)
		}
	})
}

// After -O exit nothing of before is left, and the next command finds all as at
// the first time. After -O stop only what a client wants is.
func TestForwardsAfterExitAndStop(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		r.patient()
		s := r.ashore()
		s.echoes("localhost:22")
		for _, command := range []string{"exit", "stop"} {
			p := &person{}
			release, err := r.wantsForward(p, "-L", "1:a:1", "-R", "2222:localhost:22", "host", "sleep 9h")
			if err != nil {
				t.Fatal(err)
			}
			session := r.open("host", "sleep", "9h")
			if _, err := r.order("-O", "forward", "-L", "2:a:1", "-R", "0:localhost:22", "host"); err != nil {
				t.Fatal(err)
			}
			if m, err := r.order("-O", command, "host"); err != nil || m.Code != 0 {
				t.Fatalf("%+v, %v", m, err)
			}
			time.Sleep(time.Second)
			if _, err := s.connect("localhost:2"); err == nil {
				t.Errorf("%s: a sticky forward is left", command)
			}
			time.Sleep(time.Second)
			if command == "exit" {
				r.wantForwards("")
				r.wantLinks("")
				if got := r.srv.Forwards(); len(got) != 0 {
					t.Errorf("the server listens at %q", got)
				}
			} else {
				r.wantForwards("-L localhost:1:a:1 active 0; -R localhost:2222:localhost:22 active 0; ")
				r.wantLinks("draining")
				reaches(t, r.srv, "localhost:2222").Close()
				s.serves(r, "localhost:1") // makes another one
				r.wantLinks("draining ready")
				r.wantForwards("-L localhost:1:a:1 active 0; -R localhost:2222:localhost:22 active 0; ")
			}
			r.run("host", "true")
			r.wantState("ready")
			again := r.mustForward("-L", "1:a:1", "-R", "2222:localhost:22", "host", "true")
			s.serves(r, "localhost:1")
			reaches(t, r.srv, "localhost:2222").Close()
			session.Close()
			release()
			again()
			r.wantForwards("")
			r.hangUp()
		}
	})
}

// -N with a remote forward goes on after -O stop: its forward moves to the
// connection that it makes then.
func TestHolderGoesOnAfterStop(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		r.patient()
		s := r.ashore()
		s.echoes("localhost:22")
		r.mustForward("-N", "-R", "0:localhost:22", "host")
		plan, err := r.plan(nil, "-N", "-R", "0:localhost:22", "host")
		if err != nil {
			t.Fatal(err)
		}
		h, err := r.m.Hold(t.Context(), plan.Hold, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.order("-O", "stop", "host"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		r.wantForwards("-R localhost:40001:localhost:22 active 0; ")
		r.wantLogins(2)
		reaches(t, r.srv, "localhost:40001").Close()
		h.Close()
	})
}

// What stands without a client moves to the connection of the configuration as
// it is now; what a client wants stays with it until it goes.
func TestForwardsMoveWithTheConfiguration(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		s := r.ashore()
		s.echoes("localhost:22")
		r.write(".ssh/config", "Host box\n HostName host\n")
		session := r.open("box", "sleep", "9h")
		if m, err := r.order("-O", "forward", "-L", "1:a:1", "-L", "2:a:1", "-R", "0:localhost:22", "box"); err != nil || string(m.Out) != "40001\n" {
			t.Fatalf("%+v, %v", m, err)
		}
		shared := r.mustForward("-L", "2:a:1", "box", "true")
		r.write(".ssh/config", "Host box\n HostName host\n IdentitiesOnly yes\n")
		r.run("box", "true")
		time.Sleep(40 * time.Second)
		s.serves(r, "localhost:1")
		s.serves(r, "localhost:2")
		all := func() (text string) {
			synctest.Wait()
			for _, h := range r.m.all() {
				text += h.State().String() + ": "
				for _, f := range h.status().Forwards {
					text += f.Forward.String() + " " + f.State + "; "
				}
			}
			return text
		}
		got := all()
		// The one from before has a connection again, for what came to its forward.
		old, now := "ready: -L localhost:2:a:1 active; ", "ready: -L localhost:1:a:1 active; -L localhost:2:a:1 degraded; -R localhost:40001:localhost:22 active; "
		if !strings.Contains(got, old) || !strings.Contains(got, now) {
			t.Errorf("%s", got)
		}
		if got := r.srv.Forwards(); len(got) != 1 || got[0] != "localhost:40001" {
			t.Errorf("the server listens at %q", got)
		}
		reaches(t, r.srv, "localhost:40001").Close()
		shared()
		time.Sleep(31 * time.Second)
		if got := all(); !strings.Contains(got, "-L localhost:2:a:1 active") || strings.Contains(got, "degraded") {
			t.Errorf("%s", got)
		}
		s.serves(r, "localhost:2")
		session.Close()
	})
}

// With muxd's end every forward ends: the ports are free, what was open is reset
// and what waited is let go.
func TestForwardsEndWithMuxd(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		r.patient()
		s := r.ashore()
		s.echoes("localhost:22")
		r.mustForward("-N", "-L", "1:a:1", "-R", "2222:localhost:22", "host")
		open, _ := s.connect("localhost:1")
		exchange(open, "x")
		in := reaches(t, r.srv, "localhost:2222")
		r.srv.Last().Pipe().Stall()
		waits, _ := s.connect("localhost:1")
		synctest.Wait()
		began := time.Now()
		r.m.Close()
		for name, c := range map[string]io.Reader{"open": open, "waiting": waits} {
			if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("let go after %v", took)
		}
		if _, err := s.connect("localhost:1"); err == nil {
			t.Error("it listens")
		}
		r.srv.Last().Pipe().Resume()
		if _, err := in.Read(make([]byte, 1)); err == nil {
			t.Error("what came from the server is open")
		}
		synctest.Wait()
		if got := r.srv.Forwards(); len(got) != 0 {
			t.Errorf("the server listens at %q", got)
		}
		if _, err := r.wantsForward(nil, "-N", "-L", "1:a:1", "host"); err == nil {
			t.Error("a forward of a muxd that ends")
		}
	})
}
