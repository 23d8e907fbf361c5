package master

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"muxd/control"
	"muxd/internal/dest"
	"muxd/internal/firstkex"
	"muxd/internal/login"
	"muxd/internal/reach"
	"muxd/internal/sshlink"
	"muxd/internal/wire"
)

// dialAgain is when a connect that nothing answers is begun once more beside
// the first. For as long Linux repeats its first packet every second; later it
// would be after 2, 4 and 8.
const dialAgain = 4 * time.Second

// sleep waits, or less if ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// dial makes a connection and logs in: one attempt, with the prompts of
// whoever waits for it. Before is the host key of the last login; urgent says
// that a client waits.
func (m *Master) dial(ctx context.Context, h *host, d *dest.Destination, p control.Prompter, before []byte, urgent bool) (*link, error) {
	l, err := m.dialOnce(ctx, h, d, p, before, urgent)
	if errors.Is(err, firstkex.ErrNotStrict) { // h.lax is set now, and another offer made
		d.Debugf(p, 1, "%v; dialling again without those", err)
		l, err = m.dialOnce(ctx, h, d, p, before, urgent)
	}
	return l, err
}

func (m *Master) dialOnce(ctx context.Context, h *host, d *dest.Destination, p control.Prompter, before []byte, urgent bool) (*link, error) {
	nc, leave, err := m.reach(ctx, h, d, p, urgent)
	if err != nil {
		return nil, err
	}
	leave = sync.OnceFunc(leave)
	defer leave()
	d.Debugf(p, 1, "connection established: %s", nc.RemoteAddr())
	if err := socketOptions(d).Set(nc); err != nil {
		m.cfg.Log.Warn("socket options", "host", d.Name, "err", err)
	}
	_, asksNobody := p.(background)
	in, err := login.Do(ctx, nc, login.Config{Dest: d, Log: m.cfg.Log, Prompter: p, Background: asksNobody, Before: before, Home: m.cfg.Home,
		Lax: &h.lax, Leave: leave, Touches: m.cfg.Learned, DialAgent: m.cfg.DialAgent, Keyring: &m.keyring, PrivateAgent: m.cfg.PrivateAgent})
	if err != nil {
		nc.Close()
		return nil, err
	}
	return m.link(h, d, in), nil
}

// link begins a link over a connection that is logged in.
func (m *Master) link(h *host, d *dest.Destination, in *login.Login) *link {
	l := &link{host: h, local: wire.LocalAddr(in.Wire.Conn)}
	c := sshlink.Config{ID: m.linkID(), Owner: l, Conn: in.Conn, Wire: in.Wire, Auth: in.Auth, HostKey: in.HostKey, Proof: in.Proof,
		Distrusted: in.Distrusted, Alive: d.Alive, Epoch: m.cfg.Epoch,
		Gate: &m.gate, Forwards: h.forwards, Limit: &h.limit, NetworkAt: &m.networkAt, DialAgent: m.dialAgent, DialDisplay: m.dialDisplay}
	c.Log = h.log.With("link", c.ID)
	c.QoS[0], c.QoS[1] = d.Conf.IPQoS()
	if d.Via == nil && d.Proxy == "" {
		c.Warm = sshlink.Warm{Learned: m.cfg.Learned, Key: h.key, Network: m.network()}
	}
	if in.Update != nil && !h.unproven.Load() { // one that left a proof of its keys unanswered is asked for none again
		c.Update = in.Update
		c.Update.Unproven = h.unproven.Store
	}
	l.Link = sshlink.New(c)
	l.onState = func() { go h.post(func() { h.changed(l) }) }
	l.onEvent = func(e control.Event) {
		e.Host, e.User, e.Addr = d.Name, d.User, d.Addr()
		h.m.events.tell(e, h.key)
	}
	l.Log.Info("logged in", "user", d.User, "addr", d.Addr(), "remote", l.Conn.RemoteAddr().String(), "auth", l.Auth,
		"server", string(l.Conn.ServerVersion()))
	l.Start(in.Channels, in.Requests)
	return l
}

// reach makes the connection under an SSH connection: through a jump host, by a
// ProxyCommand, or directly. It holds a slot of the server's, which leave gives
// back when the connection is logged in, or lost.
func (m *Master) reach(ctx context.Context, h *host, d *dest.Destination, p control.Prompter, urgent bool) (nc net.Conn, leave func(), err error) {
	if d.Via != nil {
		return m.throughHop(ctx, h, d, p, urgent)
	}
	free, err := h.enter(ctx, d, urgent)
	if err != nil {
		return nil, nil, err
	}
	var heard func()
	if d.Proxy == "" {
		nc, err = m.connect(ctx, d, p)
	} else {
		nc, heard, err = m.byCommand(ctx, d, p)
	}
	switch {
	case err != nil:
		free()
		return nil, nil, err
	case heard != nil:
		// Who waits for the connection is told nothing any more once it is
		// there. By then the child has ended, as a rule.
		return nc, func() { free(); heard() }, nil
	}
	return nc, free, nil
}

// enter waits for a slot. While it does, nothing is lost by a client that has
// the dial begin anew, and goes before those that nobody waits for.
func (h *host) enter(ctx context.Context, d *dest.Destination, urgent bool) (leave func(), err error) {
	h.inLine.Store(true)
	defer h.inLine.Store(false)
	return h.m.slots.Enter(ctx, d.Way(), urgent)
}

// connect connects directly, as often as ConnectionAttempts says. A name that
// does not exist will not exist a second later.
func (m *Master) connect(ctx context.Context, d *dest.Destination, p control.Prompter) (net.Conn, error) {
	r := reach.TCP{Resolve: m.cfg.Resolve, Dial: m.cfg.Dial, Limit: d.ConnectLimit(dest.DialTimeout), Again: m.again,
		BindAddress: d.Conf.BindAddress(), BindInterface: d.Conf.BindInterface(),
		Note: func(format string, args ...any) { d.Debugf(p, 1, format, args...) }}
	for try := 1; ; try++ {
		nc, err := r.Connect(ctx, d.Network(), d.Host, d.Port)
		if err == nil {
			return nc, nil
		}
		var dns *net.DNSError
		if unknown := errors.As(err, &dns) && dns.IsNotFound; unknown || ctx.Err() != nil || try >= d.Conf.ConnectionAttempts() {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			err = &control.Error{Phase: control.Refused, Host: d.Name, Text: describeConnect(d.Addr(), err)}
			if unknown {
				err = &noName{err}
			}
			return nil, err
		}
		sleep(ctx, time.Second) // between attempts, as ssh does
	}
}
