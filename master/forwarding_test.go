package master

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"muxd/control"
	"muxd/internal/sshtest"
)

// A local forward leads through the server, and its listener outlives the
// connection: what is open then is reset, and what comes meanwhile is served by
// the next one.
func TestForwardOutlivesItsConnection(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		r.patient()
		s := r.ashore()
		release := r.mustForward("-N", "-L", "8080:db:5432", "host")
		c, err := s.connect("localhost:8080")
		if err != nil {
			t.Fatal(err)
		}
		if got, err := exchange(c, "hello"); got != "hello" || err != nil {
			t.Fatalf("%q, %v", got, err)
		}
		if got := r.forwards(); got != "-L localhost:8080:db:5432 active 1; " {
			t.Error(got)
		}
		r.srv.Update(func(o *sshtest.Options) { o.DialError = errors.New("down") })
		r.srv.Last().Drop()
		if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("a connection that was lost ends with %v", err)
		}
		later, err := s.connect("localhost:8080")
		if err != nil {
			t.Fatal("the listener went with the connection:", err)
		}
		synctest.Wait()
		if st := r.host().status().Forwards[0]; st.Waiting != 1 || st.Open != 0 {
			t.Errorf("%d wait, %d are open", st.Waiting, st.Open)
		}
		time.AfterFunc(20*time.Second, func() { r.srv.Update(func(o *sshtest.Options) { o.DialError = nil }) })
		began := time.Now()
		if got, err := exchange(later, "again"); got != "again" || err != nil {
			t.Errorf("%q, %v\n%s", got, err, r.srv.Dump())
		}
		if took := time.Since(began); took < 20*time.Second || took > 24*time.Second {
			t.Errorf("served after %v", took)
		}
		release()
		if _, err := s.connect("localhost:8080"); err == nil {
			t.Error("the listener outlives its client")
		}
	})
}

// A connection that waits is given up after as long as a script waits.
func TestForwardWaitsAndEnds(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		r.patient()
		s := r.ashore()
		r.mustForward("-N", "-L", "8080:db:5432", "host")
		r.srv.Update(func(o *sshtest.Options) { o.DialError = errors.New("down") })
		r.srv.Last().Drop()
		synctest.Wait()
		c, _ := s.connect("localhost:8080")
		began := time.Now()
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Error("served by nobody")
		}
		if took := time.Since(began); took < 59*time.Second || took > 64*time.Second {
			t.Errorf("given up after %v", took)
		}
		if st := r.host().status().Forwards[0]; st.LastErr == "" || st.State != control.ForwardActive {
			t.Errorf("%+v", st)
		}
	})
}

// Forwards are a reason to keep a connection and to make it again.
func TestForwardsAreWanted(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		r.ashore()
		release := r.mustForward("-o", "ControlPersist=10s", "-L", "8080:db:5432", "host", "true")
		time.Sleep(5 * time.Hour)
		r.wantLinks("ready")
		r.srv.Last().Drop()
		time.Sleep(time.Second)
		r.wantLinks("ready")
		r.wantLogins(2)
		if why := r.host().status().Wanted; why != "forwards" {
			t.Errorf("wanted for %q", why)
		}
		release()
		time.Sleep(11 * time.Second)
		r.wantLinks("")
		time.Sleep(forgetAfter + time.Second)
		r.wantState("forgotten")
	})
}

