package sshlink

import (
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"

	"muxd/control"
	"muxd/internal/dest"
	"muxd/internal/gate"
	"muxd/internal/sshtest"
	"muxd/internal/wire"
)

// owner is the Owner of a link in a test: it hears of nothing.
type owner struct{}

func (owner) Changed()                    {}
func (owner) Tell(control.Event)          {}
func (owner) Opened(ssh.NewChannel) *User { return user() }
func (owner) Fits(int)                    {}
func (owner) Moved(int)                   {}
func (owner) Wears()                      {}

func user() *User { return &User{Dest: &dest.Destination{Name: "host"}, Release: func() {}} }

func newLink(c ssh.Conn, w *wire.Conn) *Link {
	return New(Config{Owner: owner{}, Log: slog.New(slog.DiscardHandler), Conn: c, Wire: w, Gate: &gate.Gate{}, Limit: &atomic.Int32{}, NetworkAt: &atomic.Pointer[time.Time]{}})
}

// linked runs f with a link to a server, in virtual time.
func linked(t *testing.T, opts sshtest.Options, f func(t *testing.T, l *Link, srv *sshtest.Server)) {
	t.Helper()
	linkedBy(t, opts, func(c ssh.Conn) ssh.Conn { return c }, f)
}

// linkedBy is linked, with something between the link and the SSH library.
func linkedBy(t *testing.T, opts sshtest.Options, by func(ssh.Conn) ssh.Conn, f func(t *testing.T, l *Link, srv *sshtest.Server)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		opts.Commands = map[string]sshtest.Command{"true": func(*sshtest.Session, []string) sshtest.Exit { return sshtest.Exit{} }}
		srv := sshtest.NewServer(opts)
		defer srv.Close()
		nc, err := srv.DialContext(t.Context(), "tcp", "host:22")
		if err != nil {
			t.Fatal(err)
		}
		w := wire.New(nc)
		c, chans, reqs, err := ssh.NewClientConn(w, "host:22", &ssh.ClientConfig{User: "me", HostKeyCallback: ssh.FixedHostKey(srv.HostKey())})
		if err != nil {
			t.Fatal(err)
		}
		l := newLink(by(c), w)
		l.Start(chans, reqs)
		defer synctest.Wait()
		defer time.Sleep(wire.LastPackets)
		defer l.Fail(ErrAsked)
		f(t, l, srv)
	})
}

func command(u *User, text string) *control.SessionRequest {
	return &control.SessionRequest{Dest: u.Dest, Kind: control.Exec, Command: text}
}

// run starts a command on the link, which must start.
func run(t *testing.T, l *Link, tty *control.TTY, text string) *Session {
	t.Helper()
	u := user()
	r := command(u, text)
	r.TTY = tty
	s, err := l.StartSession(t.Context(), u, r, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// ends waits for the end of a command.
func ends(t *testing.T, s *Session) {
	t.Helper()
	if exit, err := s.Wait(); exit != (control.Exit{}) || err != nil {
		t.Errorf("%v, %v", exit, err)
	}
	synctest.Wait()
}

// channels is how many session channels the server has open.
func channels(srv *sshtest.Server) int {
	synctest.Wait()
	return srv.Count(sshtest.ChannelOpen, "session") - srv.Count(sshtest.ChannelFinished, "session")
}
