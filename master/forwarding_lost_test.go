package master

import (
	"context"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"

	"muxd/control"
	"muxd/internal/sshtest"
)

// losing has the server go away at the first n requests for a listener.
func losing(n int32, o sshtest.Options) sshtest.Options {
	var asked atomic.Int32
	o.Global = func(p *sshtest.Peer, r *ssh.Request) bool {
		if r.Type == "tcpip-forward" && asked.Add(1) <= n {
			p.Drop()
			return true
		}
		return false
	}
	return o
}

// A server that goes before it has answered has said nothing, not even which port
// it chose: the next connection's is the answer.
func TestForwardWhoseAnswerIsLost(t *testing.T) {
	inBubble(t, losing(1, sshtest.Options{}), func(t *testing.T, r *rig) {
		r.patient()
		r.ashore()
		p := &person{}
		release, err := r.wantsForward(p, "-R", "0:b:3", "host", "true")
		if said := p.Told(); err != nil || said != "Allocated port 40001 for remote forward to b:3" {
			t.Errorf("%v; told %q", err, said)
		}
		release()
	})
	inBubble(t, losing(1, sshtest.Options{}), func(t *testing.T, r *rig) { // who is told of what comes later is told once
		r.patient()
		r.ashore()
		p := &person{}
		release, err := r.wantsForward(p, "-N", "-R", "0:b:3", "host")
		synctest.Wait()
		if said := p.Told(); err != nil || said != "Allocated port 40001 for remote forward to b:3" {
			t.Errorf("%v; told %q", err, said)
		}
		release()
	})
	inBubble(t, losing(1, sshtest.Options{}), func(t *testing.T, r *rig) {
		r.patient()
		r.ashore()
		r.run("host", "true")
		plan, err := r.plan(nil, "-O", "forward", "-R", "0:b:3", "host")
		if err != nil {
			t.Fatal(err)
		}
		if m, err := r.m.Manage(t.Context(), plan.Manage); err != nil || string(m.Out) != "40001\n" {
			t.Errorf("%+v, %v", m, err)
		}
	})
	inBubble(t, losing(1, sshtest.Options{RefuseListen: true}), func(t *testing.T, r *rig) {
		r.patient()
		r.ashore()
		_, err := r.wantsForward(nil, "-o", "ExitOnForwardFailure=yes", "-R", "2222:b:3", "host", "true")
		wantError(t, err, control.Refused, "host: remote port forwarding failed for listen port 2222")
		if got := r.forwards(); got != "" {
			t.Error(got)
		}
	})
	inBubble(t, losing(1000, sshtest.Options{}), func(t *testing.T, r *rig) { // it never answers
		r.patient()
		r.ashore()
		p := &person{}
		_, err := r.wantsForward(p, "-o", "ExitOnForwardFailure=yes", "-R", "0:b:3", "host", "true")
		wantError(t, err, control.Refused, "the connection was lost before the server had answered")
		release, err := r.wantsForward(p, "-R", "0:b:3", "host", "true")
		if said := p.Told(); err != nil || strings.Contains(said, "Allocated") || !strings.Contains(said, "before the server had answered") {
			t.Errorf("%v; told %q", err, said)
		}
		release()
	})
}

// What a server grants to nobody any more is taken back, by the port that it
// chose.
func TestListenerOfNobodyIsTakenBack(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		r.run("host", "true")
		var l *link
		h := r.host()
		h.call(func() { l = h.current })
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for _, port := range []int{0, 2222} {
			l.Listen(ctx, control.Endpoint{Host: "localhost", Port: port})
			synctest.Wait()
			if got := r.srv.Forwards(); len(got) != 0 {
				t.Errorf("port %d: left behind: %q", port, got)
			}
		}
	})
}