// Remote forwards are asked for again in their order, on the port that the
// server chose the first time.
func TestRemoteForwardsComeBack(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		s := r.ashore()
		s.echoes("localhost:22")
		p := &person{}
		release, err := r.wantsForward(p, "-N", "-R", "0:localhost:22", "-R", "/run/x:localhost:22", "host")
		if err != nil {
			t.Fatal(err)
		}
		want := []string{"/run/x", "localhost:40001"}
		if got := r.srv.Forwards(); !slices.Equal(got, want) {
			t.Fatalf("%q", got)
		}
		if said := p.Told(); !strings.Contains(said, "Allocated port 40001 for remote forward to localhost:22") {
			t.Errorf("told %q", said)
		}
		for round := range 3 {
			ch, err := r.srv.Connect(want[round%2])
			if err != nil {
				t.Fatal(err)
			}
			ch.Write([]byte("x"))
			if _, err := io.ReadFull(ch, make([]byte, 1)); err != nil {
				t.Error(err)
			}
			ch.Close()
			r.srv.Last().Drop()
			time.Sleep(2 * time.Second)
			synctest.Wait()
			if got := r.srv.Forwards(); !slices.Equal(got, want) {
				t.Errorf("after loss %d: %q", round, got)
			}
		}
		var asked []string
		for _, e := range r.srv.Events(sshtest.GlobalRequest) {
			if strings.HasSuffix(e.Name, "forward") || strings.Contains(e.Name, "-forward@") {
				asked = append(asked, e.Name)
			}
		}
		for i := 0; i < len(asked); i += 2 {
			if asked[i] != "tcpip-forward" {
				t.Errorf("not in order: %q", asked)
			}
		}
		release()
		synctest.Wait()
		if got := r.srv.Forwards(); len(got) != 0 {
			t.Errorf("left behind: %q", got)
		}
	})
}

// F34: the server of a connection that was lost without its knowing holds the
// port for two minutes more. That is degraded, tried again and no one else's
// matter, and then it stands.
func TestOldServerHoldsThePort(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		s := r.ashore()
		s.echoes("localhost:22")
		r.mustForward("-N", "-o", "ServerAliveInterval=5", "-R", "2222:localhost:22", "-L", "8080:db:1", "host")
		old := r.srv.Last()
		old.Pipe().Stall() // the server does not learn of its end
		time.Sleep(40 * time.Second)
		r.wantLinks("ready")
		if got := r.forwards(); got != "-L localhost:8080:db:1 active 0; -R localhost:2222:localhost:22 degraded 0; " {
			t.Error(got)
		}
		st := r.host().status().Forwards[1]
		if wait := time.Until(st.Next); wait <= 0 || wait > 30*time.Second || !strings.Contains(st.LastErr, "refused") {
			t.Errorf("%+v, next in %v", st, wait)
		}
		r.run("host", "true")
		c, _ := s.connect("localhost:8080")
		if got, err := exchange(c, "beside"); got != "beside" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		time.Sleep(2 * time.Minute)
		old.Drop()
		time.Sleep(31 * time.Second)
		if got := r.forwards(); !strings.Contains(got, "-R localhost:2222:localhost:22 active 0; ") {
			t.Error(got)
		}
		ch, err := r.srv.Connect("localhost:2222")
		if err != nil {
			t.Fatal(err)
		}
		ch.Close()
	})
}

// A replacement of a connection that lives takes the port along at once.
func TestRemoteForwardMovesWithTheConnection(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		r.ashore()
		r.mustForward("-N", "-R", "2222:localhost:22", "host")
		keeps := r.open("host", "cat") // the old one drains, and lives
		if _, err := r.m.Admin(t.Context(), &control.AdminRequest{Command: "recycle"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		r.wantLinks("draining ready")
		if got := r.forwards(); got != "-R localhost:2222:localhost:22 active 0; " {
			t.Error(got)
		}
		keeps.Close()
	})
}

func exchangeStream(s control.Stream, text string) (string, error) {
	if _, err := s.Write([]byte(text)); err != nil {
		return "", err
	}
	b := make([]byte, len(text))
	n, err := io.ReadFull(s, b)
	return string(b[:n]), err
}

