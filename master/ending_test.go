package master

import (
	"io"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"muxd/control"
	"muxd/internal/sshtest"
)

func status(s *sshtest.Session, n uint32) {
	s.Request("exit-status", ssh.Marshal(struct{ Status uint32 }{n}))
}

// TestCutBehindTheStatus: a status that came before the connection was lost is
// no success, because output may have been behind it.
func TestCutBehindTheStatus(t *testing.T) {
	opts := sshtest.Options{Commands: map[string]sshtest.Command{
		"closed": func(s *sshtest.Session, _ []string) sshtest.Exit {
			io.WriteString(s.Out, "a part")
			status(s, 0)
			s.Peer.Drop()
			return sshtest.Exit{Silent: true}
		},
		"reset": func(s *sshtest.Session, _ []string) sshtest.Exit {
			status(s, 3)
			time.Sleep(time.Millisecond)
			s.Peer.Pipe().Cut()
			return sshtest.Exit{Silent: true}
		},
		"killed": func(s *sshtest.Session, _ []string) sshtest.Exit {
			s.Request("exit-signal", ssh.Marshal(struct {
				Signal  string
				Core    bool
				Message string
				Lang    string
			}{Signal: "TERM"}))
			time.Sleep(time.Millisecond)
			s.Peer.Pipe().Cut()
			return sshtest.Exit{Silent: true}
		},
	}}
	for cmd, want := range map[string]string{
		"closed": "host: connection lost (the server closed the connection); the command ended with status 0, some of its output may be missing",
		"reset":  "host: connection lost (connection reset by peer); the command ended with status 3, some of its output may be missing",
		"killed": "host: connection lost (connection reset by peer); the command was killed by signal TERM, some of its output may be missing",
	} {
		inBubble(t, opts, func(t *testing.T, r *rig) {
			_, exit, err := finish(r.open("host", cmd))
			wantError(t, err, control.Running)
			if err == nil || err.Error() != want {
				t.Errorf("%s: %+v, %v, want %s", cmd, exit, err, want)
			}
			r.run("host", "true")
		})
	}
}

// TestEndBehindTheStatus: a server that closes the connection at once behind the
// channel has said all.
func TestEndBehindTheStatus(t *testing.T) {
	opts := sshtest.Options{Commands: map[string]sshtest.Command{
		"last": func(s *sshtest.Session, _ []string) sshtest.Exit {
			io.WriteString(s.Out, "all of it")
			status(s, 4)
			s.Drop()
			time.Sleep(time.Nanosecond) // what the client writes to a connection that is gone may cost it what it has not read
			s.Peer.Drop()
			return sshtest.Exit{Silent: true}
		},
	}}
	inBubble(t, opts, func(t *testing.T, r *rig) {
		for range 200 {
			out, exit, err := finish(r.open("host", "last"))
			if out != "all of it" || exit.Code != 4 || err != nil {
				t.Fatalf("%q, %+v, %v", out, exit, err)
			}
			time.Sleep(time.Minute)
		}
	})
}
