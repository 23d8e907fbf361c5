package master

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"muxd/control"
	"muxd/internal/dest"
	"muxd/internal/forward"
	"muxd/internal/gate"
	"muxd/internal/sshlink"
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
	h.forwards.Serve(h.served.Link)
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
		if err := sshlink.CheckAddresses(d, f.Listen, f.Connect); err != nil {
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
	if ls.link.Distrusted {
		if r.Strict {
			return nil, nil, asControl(d.Name, control.Refused, sshlink.ErrDistrusted)
		}
		say("muxc: " + d.Name + ": " + sshlink.ErrDistrusted.Error())
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
			d.Debugf(p, 1, "forward %s stands", f)
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
		if m.gate.Drains() { // what is sticky went when that began, be it before these were
			set.RetireSticky()
			set.Release(owner)
			return nil, nil, asControl(d.Name, control.Refused, gate.ErrDrains)
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
	lost.Died()
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
		h.m.audit(d, string(sshlink.Direct), to.String(), 0, fromText(from), err)
		return nil, err // before a connection is made for it
	}
	for {
		ls, err := h.m.acquireThrough(ctx, d)
		if err != nil {
			return nil, err
		}
		ch, err := ls.link.OpenThrough(ctx, &ls.User, to, from)
		if err == nil {
			h.m.audit(ls.Dest, string(sshlink.Direct), to.String(), 0, fromText(from), nil)
			return ch, nil
		}
		ls.release()
		if errors.Is(ls.link.Ending(), sshlink.ErrReplaced) && ctx.Err() == nil {
			continue // it went between the lease and the open, and another one is there
		}
		var oe *forward.OpenError
		if errors.As(err, &oe) || errors.Is(err, sshlink.ErrDistrusted) || errors.Is(err, gate.ErrLocked) || ctx.Err() != nil || d.Patience >= 0 && time.Since(d.Asked) >= d.Patience {
			return nil, err
		}
	}
}

func fromText(from net.Addr) string {
	if from == nil {
		return "a forward"
	}
	return from.String()
}
