package master

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
	"muxd/internal/dest"
)

// direct marks, among the kinds of session, a connection that the server opens
// to somewhere else. It takes no session's place on the server.
const direct control.SessionKind = "direct"

// directTimeout bounds the wait for the answer to the open of such a connection. A
// server connects before it answers, and Linux tries that for 127 s. Whether the
// link is alive is found out long before, see hasten.
const directTimeout = 3 * time.Minute

// stdioForward is such a connection as a control.Stream: two directions that
// end apart, and nothing else of a session.
type stdioForward struct{ *session }

// Direct implements control.Backend: ssh -W.
func (m *Master) Direct(ctx context.Context, r *control.DirectRequest, p control.Prompter) (control.Stream, error) {
	d := r.Dest.(*dest.Destination)
	if err := checkAddresses(d, control.Endpoint{Host: r.Host, Path: r.Path}); err != nil {
		return nil, err
	}
	if err := m.begins(ctx, d, p, "Connect to "+directTarget(r)); err != nil {
		m.audit(d, string(direct), directTarget(r), r.PID, "", err)
		return nil, err
	}
	for try := 0; ; try++ {
		s, err := m.openDirect(ctx, d, r, p, try > 0)
		if err == nil {
			m.audit(d, string(direct), directTarget(r), r.PID, "", nil)
			return s, nil
		}
		var e *control.Error
		if again := errors.As(err, &e) && e.Phase == control.Lost; !again || try > 0 || ctx.Err() != nil {
			return nil, err
		}
	}
}

func (m *Master) openDirect(ctx context.Context, d *dest.Destination, r *control.DirectRequest, p control.Prompter, again bool) (control.Stream, error) {
	ls, err := m.acquireBare(ctx, d, p)
	if err != nil {
		return nil, asControl(d.Name, control.Refused, err)
	}
	if !again {
		if err := localCommand(ctx, d, p); err != nil {
			ls.release()
			return nil, err
		}
	}
	leave, err := m.enter(d)
	if err != nil {
		ls.release()
		return nil, err
	}
	defer leave()
	defer ls.link.holdHop()()
	kind, extra := directOpen(r, nil)
	ch, reqs, err := ls.link.openWithin(ctx, directTimeout, ls.slow, kind, extra)
	if err != nil {
		ls.release()
		return nil, directFailure(d.Name, r, ls.link, err)
	}
	debugf(p, d, 1, "the server connected to %s", directTarget(r))
	s := &session{l: ls.link, lease: ls, ch: ch, host: d.Name, since: time.Now(), left: make(chan struct{}), done: make(chan struct{}), meter: r.Bytes,
		r: &control.SessionRequest{Dest: d, Kind: direct, Command: directTarget(r), PID: r.PID}}
	ls.link.addSession(s)
	go s.requests(reqs)
	return stdioForward{s}, nil
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

func directTarget(r *control.DirectRequest) string {
	switch {
	case r.Path != "":
		return r.Path
	case strings.Contains(r.Host, ":"):
		return fmt.Sprintf("[%s]:%d", r.Host, r.Port)
	}
	return fmt.Sprintf("%s:%d", r.Host, r.Port)
}

// directFailure is openFailure with the place that could not be reached.
func directFailure(host string, r *control.DirectRequest, l *link, err error) error {
	var oe *ssh.OpenChannelError
	if errors.As(err, &oe) {
		return &control.Error{Phase: control.Refused, Host: host,
			Text: fmt.Sprintf("stdio forwarding to %s failed: %s", directTarget(r), said(oe))}
	}
	return openFailure(host, l, err)
}

// Read implements control.Stream. The end of a lost connection is no end.
func (s stdioForward) Read(p []byte) (int, error) {
	n, err := s.session.Read(p)
	if err != nil && (s.l.torn() || s.l.wire.WriteOver()) {
		if why := s.l.died(); why != nil {
			err = why
		}
	}
	return n, err
}

// Stderr implements control.Stream.
func (s stdioForward) Stderr() io.Reader { return strings.NewReader("") }

// CloseRead implements control.Stream. What comes is read and thrown away, as by
// ssh: SSH cannot say that one direction is not wanted any more, and what the
// client still sends is to arrive.
func (s stdioForward) CloseRead() error { return nil }

// Resize implements control.Stream.
func (s stdioForward) Resize(control.Window) error { return nil }

// Signal implements control.Stream.
func (s stdioForward) Signal(string) error { return nil }

// Wait implements control.Stream. A channel that both sides closed while the
// connection lives has delivered everything.
func (s stdioForward) Wait() (control.Exit, error) {
	<-s.done
	if err := s.l.died(); err != nil {
		return control.Exit{}, &control.Error{Phase: control.Running, Host: s.host, Text: fmt.Sprintf("connection lost (%v)", err)}
	}
	return control.Exit{}, nil
}
