package sshlink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"muxd/control"
)

// Direct marks, among the kinds of session, a connection that the server opens
// to somewhere else. It takes no session's place on the server.
const Direct control.SessionKind = "direct"

// directTimeout bounds the wait for the answer to the open of such a connection. A
// server connects before it answers, and Linux tries that for 127 s. Whether the
// link is alive is found out long before, see hasten.
const directTimeout = 3 * time.Minute

// OpenDirect opens such a connection for r, in the name of u, which its end
// releases. Where it fails, u is left to the caller.
func (l *Link) OpenDirect(ctx context.Context, u *User, r *control.DirectRequest) (control.Stream, error) {
	defer l.holdHop()()
	d := u.Dest
	kind, extra := directOpen(r, nil)
	ch, reqs, err := l.openWithin(ctx, directTimeout, func() { u.slow(l) }, kind, extra)
	if err != nil {
		return nil, directFailure(d.Name, r, l, err)
	}
	s := &Session{l: l, user: u, ch: ch, host: d.Name, since: time.Now(), left: make(chan struct{}), done: make(chan struct{}), meter: r.Bytes,
		r: &control.SessionRequest{Dest: d, Kind: Direct, Command: Target(r), PID: r.PID}}
	l.addSession(s)
	f := &stdioForward{Session: s, judged: make(chan struct{})}
	go func() {
		s.requests(reqs)
		f.judge()
	}()
	return f, nil
}

// stdioForward is such a connection as a control.Stream: two directions that
// end apart, and nothing else of a session.
type stdioForward struct {
	*Session
	judged chan struct{} // closed when both sides have closed the channel, and what that was is known
	lost   error         // written before judged is closed; why the connection ended before the channel may have
}

// judge finds out whether both sides have closed the channel. Later, when its
// client has read the last of it, a link that was lost or closed in the meantime
// would make a loss of a whole transfer.
func (f *stdioForward) judge() {
	defer close(f.judged)
	if !f.torn && !f.unsure && f.l.library.keeps(f.l.Conn) {
		return // the server closed it: nothing to wait for
	}
	switch err := f.l.Died(); {
	case f.torn || f.unsure && err != nil:
		if f.lost = err; err == nil {
			f.lost = errEnds
		}
	case f.l.endedByItself():
		// By a message of the server's, as when it is none of SSH: the library ends the
		// channels then as if each of them had been closed, a moment before it tells.
		f.lost = err
	}
}

// directOpen is the channel open of RFC 4254 section 7.2, or OpenSSH's for a
// Unix socket (PROTOCOL section 2.4), for a connection that came from an
// address; nil is -W, and the originator then what ssh says for it.
func directOpen(r *control.DirectRequest, from net.Addr) (kind string, extra []byte) {
	if r.Path != "" {
		return "direct-streamlocal@openssh.com", ssh.Marshal(struct {
			Path     string
			Reserved string
			Zero     uint32
		}{r.Path, "", 0})
	}
	return "direct-tcpip", tcpOpen(r.Host, r.Port, from)
}

func tcpOpen(host string, port int, from net.Addr) []byte {
	fromHost, fromPort := originator(from)
	return ssh.Marshal(struct {
		Host     string
		Port     uint32
		FromHost string
		FromPort uint32
	}{host, uint32(port), fromHost, fromPort})
}

// Target is what r asks to be connected to.
func Target(r *control.DirectRequest) string {
	switch {
	case r.Path != "":
		return r.Path
	case strings.Contains(r.Host, ":"):
		return fmt.Sprintf("[%s]:%d", r.Host, r.Port)
	}
	return fmt.Sprintf("%s:%d", r.Host, r.Port)
}

// directFailure is Failure with the place that could not be reached.
func directFailure(host string, r *control.DirectRequest, l *Link, err error) error {
	var oe *ssh.OpenChannelError
	if errors.As(err, &oe) {
		return &control.Error{Phase: control.Refused, Host: host,
			Text: fmt.Sprintf("stdio forwarding to %s failed: %s", Target(r), Refusal(oe))}
	}
	return l.Failure(host, err)
}

// Read implements control.Stream. The end of a lost connection is no end.
func (f *stdioForward) Read(p []byte) (int, error) {
	n, err := f.Session.Read(p)
	if err == nil {
		return n, nil
	}
	var why error
	select {
	case <-f.judged:
		why = f.lost
	default:
		if f.l.torn() || f.l.Wire.WriteOver() {
			why = f.l.Died()
		}
	}
	if why != nil {
		err = why
	}
	return n, err
}

// Stderr implements control.Stream.
func (f *stdioForward) Stderr() io.Reader { return strings.NewReader("") }

// CloseRead implements control.Stream. What comes is read and thrown away, as by
// ssh: SSH cannot say that one direction is not wanted any more, and what the
// client still sends is to arrive.
func (f *stdioForward) CloseRead() error { return nil }

// Resize implements control.Stream.
func (f *stdioForward) Resize(control.Window) error { return nil }

// Signal implements control.Stream.
func (f *stdioForward) Signal(string) error { return nil }

// Wait implements control.Stream. A channel that both sides closed while the
// connection lives has delivered everything.
func (f *stdioForward) Wait() (control.Exit, error) {
	<-f.judged
	if f.lost != nil {
		return control.Exit{}, &control.Error{Phase: control.Running, Host: f.host, Text: fmt.Sprintf("connection lost (%v)", f.lost)}
	}
	return control.Exit{}, nil
}
