package sshlink

import (
	"context"
	"errors"
	"net"
	"strconv"

	"golang.org/x/crypto/ssh"

	"muxd/control"
	"muxd/internal/forward"
)

// ErrDistrusted refuses what is for nobody but the host itself.
var ErrDistrusted = errors.New("the server's host key is not the one that is known: no forward, no agent and no display goes to it")

// OpenThrough opens a connection on the server's side for a forward of u's, to
// which one came from there. Its Close releases u.
func (l *Link) OpenThrough(ctx context.Context, u *User, to control.Endpoint, from net.Addr) (forward.Channel, error) {
	if l.Distrusted {
		return nil, ErrDistrusted
	}
	if err := l.Gate.Within(); err != nil {
		return nil, err
	}
	defer l.holdHop()()
	kind, extra := directOpen(&control.DirectRequest{Host: to.Host, Port: to.Port, Path: to.Path}, from)
	ch, reqs, err := l.openWithin(ctx, directTimeout, nil, kind, extra)
	if err != nil {
		var oe *ssh.OpenChannelError
		if errors.As(err, &oe) {
			err = Refusal(oe)
		}
		return nil, err
	}
	return l.carry(ch, reqs, u), nil
}

// Refusal is why the server opens no connection on its side.
func Refusal(oe *ssh.OpenChannelError) *forward.OpenError {
	return &forward.OpenError{Code: uint32(oe.Reason), Text: oe.Message}
}

// Listen implements forward.Server. The reply holds the SSH library's lock on
// global requests, which a probe wants too: a server that does not answer this
// one answers no probe, and is found silent.
func (l *Link) Listen(ctx context.Context, at control.Endpoint) (port int, err error) {
	if l.Distrusted {
		return 0, ErrDistrusted
	}
	kind, payload := listenRequest(at)
	type reply struct {
		ok   bool
		data []byte
		err  error
	}
	got := make(chan reply, 1)
	go func() {
		ok, data, err := l.Conn.SendRequest(kind, true, payload)
		got <- reply{ok, data, err}
	}()
	select {
	case r := <-got:
		if r.err != nil { // its cause is the connection's end, which may not have been told yet
			l.Died()
		}
		if port, err = listened(r.ok, r.data, r.err); err == nil {
			if at.Path == "" && at.Port == 0 {
				at.Port = port
			}
			l.listens(at)
		}
		return port, err
	case <-l.done:
		return 0, l.Err()
	case <-ctx.Done():
		go func() { // nobody knows of what comes now
			if r := <-got; r.err == nil && r.ok {
				l.takeBack(at, r.data)
			}
		}()
		return 0, ctx.Err()
	}
}

// takeBack has the server listen no more where it has just begun to, without
// waiting for its answer. Data is what it said.
func (l *Link) takeBack(at control.Endpoint, data []byte) {
	if port, _ := listened(true, data, nil); at.Path == "" && port > 0 {
		at.Port = port
	}
	kind, payload := listenRequest(at)
	l.Conn.SendRequest("cancel-"+kind, false, payload)
}

// listened reads the answer (RFC 4254 section 7.1).
func listened(ok bool, data []byte, err error) (port int, _ error) {
	if err != nil {
		return 0, err
	}
	if !ok {
		return 0, forward.ErrRefused
	}
	var m struct {
		Port uint32
	}
	if ssh.Unmarshal(data, &m) == nil && m.Port <= 65535 {
		port = int(m.Port)
	}
	return port, nil
}

// Unlisten implements forward.Server.
func (l *Link) Unlisten(ctx context.Context, at control.Endpoint) error {
	defer l.listensNot(at)
	kind, payload := listenRequest(at)
	got := make(chan error, 1)
	go func() {
		ok, _, err := l.Conn.SendRequest("cancel-"+kind, true, payload)
		if err == nil && !ok {
			err = forward.ErrRefused
		}
		got <- err
	}()
	select {
	case err := <-got:
		return err
	case <-l.done:
		return l.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Done implements forward.Server.
func (l *Link) Done() <-chan struct{} { return l.done }

// listenRequest is what asks a server to listen. That it shall do so on every
// address is an empty name (channels.c, channel_rfwd_bind_host).
func listenRequest(at control.Endpoint) (kind string, payload []byte) {
	if at.Path != "" {
		return "streamlocal-forward@openssh.com", ssh.Marshal(struct{ Path string }{at.Path})
	}
	host := at.Host
	if host == "*" {
		host = ""
	}
	return "tcpip-forward", ssh.Marshal(struct {
		Host string
		Port uint32
	}{host, uint32(at.Port)})
}

// originator is where a connection came from, as the server is told (RFC 4254
// section 7.2).
func originator(from net.Addr) (host string, port uint32) {
	if from != nil {
		if h, p, err := net.SplitHostPort(from.String()); err == nil {
			if n, err := strconv.ParseUint(p, 10, 16); err == nil {
				return h, uint32(n)
			}
		}
	}
	return "127.0.0.1", 65535
}
