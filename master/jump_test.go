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

	"golang.org/x/crypto/ssh"

	"muxd/alive"
	"muxd/control"
	"muxd/internal/dest"
	"muxd/internal/sshtest"
)

// behindBastion is a rig with two servers: "bastion", and "inside", which is
// only reached through it.
func behindBastion(t *testing.T, bastion sshtest.Options, f func(t *testing.T, r *rig, inside *sshtest.Server)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		inside := sshtest.NewServer(sshtest.Options{})
		bastion.Direct = func(ctx context.Context, addr string) (io.ReadWriteCloser, error) {
			if addr != "inside:22" {
				return nil, errors.New("no such host")
			}
			return inside.DialContext(ctx, "tcp", addr)
		}
		r := newRig(t, bastion)
		r.write(".ssh/known_hosts", "bastion "+string(ssh.MarshalAuthorizedKey(r.srv.HostKey()))+
			"inside "+string(ssh.MarshalAuthorizedKey(inside.HostKey())))
		r.write(".ssh/config", "Host inside\n  ProxyJump bastion\n")
		r.dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if addr != "bastion:22" {
				t.Errorf("dialled %s directly", addr)
			}
			return r.srv.DialContext(ctx, network, addr)
		}
		defer synctest.Wait()
		defer r.srv.Close()
		defer inside.Close()
		defer r.m.Close()
		f(t, r, inside)
	})
}

func hostNamed(r *rig, name string) control.HostStatus {
	st, _ := r.m.Status(context.Background(), new(control.StatusRequest))
	for _, h := range st.Hosts {
		if h.Name == name {
			return h
		}
	}
	return control.HostStatus{}
}

// A bastion is a host of its own: one login there serves everything that jumps
// through it, and commands on it as well.
func TestJumpHostIsSharedAndKept(t *testing.T) {
	behindBastion(t, sshtest.Options{}, func(t *testing.T, r *rig, inside *sshtest.Server) {
		if out := r.run("inside", "echo", "hello"); out != "hello\n" {
			t.Errorf("got %q", out)
		}
		r.run("bastion", "true")
		r.run("inside", "echo")
		if r.srv.Logins() != 1 || inside.Logins() != 1 {
			t.Errorf("%d logins at the bastion, %d inside", r.srv.Logins(), inside.Logins())
		}
		if got := hostNamed(r, "inside").Links[0].Remote; got != "inside:22 via bastion" {
			t.Errorf("remote %q", got)
		}
		// An hour later the inner connection expires; only then is the bastion
		// unused, and goes an hour after it.
		time.Sleep(dest.DefaultPersist + time.Second)
		synctest.Wait()
		if in, out := hostNamed(r, "inside"), hostNamed(r, "bastion"); len(in.Links) != 0 || len(out.Links) != 1 {
			t.Errorf("%d links inside, %d at the bastion", len(in.Links), len(out.Links))
		}
		time.Sleep(dest.DefaultPersist)
		synctest.Wait()
		if out := hostNamed(r, "bastion"); len(out.Links) != 0 {
			t.Error("the bastion's connection did not expire")
		}
	})
}

// The hop's end is the end of everything behind it, and says that it was the
// hop.
func TestJumpHostDies(t *testing.T) {
	behindBastion(t, sshtest.Options{}, func(t *testing.T, r *rig, inside *sshtest.Server) {
		s := r.open("inside", "sleep", "1h")
		r.srv.Last().Drop()
		_, _, err := finish(s)
		wantError(t, err, control.Running, "inside: connection lost", "jump host bastion")
		synctest.Wait()
		r.run("inside", "echo")
		if r.srv.Logins() != 2 || inside.Logins() != 2 {
			t.Errorf("%d logins at the bastion, %d inside", r.srv.Logins(), inside.Logins())
		}
	})
}

