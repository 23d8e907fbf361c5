package sshlink

import (
	"context"
	"errors"
	"io"
	"net"
	"time"

	"golang.org/x/crypto/ssh"
)

const (
	// maxLent bounds the channels to agents and displays that one connection has
	// open, each of which costs two descriptors' worth of goroutines and one
	// socket. A browser over X11 has a dozen.
	maxLent = 256
	// lendTimeout bounds the connect to an agent or a display, and what the other
	// side may take to say who it is.
	lendTimeout = 10 * time.Second
)

// lender is the newest session that lends what which says, and whose client is
// still there; nil where there is none. Servers do not say for which session a
// channel is (the same in OpenSSH).
func (l *Link) lender(which func(*Session) bool) *Session {
	l.mu.Lock()
	defer l.mu.Unlock()
	var newest *Session
	for s := range l.sessions {
		if which(s) && !s.abandoned() && (newest == nil || s.number > newest.number) {
			newest = s
		}
	}
	return newest
}

// lend runs f in a goroutine of its own, unless too many run already.
func (l *Link) lend(c ssh.NewChannel, f func()) {
	if l.lent.Add(1) > maxLent {
		l.lent.Add(-1)
		l.reject(c, ssh.ResourceShortage, "too many open channels of this kind")
		return
	}
	go func() {
		defer l.lent.Add(-1)
		f()
	}()
}

// lendAgent connects a channel to the agent of the newest client that lends its.
func (l *Link) lendAgent(c ssh.NewChannel) bool {
	s := l.lender(func(s *Session) bool { return s.r.Agent != "" })
	if s == nil {
		return false
	}
	l.lend(c, func() {
		ctx, cancel := context.WithTimeout(context.Background(), lendTimeout)
		defer cancel()
		agent, err := l.DialAgent(ctx, s.r.Agent)
		if err != nil {
			l.Log.Info("agent cannot be lent", "err", err)
			c.Reject(ssh.ConnectionFailed, "agent connection failed")
			return
		}
		defer agent.Close()
		if ch, err := l.accept(c); err == nil {
			relay(ch, agent, l.bind, func(stop <-chan struct{}) bool { return l.agentOver(s, stop) })
		}
	})
	return true
}

// bind tells an agent that it is the server of this connection who asks from now
// on, as ssh does (clientloop.c, client_request_agent), so that keys that are for
// others are not for it, and that it loads no library for it. An agent is lent to
// nobody who cannot be named.
func (l *Link) bind(agent net.Conn) error {
	if l.Proof == nil {
		return errUnnamed
	}
	agent.SetDeadline(time.Now().Add(lendTimeout))
	bound, err := l.Proof.Bind(agent)
	if err != nil {
		return err
	}
	l.Log.Debug("agent lent", "bound", bound)
	return agent.SetDeadline(time.Time{})
}

var errUnnamed = errors.New("how the server proved its host key was not seen")

// lendNoMore takes back what the session lends. The server's word that the
// session is over is not waited for: one that is silent, or of bad will, would
// keep the agent of a client that is gone.
func (s *Session) lendNoMore() { s.leave.Do(func() { close(s.left) }) }

// over waits until the session lends nothing any more, and reports false when
// stop comes first.
func (s *Session) over(stop <-chan struct{}) bool {
	select {
	case <-s.left:
		return true
	case <-stop:
		return false
	}
}

// agentOver is over for an agent, until none of those who lend the same one does:
// the program at the other end may be another session's than the newest, whose
// end must not cut it off in the middle of a login.
func (l *Link) agentOver(s *Session, stop <-chan struct{}) bool {
	agent := s.r.Agent
	for s != nil {
		if !s.over(stop) {
			return false
		}
		s = l.lender(func(x *Session) bool { return x.r.Agent == agent })
	}
	return true
}

// relay copies both ways until both ends have ended, or over says that nobody
// lends any more: what a client lends goes with it. It tells over when to stop.
// Begin, if it is not nil, comes before the first byte.
func relay(ch *through, nc net.Conn, begin func(net.Conn) error, over func(stop <-chan struct{}) bool) {
	defer ch.Close()
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		if over(stop) {
			nc.Close()
			ch.Close()
		}
	}()
	if begin != nil && begin(nc) != nil {
		nc.Close()
		return
	}
	back := make(chan struct{})
	go func() {
		defer close(back)
		io.Copy(onlyWriter{ch}, nc)
		ch.CloseWrite()
	}()
	io.Copy(onlyWriter{nc}, ch)
	if c, ok := nc.(interface{ CloseWrite() error }); !ok || c.CloseWrite() != nil {
		nc.Close()
	}
	<-back
}

type onlyWriter struct{ io.Writer }

// lendsAgent asks the server for an agent's socket in the session's
// environment (PROTOCOL, auth-agent-req@openssh.com). As in ssh no answer is
// asked for: a server that has none says so to whoever looks for it.
func (s *Session) lendsAgent() error {
	_, err := s.ch.SendRequest("auth-agent-req@openssh.com", false, nil)
	return err
}
