package master

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"golang.org/x/crypto/ssh"

	"muxd/control"
	"muxd/internal/dest"
	"muxd/internal/forward"
	"muxd/internal/gate"
)

var (
	errLinkEnds   = errors.New("the connection ends")
	errDistrusted = errors.New("the server's host key is not the one that is known: no forward, no agent and no display goes to it")
)

// newForwards makes the host's forwards. They are the host's and not a link's,
// so they outlive connections.
func (h *host) newForwards() *forward.Set {
	return forward.New(forward.Config{Log: h.log, Open: h.openThrough, Rand: h.m.cfg.Rand, Listen: h.m.cfg.Listen, Dial: h.m.cfg.DialTarget,
		Changed: func(s control.ForwardStatus) {
			e := eventOf(h.newestDest(), control.EventForward)
			e.To, e.Text = s.State, s.Forward.String()
			if s.State == control.ForwardDegraded {
				e.Text += ": " + s.LastErr
			}
			if e.To == "" {
				e.To = "gone"
			}
			h.m.events.tell(e, h.key)
			h.look()
		}})
}

// newestDest is the destination of the newest request, or of the one before it
// while run is at that.
func (h *host) newestDest() *dest.Destination {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.shown.dest
}

// look has run decide once more. It never waits: where the queue is full,
// decide comes anyway.
func (h *host) look() {
	select {
	case h.events <- func() {}:
	default:
	}
}

// serveForwards tells the forwards which link is in service. Called in run.
func (h *host) serveForwards() {
	if h.current == h.served {
		return
	}
	if h.served = h.current; h.served == nil {
		h.forwards.Serve(nil)
		return
	}
	h.forwards.Serve(h.served)
}

// Forward implements control.Backend. As in ssh the connection comes first:
// nothing listens for somebody who may not log in. Once it stands, a forward
// stays through every outage.
func (m *Master) Forward(ctx context.Context, r *control.ForwardRequest, p control.Prompter) (func(), error) {
	_, release, err := m.forward(ctx, r, p)
	return release, err
}

// forward is Forward, and the ports at which the forwards listen.
func (m *Master) forward(ctx context.Context, r *control.ForwardRequest, p control.Prompter) (ports []int, release func(), err error) {
	d := r.Dest.(*dest.Destination)
	for _, f := range r.Forwards {
		if err := checkAddresses(d, f.Listen, f.Connect); err != nil {
			return nil, nil, err
		}
	}
	if err := m.begins(ctx, d, p, wishes(r.Forwards)); err != nil {
		m.audit(d, "forward", wishes(r.Forwards), r.PID, "", err)
		return nil, nil, err
	}
	ls, err := m.acquireBare(ctx, d, p)
	if err != nil {
		return nil, nil, asControl(d.Name, control.Refused, err)
	}
	defer ls.release()
	if err := m.admit(d); err != nil { // it may have waited
		return nil, nil, err
	}
	if p == nil {
		p = nobody{}
	}
	say := func(text string) {
		if d.Conf.Informs() {
			p.Notice(text)
		}
	}
	set := ls.host.forwards
	if ls.link.distrusted {
		if r.Strict {
			return nil, nil, asControl(d.Name, control.Refused, errDistrusted)
		}
		say("muxc: " + d.Name + ": " + errDistrusted.Error())
		return nil, func() {}, nil
	}
	owner := &forward.Owner{PID: r.PID}
	if r.Told {
		owner.Tell = func(text string) { say("muxc: " + d.Name + ": " + text) }
	}
	for _, f := range r.Forwards {
		port, err := m.addForward(ctx, set, f, r, owner, p, ls.link)
		switch {
		case err != nil && (r.Strict || ctx.Err() != nil):
			set.Release(owner)
			return nil, nil, asControl(d.Name, control.Refused, err)
		case err != nil:
			say(fmt.Sprintf("muxc: %s: %v; trying again", d.Name, err))
		case chosenThere(f) && port == 0: // it waits, and is told of once it has one
		case chosenThere(f) && r.Allocated != nil:
			r.Allocated(f, port)
		case chosenThere(f):
			say(fmt.Sprintf("Allocated port %d for remote forward to %s", port, leadsTo(f)))
		default:
			debugf(p, d, 1, "forward %s stands", f)
			if partly := set.Trouble(f); partly != "" {
				say(fmt.Sprintf("muxc: %s: %s: %s; the forward listens on the rest", d.Name, f, partly))
			}
		}
		ports = append(ports, port)
	}
	if r.Sticky { // all of them, now that all are to be had
		for _, f := range r.Forwards {
			set.Add(ctx, f, r.Options, ls.host.sticky, true)
		}
	}
	return ports, func() { set.Release(owner) }, nil
}

// chosenThere reports a forward whose port the server is to choose.
func chosenThere(f control.Forward) bool {
	return f.Kind.Remote() && f.Listen.Path == "" && f.Listen.Port == 0
}

// mostLost is how many connections may go, one after the other, before one has
// answered a request for a listener.
const mostLost = 3

var errAnswerLost = errors.New("the connection was lost before the server had answered")