// Whatever is wrong at the hop is said of the hop, under the name of the
// destination.
func TestJumpHostRefuses(t *testing.T) {
	behindBastion(t, sshtest.Options{RefuseForward: true}, func(t *testing.T, r *rig, _ *sshtest.Server) {
		_, err := r.ask(context.Background(), nil, "inside", "true")
		wantError(t, err, control.Refused, "inside: jump host bastion: connect to inside:22: ")
	})
	behindBastion(t, sshtest.Options{Password: "x"}, func(t *testing.T, r *rig, _ *sshtest.Server) {
		_, err := r.ask(context.Background(), nil, "inside", "true")
		wantError(t, err, control.Refused, "inside: jump host bastion: ", "Permission denied")
		if st := hostNamed(r, "inside").State; st != "blocked" {
			t.Errorf("state %q", st)
		}
	})
}

// The person who waits for the destination answers the hop's questions.
func TestJumpHostAsks(t *testing.T) {
	behindBastion(t, sshtest.Options{Password: "secret"}, func(t *testing.T, r *rig, _ *sshtest.Server) {
		p := says("secret")
		s, err := r.ask(context.Background(), p, "inside", "true")
		if err != nil {
			t.Fatal(err)
		}
		finish(s)
		if q := p.Asked(); len(q) != 1 || !strings.Contains(q[0].Text, "me@bastion's password") {
			t.Errorf("asked %+v", q)
		}
	})
}

// Whoever gives up while the hop is dialled gives up the hop's dial too.
func TestJumpGivenUp(t *testing.T) {
	behindBastion(t, sshtest.Options{HandshakeDelay: time.Hour}, func(t *testing.T, r *rig, _ *sshtest.Server) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if _, err := r.ask(ctx, nil, "inside", "true"); err == nil {
			t.Fatal("logged in")
		}
		synctest.Wait()
		if st := hostNamed(r, "bastion"); st.State != "idle" || st.Waiting != 0 {
			t.Errorf("the bastion is %s with %d waiting", st.State, st.Waiting)
		}
	})
}

func TestJumpChains(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		r.write(".ssh/config", "Host a\n ProxyJump b\nHost b\n ProxyJump a\nHost c\n ProxyJump u@d:2222,e\n")
		if _, err := r.plan(nil, "a", "true"); err == nil || !strings.Contains(err.Error(), "jump") {
			t.Errorf("a circle: %v", err)
		}
		d := r.request("c", "true").Dest.(*dest.Destination)
		if d.Via == nil || d.Via.Host != "e" || d.Via.Via == nil || d.Via.Via.Addr() != "d:2222" || d.Via.Via.User != "u" || d.Via.Via.Via != nil {
			t.Errorf("c goes another way")
		}
		plain, jumped := r.request("x", "true").Dest.(*dest.Destination), r.request("-J", "e", "x", "true").Dest.(*dest.Destination)
		if plain.Key == jumped.Key {
			t.Error("the way to a host does not tell connections apart")
		}
	})
}

// How long a jump host is waited for is for those to say who wait for what is
// behind it: its own WaitForReady, a minute where nothing is set, bounds
// nothing. Neither does the time that passed since the request came.
func TestAnOutageOfABastionThatOutlastsItsPatience(t *testing.T) {
	behindBastion(t, sshtest.Options{}, func(t *testing.T, r *rig, inside *sshtest.Server) {
		r.patient()
		out := r.down(errDown)
		got := make(chan error, 1)
		go func() {
			s, err := r.ask(t.Context(), nil, "-o", "WaitForReady=yes", "inside", "true")
			if err == nil {
				_, _, err = finish(s)
			}
			got <- err
		}()
		time.Sleep(10 * time.Minute)
		if n := len(out.times()); n < 100 {
			t.Errorf("%d attempts in ten minutes", n)
		}
		out.heal()
		time.Sleep(alive.CapWaiting)
		answered(t, got)
		// Who holds the connection was resolved long ago when it is lost.
		plan, err := r.plan(nil, "-N", "inside")
		if err != nil {
			t.Fatal(err)
		}
		s, err := r.m.Hold(t.Context(), &control.HoldRequest{Dest: plan.Dest}, nil)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		out.fail(errDown)
		r.srv.Last().Drop()
		time.Sleep(time.Hour)
		out.heal()
		time.Sleep(alive.CapPinned + time.Second)
		synctest.Wait()
		if h := hostNamed(r, "inside"); h.State != "ready" {
			t.Errorf("%s: %s", h.State, h.LastErr)
		}
		s.Close()
	})
}