// -O forward and cancel: what stays, what is printed, and what is said.
func TestForwardControl(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		s := r.ashore()
		manage := func(args ...string) (*control.Managed, error) {
			t.Helper()
			plan, err := r.plan(nil, append(args, "host")...)
			if err != nil {
				t.Fatal(err)
			}
			return r.m.Manage(t.Context(), plan.Manage)
		}
		if _, err := manage("-O", "forward", "-L", "1:a:2"); err == nil {
			t.Error("a forward without a connection")
		} else {
			wantError(t, err, control.NotDialled, "no connection")
		}
		r.run("host", "true")
		for range 2 { // idempotent
			if m, err := manage("-O", "forward", "-L", "1:a:2", "-R", "0:b:3"); err != nil || string(m.Out) != "40001\n" || m.Text != "" || m.Code != 0 {
				t.Fatalf("%+v, %v", m, err)
			}
		}
		if got := r.forwards(); got != "-L localhost:1:a:2 active 0; -R localhost:0:b:3 active 0; " && got != "-L localhost:1:a:2 active 0; -R localhost:40001:b:3 active 0; " {
			t.Error(got)
		}
		for _, wrong := range []string{"1:a:3", "1:c:2", "9:a:2", "127.0.0.1:1:a:2"} {
			if m, err := manage("-O", "cancel", "-L", wrong); err != nil || m.Code != 255 || !strings.Contains(m.Text, "port not forwarded") {
				t.Errorf("%s: %+v, %v", wrong, m, err)
			}
		}
		if m, err := manage("-O", "cancel", "-L", "1:a:2", "-R", "0:b:3"); err != nil || m.Code != 0 || m.Text != "" {
			t.Errorf("%+v, %v", m, err)
		}
		synctest.Wait()
		if _, err := s.connect("localhost:1"); err == nil || len(r.srv.Forwards()) != 0 {
			t.Error("still there after cancel:", r.srv.Forwards())
		}
		// Taken: an error, and nothing is kept.
		r.mustForward("-L", "1:a:2", "host", "true")
		if _, err := manage("-O", "forward", "-L", "5:x:5", "-L", "1:other:2"); err == nil {
			t.Error("an address was given twice")
		} else {
			wantError(t, err, control.Refused, "host: ", "in use")
		}
		if got := r.forwards(); got != "-L localhost:1:a:2 active 0; " {
			t.Error(got)
		}
		manage("-O", "exit")
		if got := r.forwards(); got != "" {
			t.Errorf("after -O exit: %s", got)
		}
	})
}

// Two windows with the same forward share it, and the last one takes it along.
func TestForwardIsShared(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		s := r.ashore()
		first := r.mustForward("-L", "1:a:2", "host", "true")
		second := r.mustForward("-L", "1:a:2", "host", "true")
		first()
		first()
		if c, err := s.connect("localhost:1"); err != nil {
			t.Error("the first one's end took it from the second:", err)
		} else {
			c.Close()
		}
		second()
		if _, err := s.connect("localhost:1"); err == nil {
			t.Error("nobody wants it any more, and it is there")
		}
	})
}

// A forward that cannot be had: with ExitOnForwardFailure the end, else a line
// and another attempt.
func TestForwardFails(t *testing.T) {
	inBubble(t, sshtest.Options{RefuseForward: true}, func(t *testing.T, r *rig) {
		s := r.ashore()
		p := &person{}
		if _, err := r.wantsForward(p, "-o", "ExitOnForwardFailure=yes", "-L", "1:a:2", "-R", "2222:b:3", "host", "true"); err == nil {
			t.Error("no error")
		} else {
			wantError(t, err, control.Refused, "host: remote port forwarding failed for listen port 2222")
		}
		if _, err := s.connect("localhost:1"); err == nil {
			t.Error("the first stands although the second failed")
		}
		release, err := r.wantsForward(p, "-R", "2222:b:3", "host", "true")
		if err != nil || !strings.Contains(p.Told(), "remote port forwarding failed for listen port 2222") {
			t.Errorf("%v; told %q", err, p.Told())
		}
		r.srv.Update(func(o *sshtest.Options) { o.RefuseForward = false })
		time.Sleep(3 * time.Second)
		if got := r.forwards(); got != "-R localhost:2222:b:3 active 0; " {
			t.Error(got)
		}
		release()
	})
}

// The server says no to a connection: it is reset, and the status says why.
func TestForwardRefusedConnection(t *testing.T) {
	refuse := errors.New("Connection refused")
	inBubble(t, sshtest.Options{Direct: func(_ context.Context, _ string) (io.ReadWriteCloser, error) { return nil, refuse }}, func(t *testing.T, r *rig) {
		s := r.ashore()
		r.mustForward("-L", "1:a:2", "host", "true")
		c, _ := s.connect("localhost:1")
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Error("connected")
		} else if errors.Is(err, syscall.ETIMEDOUT) {
			t.Error(err)
		}
		synctest.Wait()
		if st := r.host().status().Forwards[0]; !strings.Contains(st.LastErr, "Connection refused") || st.Open != 0 || st.Total != 0 {
			t.Errorf("%+v", st)
		}
		h := r.host()
		h.call(func() {
			if h.leases != 0 {
				t.Errorf("%d leases are left", h.leases)
			}
		})
	})
}

