package master

import (
	"errors"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"muxd/control"
	"muxd/internal/sshtest"
)

// silentOnce has the server meet the first request to listen by hanging up.
func silentOnce(srv *sshtest.Server, then func()) {
	asked := false
	srv.Update(func(o *sshtest.Options) {
		o.Global = func(p *sshtest.Peer, q *ssh.Request) bool {
			if asked || q.Type != "tcpip-forward" {
				return false
			}
			asked = true
			then()
			p.Drop()
			return true
		}
	})
}

// The connection is lost before the server has said which port it chose: what
// prints the port waits for it, and nobody is told port 0.
func TestNobodyIsToldPortZero(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		r.patient()
		s := r.ashore()
		s.echoes("localhost:22")
		r.run("host", "true")
		for round, ask := range []func(){
			func() {
				if m, err := r.order("-O", "forward", "-R", "0:localhost:22", "host"); err != nil || string(m.Out) != "40001\n" {
					t.Errorf("%+v, %v", m, err)
				}
			},
			func() {
				p := &person{}
				if _, err := r.wantsForward(p, "-N", "-R", "0:localhost:23", "host"); err != nil {
					t.Error(err)
				}
				time.Sleep(10 * time.Minute) // nobody waits: the pauses become long
				if got := p.Told(); !strings.Contains(got, "Allocated port 40002 for remote forward to localhost:23") || strings.Contains(got, "port 0 ") ||
					strings.Count(got, "Allocated") != 1 {
					t.Errorf("told %q", got)
				}
			},
			func() {
				p := &person{}
				if _, err := r.wantsForward(p, "-o", "ExitOnForwardFailure=yes", "-R", "0:localhost:24", "host", "true"); err != nil {
					t.Error(err)
				}
				if got := p.Told(); !strings.Contains(got, "Allocated port 40003 ") || strings.Count(got, "Allocated") != 1 {
					t.Errorf("told %q", got)
				}
			},
		} {
			silentOnce(r.srv, func() { r.srv.Update(func(o *sshtest.Options) { o.DialError = errors.New("down") }) })
			time.AfterFunc(20*time.Second, func() { r.srv.Update(func(o *sshtest.Options) { o.DialError = nil }) })
			ask()
			if n := len(r.srv.Forwards()); n != round+1 {
				t.Errorf("%d stand", n)
			}
		}
	})
}

// A port that is waited for is not waited for without end: as long as a request
// waits for a connection, and then there is an error and no forward.
func TestPortThatNeverComes(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		r.ashore()
		r.run("host", "true")
		silentOnce(r.srv, func() { r.srv.Update(func(o *sshtest.Options) { o.DialError = errors.New("down") }) })
		if m, err := r.order("-O", "forward", "-R", "0:localhost:22", "host"); err == nil {
			t.Errorf("%+v", m)
		} else {
			wantError(t, err, control.Refused, "host: ", "down")
		}
		r.wantForwards("")
	})
}

// Nor from a server that hangs up whenever it is asked: after some connections
// there is an error.
func TestServerThatHangsUpWhenAsked(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		r.patient()
		r.ashore()
		r.run("host", "true")
		r.srv.Update(func(o *sshtest.Options) {
			o.Global = func(p *sshtest.Peer, q *ssh.Request) bool {
				if q.Type != "tcpip-forward" {
					return false
				}
				p.Drop()
				return true
			}
		})
		m, err := r.order("-O", "forward", "-R", "0:localhost:22", "host")
		if err == nil {
			t.Fatalf("%+v", m)
		}
		wantError(t, err, control.Refused, "the connection was lost before the server had answered")
		if n := r.srv.Logins(); n > 2+mostLost {
			t.Errorf("%d logins", n)
		}
		r.wantForwards("")
	})
}