// A replacement takes the port along at once also where the connection before
// carries nothing but the listener, and the server would hold the port of one
// that just went.
func TestRemoteForwardMovesFromAnIdleConnection(t *testing.T) {
	inBubble(t, sshtest.Options{HoldPorts: time.Minute}, func(t *testing.T, r *rig) {
		r.ashore()
		p := &person{}
		release, err := r.wantsForward(p, "-N", "-R", "2222:localhost:22", "-R", "0:localhost:23", "host")
		if err != nil {
			t.Fatal(err)
		}
		before := p.Told()
		for range 3 {
			if _, err := r.m.Admin(t.Context(), &control.AdminRequest{Command: "recycle"}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			r.wantLinks("ready")
			if got := r.forwards(); got != "-R localhost:2222:localhost:22 active 0; -R localhost:40001:localhost:23 active 0; " {
				t.Error(got)
			}
		}
		r.wantLogins(4)
		if said := p.Told(); said != before {
			t.Errorf("told %q", said)
		}
		release()
	})
}

// A server that does not take its listeners back is not waited for longer than a
// server that lives needs, and one whose connection is closed by request not at
// all.
func TestReplacedConnectionThatKeepsItsListener(t *testing.T) {
	for _, exit := range []bool{false, true} {
		deaf := sshtest.Options{Global: func(p *sshtest.Peer, r *ssh.Request) bool { return r.Type == "cancel-tcpip-forward" }}
		inBubble(t, deaf, func(t *testing.T, r *rig) {
			r.ashore()
			r.mustForward("-N", "-R", "2222:localhost:22", "host")
			if _, err := r.m.Admin(t.Context(), &control.AdminRequest{Command: "recycle"}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			r.wantLinks("draining ready")
			if exit {
				h := r.host()
				h.call(h.dismiss)
				synctest.Wait()
				r.wantLinks("")
				return
			}
			time.Sleep(5 * time.Second)
			r.wantLinks("ready")
			if got := r.forwards(); got != "-R localhost:2222:localhost:22 active 0; " {
				t.Error(got)
			}
		})
	}
}

// A connection that the server has accepted is carried by the connection that it
// came on, also where that is replaced before its target here has answered.
func TestIncomingOutlivesAReplacement(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		s := r.ashore()
		s.echoes("localhost:22")
		quick := s.targets["localhost:22"]
		s.targets["localhost:22"] = func() (net.Conn, error) { time.Sleep(5 * time.Second); return quick() }
		r.mustForward("-N", "-R", "2222:localhost:22", "host")
		opened := make(chan error, 1)
		go func() {
			ch, err := r.srv.Connect("localhost:2222")
			if err == nil {
				ch.Write([]byte("x"))
				_, err = io.ReadFull(ch, make([]byte, 1))
				ch.Close()
			}
			opened <- err
		}()
		time.Sleep(time.Second)
		if _, err := r.m.Admin(t.Context(), &control.AdminRequest{Command: "recycle"}); err != nil {
			t.Fatal(err)
		}
		if err := <-opened; err != nil {
			t.Error(err)
		}
		time.Sleep(time.Second)
		r.wantLinks("ready")
		// And one that cannot be had leaves nothing behind either.
		delete(s.targets, "localhost:22")
		if _, err := r.srv.Connect("localhost:2222"); err == nil {
			t.Error("connected to nothing")
		}
		if _, err := r.m.Admin(t.Context(), &control.AdminRequest{Command: "recycle"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		r.wantLinks("ready")
	})
}

// behindSlowTarget has a connection come to a forward whose target takes so long to
// be reached, and then says what it is told; opened counts.
func behindSlowTarget(t *testing.T, takes time.Duration, opened *atomic.Int32, f func(t *testing.T, r *rig, c net.Conn)) {
	inBubble(t, sshtest.Options{Direct: func(context.Context, string) (io.ReadWriteCloser, error) {
		opened.Add(1)
		time.Sleep(takes)
		a, b := sshtest.Pipe()
		go func() { io.Copy(b, b); b.Close() }()
		return a, nil
	}}, func(t *testing.T, r *rig) {
		s := r.ashore()
		r.mustForward("-N", "-L", "8080:db:5432", "host")
		c, err := s.connect("localhost:8080")
		if err != nil {
			t.Fatal(err)
		}
		f(t, r, c)
	})
}

// A connection that is being opened when its link is replaced is opened once.
func TestOpenOutlivesAReplacement(t *testing.T) {
	var opened atomic.Int32
	behindSlowTarget(t, 5*time.Second, &opened, func(t *testing.T, r *rig, c net.Conn) {
		direct := make(chan control.Stream, 1)
		go func() { direct <- r.forward("db:5432", "host") }()
		time.Sleep(time.Second)
		if _, err := r.m.Admin(t.Context(), &control.AdminRequest{Command: "recycle"}); err != nil {
			t.Fatal(err)
		}
		if got, err := exchange(c, "hello"); got != "hello" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		w := <-direct
		if got, err := exchangeStream(w, "hello"); got != "hello" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		if n := opened.Load(); n != 2 {
			t.Errorf("opened %d times", n)
		}
		r.wantLinks("draining ready")
		c.Close()
		w.Close()
		time.Sleep(time.Second)
		r.wantLinks("ready")
	})
}

// A server connects before it answers, and its kernel tries for two minutes: who
// asked through muxd waits as long as who asked through ssh, and is connected once.
func TestFarSideThatTakesLong(t *testing.T) {
	var opened atomic.Int32
	behindSlowTarget(t, 2*time.Minute, &opened, func(t *testing.T, r *rig, c net.Conn) {
		w, err := r.forwardErr(nil, "db:5432", "host")
		if err != nil {
			t.Fatal(err)
		}
		for _, rw := range []io.ReadWriter{c, w} {
			b := make([]byte, 1)
			rw.Write([]byte("x"))
			if _, err := io.ReadFull(rw, b); err != nil || b[0] != 'x' {
				t.Errorf("%q, %v", b, err)
			}
		}
		if n := opened.Load(); n != 2 {
			t.Errorf("opened %d times", n)
		}
		r.wantLogins(1)
		c.Close()
		w.Close()
	})
}