// muxd's own file has forwards stand from the start, connected or not.
func TestForwardsFromTheStart(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		s := r.ashore()
		r.write(".config/muxd/config", "Host host\n\tLocalForward 1 a:2\n\tRemoteForward 2222 b:3\n\tStickyForward yes\nHost other\n\tLocalForward 9 a:2\n")
		r.srv.Update(func(o *sshtest.Options) { o.DialError = errors.New("down") })
		r.m.Stand(t.Context(), nil)
		if got := r.forwards(); got != "-L localhost:1:a:2 active 0; -R localhost:2222:b:3 waiting 0; " {
			t.Error(got)
		}
		r.srv.Update(func(o *sshtest.Options) { o.DialError = nil })
		c, err := s.connect("localhost:1")
		if err != nil {
			t.Fatal(err)
		}
		if got, err := exchange(c, "up"); got != "up" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		if got := r.forwards(); got != "-L localhost:1:a:2 active 1; -R localhost:2222:b:3 active 0; " {
			t.Error(got)
		}
		c.Close()
		release := r.mustForward("host", "true") // of a client with the same configuration
		release()
		if got := r.forwards(); got != "-L localhost:1:a:2 active 0; -R localhost:2222:b:3 active 0; " {
			t.Error(got)
		}
	})
}

// A connection whose open meets the silence is served by the next connection:
// nothing went through the first.
func TestForwardMeetsSilence(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		r.patient()
		s := r.ashore()
		r.mustForward("-N", "-L", "8080:db:5432", "host")
		r.srv.Last().Pipe().Stall()
		c, err := s.connect("localhost:8080")
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if got, err := exchange(c, "hello"); got != "hello" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		if took := time.Since(began); took > 12*time.Second {
			t.Errorf("served after %v", took)
		}
		r.wantLogins(2)
		if st := r.host().status().Forwards[0]; st.LastErr != "" {
			t.Errorf("%+v", st)
		}
	})
}

// Without a route a connection waits, as a command in a script does.
func TestForwardWaitsForARoute(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		r.patient()
		s := r.ashore()
		var online atomic.Bool
		online.Store(true)
		r.m.cfg.Routed = func(netip.Addr) bool { return online.Load() }
		r.m.cfg.Online = online.Load
		r.mustForward("-N", "-L", "8080:db:5432", "host")
		online.Store(false)
		h := r.host()
		h.call(func() { h.newest.local = netip.MustParseAddr("192.0.2.9") }) // and not this machine's own
		r.srv.Update(func(o *sshtest.Options) { o.DialError = errors.New("network is unreachable") })
		r.srv.Last().Drop()
		synctest.Wait()
		c, _ := s.connect("localhost:8080")
		time.AfterFunc(30*time.Second, func() {
			online.Store(true)
			r.srv.Update(func(o *sshtest.Options) { o.DialError = nil })
			r.m.NetworkChanged()
		})
		if got, err := exchange(c, "home"); got != "home" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
	})
}

// What muxd says it would end, and when it may end by itself.
func TestForwardsAndTheEndOfMuxd(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		s := r.ashore()
		if !r.m.Idle() {
			t.Error("busy with nothing")
		}
		release := r.mustForward("-L", "1:a:2", "-L", "3:a:4", "host", "true")
		if links, sessions := r.m.Links(); links != 1 || sessions != 0 || r.m.Idle() {
			t.Errorf("%d links, %d sessions, idle %v", links, sessions, r.m.Idle())
		}
		c, _ := s.connect("localhost:1")
		exchange(c, "x")
		if st, err := r.m.Stop(t.Context(), &control.StopRequest{}); err != nil || st.Done || st.Hosts != 1 || st.Sessions != 1 {
			t.Errorf("%+v, %v", st, err)
		}
		r.srv.Update(func(o *sshtest.Options) { o.DialError = errors.New("down") })
		r.hangUp()
		if r.m.Idle() {
			t.Error("idle while a forward is wanted")
		}
		release()
		time.Sleep(time.Minute)
		if !r.m.Idle() {
			t.Error("busy after the last forward's end")
		}
	})
}
