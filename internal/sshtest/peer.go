package sshtest

import (
	"context"
	"io"
	"net"
	"sync"

	"golang.org/x/crypto/ssh"
)

// Peer is one connection as the server sees it. Its methods may be called from
// any goroutine.
type Peer struct {
	server *Server
	index  int
	conn   net.Conn
	opts   Options // as they were at the beginning

	// ctx ends with the connection, as far as this end has noticed.
	ctx    context.Context
	cancel context.CancelFunc

	// ready is closed when ssh is set, or when it never will be.
	ready chan struct{}
	ssh   *ssh.ServerConn

	mu   sync.Mutex
	open int // guarded by mu; sessions now
}

// Index returns the connection's place in Server.Peers, as events name it.
func (p *Peer) Index() int { return p.index }

// Pipe returns the server's end of the pipe, to cut or stall: what it writes
// (Out) is what the client reads. It is nil for a connection that Dial did not
// make.
func (p *Peer) Pipe() *Conn {
	c, _ := p.conn.(*Conn)
	return c
}

// Conn returns the SSH connection when the login is complete, nil if it never
// will be.
func (p *Peer) Conn() *ssh.ServerConn {
	<-p.ready
	return p.ssh
}

// Drop closes the connection without a word; the client reads EOF.
func (p *Peer) Drop() { p.conn.Close() }

func (p *Peer) note(e Event) {
	e.Peer = p.index
	p.server.journal.note(e)
}

// serve carries the connection from its first byte to its last.
func (p *Peer) serve() error {
	defer p.server.wg.Done()
	p.note(Event{Kind: Connected})
	err := p.converse()
	p.conn.Close()
	p.cancel()
	p.server.unbind(p)
	p.note(Event{Kind: Disconnected, Text: err.Error()})
	return err
}

// converse returns the cause of the connection's end, never nil.
func (p *Peer) converse() error {
	defer sync.OnceFunc(func() { p.publish(nil) })()
	if err := sleep(p.ctx, p.opts.HandshakeDelay); err != nil {
		return err
	}
	if p.opts.Greeting != "" {
		if _, err := io.WriteString(p.conn, p.opts.Greeting); err != nil {
			return err
		}
		return io.EOF
	}
	conn, opens, requests, err := ssh.NewServerConn(p.conn, p.config())
	if err != nil {
		return err
	}
	p.publish(conn)
	p.note(Event{Kind: LoggedIn, Name: conn.User()})
	p.server.wg.Go(func() { p.serveRequests(requests) })
	p.server.wg.Go(func() { p.serveOpens(opens) })
	if err := conn.Wait(); err != nil {
		return err
	}
	return io.EOF
}

// publish lets Conn return; only the first call counts. It runs on the one
// goroutine of serve.
func (p *Peer) publish(c *ssh.ServerConn) {
	select {
	case <-p.ready:
	default:
		p.ssh = c
		close(p.ready)
	}
}

// serveRequests answers global requests as sshd does: keepalives with a
// refusal, which is an answer all the same (RFC 4254 section 4).
func (p *Peer) serveRequests(requests <-chan *ssh.Request) {
	for r := range requests {
		p.note(Event{Kind: GlobalRequest, Name: r.Type, Payload: r.Payload, WantReply: r.WantReply})
		if r.Type == "keepalive@openssh.com" && p.server.options().IgnoreKeepalives {
			continue
		}
		if f := p.server.options().Global; f != nil && f(p, r) {
			continue
		}
		ok, payload := p.forwardRequest(r)
		r.Reply(ok, payload)
	}
}

// serveOpens hands each channel to a goroutine of its own, so that a slow
// destination holds up nobody.
func (p *Peer) serveOpens(opens <-chan ssh.NewChannel) {
	for open := range opens {
		id := p.server.nextChannel()
		p.note(Event{Kind: ChannelOpen, Name: open.ChannelType(), Payload: open.ExtraData(), Channel: id})
		sleep(p.ctx, p.server.options().OpenDelay)
		p.server.wg.Go(func() {
			p.serveChannel(id, open)
			p.note(Event{Kind: ChannelFinished, Name: open.ChannelType(), Channel: id})
		})
	}
}

func (p *Peer) serveChannel(id int, open ssh.NewChannel) {
	switch open.ChannelType() {
	case "session":
		p.serveSession(id, open)
	case "direct-tcpip", "direct-streamlocal@openssh.com":
		p.serveDirect(id, open)
	default:
		p.refuse(id, open, ssh.UnknownChannelType, "unknown channel type")
	}
}

func (p *Peer) refuse(id int, open ssh.NewChannel, why ssh.RejectionReason, text string) {
	p.note(Event{Kind: ChannelRefused, Name: open.ChannelType(), Text: text, Channel: id})
	open.Reject(why, text)
}

func (s *Server) nextChannel() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.channels++
	return s.channels
}
