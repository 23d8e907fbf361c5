package master

import (
	"testing"
	"testing/synctest"

	"golang.org/x/crypto/ssh"

	"muxd/control"
	"muxd/internal/sshtest"
)

// FuzzServerSays has a server send a request on a session, one on the connection
// and open a channel, with any name and payload. What it says of the session is
// that session's alone: the next command runs on the same connection.
func FuzzServerSays(f *testing.F) {
	forwarded := ssh.Marshal(struct {
		Host     string
		Port     uint32
		FromHost string
		FromPort uint32
	}{"localhost", 1, "h", 2})
	for _, s := range []struct {
		request, kind string
		payload       []byte
	}{
		{"exit-status", "forwarded-tcpip", []byte{0, 0, 0, 7}},
		{"exit-status", "forwarded-tcpip", forwarded},
		{"exit-signal", "forwarded-streamlocal@openssh.com", ssh.Marshal(struct {
			Signal  string
			Core    bool
			Message string
			Lang    string
		}{"TERM", true, "m\x1b[2J", ""})},
		{"eow@openssh.com", "auth-agent@openssh.com", nil},
		{"keepalive@openssh.com", "x11", ssh.Marshal(struct {
			Host string
			Port uint32
		}{"h", 1})},
		{"hostkeys-00@openssh.com", "session", []byte{0, 0, 0, 1, 0}},
		{"", "", []byte{0xff, 0xff, 0xff, 0xff}},
	} {
		f.Add(s.request, s.kind, s.payload)
	}
	f.Fuzz(func(t *testing.T, request, kind string, payload []byte) {
		if len(request) > 64 || len(kind) > 64 || len(payload) > 8<<10 {
			return // the library's own limits are another matter
		}
		says := func(s *sshtest.Session, _ []string) sshtest.Exit {
			s.Request(request, payload)
			return sshtest.Exit{Status: 3}
		}
		inBubble(t, sshtest.Options{Commands: map[string]sshtest.Command{"says": says}}, func(t *testing.T, r *rig) {
			held := r.open("host", "cat")
			_, exit, err := finish(r.open("host", "says"))
			if err != nil || exit != (control.Exit{Code: 3}) {
				t.Errorf("%+v, %v", exit, err) // what is said last counts
			}
			r.srv.Last().Request(request, true, payload)
			if ch, err := r.srv.Last().Open(kind, payload); err == nil {
				ch.Close()
				t.Errorf("a channel %q that nobody asked for", kind)
			}
			synctest.Wait()
			held.CloseWrite()
			if _, exit, err := finish(held); err != nil || exit != (control.Exit{}) {
				t.Errorf("the session beside it: %+v, %v", exit, err)
			}
			r.run("host", "true")
			if n := r.srv.Logins(); n != 1 {
				t.Errorf("%d logins", n)
			}
		})
	})
}
