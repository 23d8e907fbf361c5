package sshtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// serveDirect joins a channel of ssh -L or -W to Options.Direct.
func (p *Peer) serveDirect(id int, open ssh.NewChannel) {
	address, err := destination(open)
	if err != nil {
		p.refuse(id, open, ssh.ConnectionFailed, err.Error())
		return
	}
	o := p.server.options()
	if o.RefuseForward {
		p.refuse(id, open, ssh.Prohibited, "forwarding is refused")
		return
	}
	dial := o.Direct
	if dial == nil {
		dial = echo
	}
	far, err := dial(p.ctx, address)
	if why := (*ssh.OpenChannelError)(nil); errors.As(err, &why) {
		p.refuse(id, open, why.Reason, why.Message)
		return
	}
	if err != nil {
		p.refuse(id, open, ssh.ConnectionFailed, err.Error())
		return
	}
	defer far.Close()
	ch, requests, err := open.Accept()
	if err != nil {
		return
	}
	// The requests end when the client closes the channel, as opposed to
	// ending its input: then nobody wants the rest.
	p.server.wg.Go(func() { ssh.DiscardRequests(requests); far.Close() })
	p.server.join(ch, far)
}

// destination decodes RFC 4254 section 7.2 and PROTOCOL section 2.4.
func destination(open ssh.NewChannel) (string, error) {
	var tcp struct {
		Host   string
		Port   uint32
		Origin string
		From   uint32
	}
	var local struct {
		Path     string
		Reserved string
		Unused   uint32
	}
	if open.ChannelType() == "direct-tcpip" {
		err := ssh.Unmarshal(open.ExtraData(), &tcp)
		return bindName(tcp.Host, tcp.Port), err
	}
	err := ssh.Unmarshal(open.ExtraData(), &local)
	return local.Path, err
}

// loop is the destination that sends everything back, and ends when its input
// does.
type loop struct {
	*io.PipeReader
	w *io.PipeWriter
}

func echo(context.Context, string) (io.ReadWriteCloser, error) {
	r, w := io.Pipe()
	return loop{r, w}, nil
}

func (l loop) Write(p []byte) (int, error) { return l.w.Write(p) }
func (l loop) CloseWrite() error           { return l.w.Close() }
func (l loop) Close() error                { l.w.Close(); return l.PipeReader.Close() }

// join copies both ways and passes on the end of each. A far end that has no
// CloseWrite is closed when the client's input ends.
func (s *Server) join(ch ssh.Channel, far io.ReadWriteCloser) {
	up := make(chan struct{})
	s.wg.Go(func() {
		defer close(up)
		io.Copy(far, ch)
		if h, ok := far.(interface{ CloseWrite() error }); ok {
			h.CloseWrite()
			return
		}
		far.Close()
	})
	io.Copy(ch, far)
	ch.CloseWrite()
	<-up
	ch.Close()
}

// binding is a remote forward: a host and port, or a path.
type binding struct {
	peer *Peer
	host string
	port uint32
	path string
	// until is when one of a connection that ended is free again (HoldPorts);
	// zero while the connection lives.
	until time.Time
}

// key is what two bindings must not have in common, and what Connect takes.
func (b binding) key() string {
	if b.path != "" {
		return b.path
	}
	return bindName(b.host, b.port)
}

func bindName(host string, port uint32) string {
	return net.JoinHostPort(host, strconv.Itoa(int(port)))
}

// forwardRequest answers ssh -R and its cancellation (RFC 4254 section 7.1,
// PROTOCOL section 2.4), and everything else with a refusal.
func (p *Peer) forwardRequest(r *ssh.Request) (ok bool, payload []byte) {
	b := binding{peer: p}
	var tcp struct {
		Host string
		Port uint32
	}
	var local struct{ Path string }
	switch r.Type {
	case "tcpip-forward", "cancel-tcpip-forward":
		if ssh.Unmarshal(r.Payload, &tcp) != nil {
			return false, nil
		}
		b.host, b.port = tcp.Host, tcp.Port
	case "streamlocal-forward@openssh.com", "cancel-streamlocal-forward@openssh.com":
		if ssh.Unmarshal(r.Payload, &local) != nil || local.Path == "" {
			return false, nil
		}
		b.path = local.Path
	default:
		return false, nil
	}
	if strings.HasPrefix(r.Type, "cancel-") {
		return p.server.release(b), nil
	}
	return p.server.bind(b)
}

// bind takes the address unless any connection has it, a dead one included
// whose end the server has not noticed: that is how sshd behaves after an
// outage.
func (s *Server) bind(b binding) (ok bool, payload []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.opts.RefuseForward || s.opts.RefuseListen || b.peer.ctx.Err() != nil { // what came before its end is read after it
		return false, nil
	}
	s.expire()
	if b.path == "" && b.port == 0 {
		b.port = s.port()
		payload = ssh.Marshal(struct{ Port uint32 }{b.port})
	}
	if _, taken := s.forwards[b.key()]; taken {
		return false, nil
	}
	s.forwards[b.key()] = b
	return true, payload
}

// port chooses one; s.mu is held.
func (s *Server) port() uint32 {
	if n := s.given; n < len(s.opts.Ports) {
		s.given++
		return s.opts.Ports[n]
	}
	s.nextPort++
	return s.nextPort
}

// expire frees what was held long enough; s.mu is held. There is no timer: who
// looks is who notices.
func (s *Server) expire() {
	now := time.Now()
	maps.DeleteFunc(s.forwards, func(_ string, b binding) bool { return !b.until.IsZero() && !now.Before(b.until) })
}

// release ends a binding of the same connection.
func (s *Server) release(b binding) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.forwards[b.key()].peer != b.peer {
		return false
	}
	delete(s.forwards, b.key())
	return true
}

// unbind ends all bindings of a connection, or lets them end after HoldPorts.
func (s *Server) unbind(p *Peer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, b := range s.forwards {
		if b.peer == p {
			b.until = time.Now().Add(s.opts.HoldPorts)
			s.forwards[key] = b
		}
	}
	s.expire()
}

// Forwards returns what is bound now, or held: "host:port" or a path, sorted.
func (s *Server) Forwards() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire()
	return slices.Sorted(maps.Keys(s.forwards))
}

// Connect plays somebody who connects to a remote forward, named as Forwards
// does, and returns the server's end of the channel that the client accepted.
func (s *Server) Connect(bind string) (ssh.Channel, error) {
	s.mu.Lock()
	b, ok := s.forwards[bind]
	s.mu.Unlock()
	if !ok {
		return nil, fmt.Errorf("connect to %s: nothing is bound there, but %v", bind, s.Forwards())
	}
	if b.path != "" {
		return b.peer.Open("forwarded-streamlocal@openssh.com", ssh.Marshal(struct{ Path, Reserved string }{Path: b.path}))
	}
	return b.peer.Open("forwarded-tcpip", ssh.Marshal(struct {
		Host   string
		Port   uint32
		Origin string
		From   uint32
	}{b.host, b.port, "192.0.2.3", 50000}))
}