// addForward has one forward stand. Where the connection goes before the server
// has answered, the next one is waited for as the first one was: which port was
// chosen, or that it was refused, nobody can say before. Asked is the connection
// in service.
func (m *Master) addForward(ctx context.Context, set *forward.Set, f control.Forward, r *control.ForwardRequest, o *forward.Owner, p control.Prompter, asked *link) (port int, err error) {
	lost := 0
	return set.AddAnswered(ctx, f, r.Options, o, !r.Strict, func() error {
		if lost++; lost == mostLost {
			return fmt.Errorf("%s: %w", f, errAnswerLost)
		}
		next, err := m.acquireAfter(ctx, r.Dest.(*dest.Destination), p, asked)
		if err == nil {
			asked = next.link
			next.release() // the forward keeps the connection from now on
		}
		return err
	})
}

// acquireAfter is acquireBare once a connection is lost whose request failed,
// which may be known a moment before its end is.
func (m *Master) acquireAfter(ctx context.Context, d *dest.Destination, p control.Prompter, lost *link) (*lease, error) {
	lost.died()
	return m.acquireBare(ctx, d, p)
}

// leadsTo is where a remote forward leads, as ssh says it.
func leadsTo(f control.Forward) string {
	if f.Kind.Dynamic() {
		return "socks:0"
	}
	return f.Connect.String()
}

// openThrough opens a connection on the server's side, for the forwards. It
// waits for the SSH connection as a request that nobody stands behind. A server
// that did not answer may have connected; but nothing was sent through that yet,
// so the next connection can be asked too.
func (h *host) openThrough(ctx context.Context, to control.Endpoint, from net.Addr) (forward.Channel, error) {
	d := h.newestDest().Unattended(time.Now())
	if err := h.m.gate.Within(); err != nil {
		return nil, err // before a connection is made for it
	}
	for {
		ls, err := h.m.acquireThrough(ctx, d)
		if err != nil {
			return nil, err
		}
		ch, err := ls.openThrough(ctx, to, from)
		if err == nil {
			return ch, nil
		}
		ls.release()
		if errors.Is(ls.link.ending(), errReplaced) && ctx.Err() == nil {
			continue // it went between the lease and the open, and another one is there
		}
		var oe *forward.OpenError
		if errors.As(err, &oe) || errors.Is(err, errDistrusted) || errors.Is(err, gate.ErrLocked) || ctx.Err() != nil || d.Patience >= 0 && time.Since(d.Asked) >= d.Patience {
			return nil, err
		}
	}
}

func (ls *lease) openThrough(ctx context.Context, to control.Endpoint, from net.Addr) (forward.Channel, error) {
	if ls.link.distrusted {
		return nil, errDistrusted
	}
	if err := ls.host.m.gate.Within(); err != nil {
		return nil, err
	}
	defer ls.link.holdHop()()
	kind, extra := directOpen(&control.DirectRequest{Host: to.Host, Port: to.Port, Path: to.Path}, from)
	ch, reqs, err := ls.link.openWithin(ctx, directTimeout, nil, kind, extra)
	if err != nil {
		var oe *ssh.OpenChannelError
		if errors.As(err, &oe) {
			err = said(oe)
		}
		return nil, err
	}
	ls.host.m.audit(ls.dest, string(direct), to.String(), 0, fromText(from), nil)
	return ls.link.carry(ch, reqs, ls), nil
}

func fromText(from net.Addr) string {
	if from == nil {
		return "a forward"
	}
	return from.String()
}

// said is why the server opens no connection on its side.
func said(oe *ssh.OpenChannelError) *forward.OpenError {
	return &forward.OpenError{Code: uint32(oe.Reason), Text: oe.Message}
}

// Listen implements forward.Server. The reply holds the SSH library's lock on
// global requests, which a probe wants too: a server that does not answer this
// one answers no probe, and is found silent.
func (l *link) Listen(ctx context.Context, at control.Endpoint) (port int, err error) {
	if l.distrusted {
		return 0, errDistrusted
	}
	kind, payload := listenRequest(at)
	type reply struct {
		ok   bool
		data []byte
		err  error
	}
	got := make(chan reply, 1)
	go func() {
		ok, data, err := l.conn.SendRequest(kind, true, payload)
		if ctx.Err() != nil && err == nil && ok { // nobody knows of it
			if chosen, _ := listened(ok, data, err); chosen > 0 {
				_, payload = listenRequest(control.Endpoint{Host: at.Host, Port: chosen})
			}
			l.conn.SendRequest("cancel-"+kind, false, payload)
		}
		got <- reply{ok, data, err}
	}()
	select {
	case r := <-got:
		if r.err != nil { // its cause is the connection's end, which may not have been told yet
			l.died()
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
		return 0, ctx.Err()
	}
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
func (l *link) Unlisten(ctx context.Context, at control.Endpoint) error {
	defer l.listensNot(at)
	kind, payload := listenRequest(at)
	got := make(chan error, 1)
	go func() {
		ok, _, err := l.conn.SendRequest("cancel-"+kind, true, payload)
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
func (l *link) Done() <-chan struct{} { return l.done }

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
