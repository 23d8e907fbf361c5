package master

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"

	"muxd/control"
	"muxd/internal/sshlink"
	"muxd/internal/sshtest"
	"muxd/internal/wire"
)

func TestServerOpensAreRejected(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		s := r.open("host", "cat")
		for _, kind := range []string{"session", "forwarded-tcpip", "auth-agent@openssh.com", "x11", "direct-tcpip", "never@heard.of"} {
			_, err := r.srv.Last().Open(kind, nil)
			var refused *ssh.OpenChannelError
			if !errors.As(err, &refused) || refused.Reason != ssh.Prohibited {
				t.Errorf("%s: %v", kind, err)
			}
		}
		s.CloseWrite()
		if _, exit, err := finish(s); err != nil || exit.Code != 0 {
			t.Errorf("%v %v", exit, err)
		}
	})
}

func TestServerRequestsAreAnswered(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		s := r.open("host", "cat")
		if ok, _, err := r.srv.Last().Request("keepalive@openssh.com", true, nil); ok || err != nil {
			t.Errorf("global: %v, %v", ok, err)
		}
		for _, first := range []bool{true, false} { // ssh takes the server's keys once
			if ok, _, err := r.srv.Last().Request("hostkeys-00@openssh.com", true, nil); ok != first || err != nil {
				t.Errorf("global: %v, %v", ok, err)
			}
		}
		s.Close()
	})
}

// sshd's ClientAlive asks on a channel, and ends the connection when nobody
// answers.
func TestServerKeepaliveOnAChannelIsAnswered(t *testing.T) {
	ask := func(s *sshtest.Session, _ []string) sshtest.Exit {
		ok, err := s.Out.(ssh.Channel).SendRequest("keepalive@openssh.com", true, nil)
		if ok || err != nil {
			t.Errorf("answered %v, %v", ok, err)
			return sshtest.Exit{Status: 1}
		}
		return sshtest.Exit{}
	}
	inBubble(t, sshtest.Options{Commands: map[string]sshtest.Command{"ask": ask}}, func(t *testing.T, r *rig) {
		r.run("host", "ask; ask; ask")
	})
}

// Whatever a server sends without end, other sessions go on.
func TestFloods(t *testing.T) {
	const n = 10000
	for name, flood := range map[string]func(r *rig, s *sshtest.Session) error{
		"opens": func(r *rig, s *sshtest.Session) error {
			if yes, no := s.Peer.FloodOpens("forwarded-tcpip", nil, n); yes != 0 || no != n {
				r.t.Errorf("%d accepted, %d refused", yes, no)
			}
			return nil
		},
		"requests": func(r *rig, s *sshtest.Session) error { return s.FloodRequests(n) },
		"globals":  func(r *rig, s *sshtest.Session) error { return s.Peer.FloodGlobals(n) },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
				s := r.open("host", "cat")
				synctest.Wait()
				done := make(chan error, 1)
				go func() { done <- flood(r, r.srv.Sessions()[0]) }()
				for range 10 {
					if out := r.run("host", "echo", "on"); out != "on\n" {
						t.Errorf("%q", out)
					}
				}
				if err := <-done; err != nil {
					t.Error(err)
				}
				s.Write([]byte("still"))
				s.CloseWrite()
				if out, exit, err := finish(s); out != "still" || exit.Code != 0 || err != nil {
					t.Errorf("%q %v %v", out, exit, err)
				}
				r.wantLogins(1)
			})
		})
	}
}

// A server that takes no session at all is believed soon, and the connection is
// not to blame.
func TestNoSessionAtAll(t *testing.T) {
	inBubble(t, sshtest.Options{MaxSessions: -1}, func(t *testing.T, r *rig) {
		start := time.Now()
		_, err := r.ask(t.Context(), nil, "host", "true")
		wantError(t, err, control.Refused, "host: the server refused a session: open failed (its MaxSessions may be reached)")
		if d := time.Since(start); d > placePatience*placeRetry {
			t.Errorf("after %v", d)
		}
		r.wantLogins(1)
		r.wantLinks("ready")
		r.srv.Update(func(o *sshtest.Options) { o.MaxSessions = 0 })
		r.run("host", "true")
		r.wantLogins(1)
	})
}

func TestOpenTimeout(t *testing.T) {
	inBubble(t, sshtest.Options{OpenDelay: time.Hour}, func(t *testing.T, r *rig) {
		start := time.Now()
		_, err := r.ask(t.Context(), nil, "host", "true")
		wantError(t, err, control.Refused, "host: the server did not answer a channel open within 30s")
		if d := time.Since(start); d < openTimeout || d > openTimeout+time.Second {
			t.Errorf("after %v", d)
		}
		r.wantLinks("ready")
	})
}

// A link that is dead has a reason, from the first moment on: the host may hear
// of its death by something that happened before, a doubt for instance.
func TestADeadLinkSaysWhy(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		s := r.open("host", "sleep", "9h")
		synctest.Wait()
		var why error
		h := r.host()
		l := r.link(s)
		l.onEvent = func(e control.Event) {
			if e.To == sshlink.Dead.String() {
				why = l.Ending() // nobody was told yet
				h.call(func() { h.changed(l) })
			}
		}
		r.srv.Last().Drop()
		time.Sleep(wire.LastPackets)
		synctest.Wait()
		if why == nil {
			t.Error("dead for no reason")
		}
		time.Sleep(2 * time.Second)
		r.wantLinks("ready")
	})
}
