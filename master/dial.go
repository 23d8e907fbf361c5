package master

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"muxd/control"
	"muxd/internal/contain"
	"muxd/internal/dest"
	"muxd/internal/firstkex"
	"muxd/internal/reach"
	"muxd/internal/sshlink"
	"muxd/internal/wire"
)

const (
	// dialAgain is when a connect that nothing answers is begun once more beside
	// the first. For as long Linux repeats its first packet every second; later it
	// would be after 2, 4 and 8.
	dialAgain = 4 * time.Second
	// handshakeTimeout bounds what comes after it, apart from the time in which
	// a person is asked. sshd itself gives up after LoginGraceTime (120 s).
	handshakeTimeout = 30 * time.Second
	// unlimited is a RekeyThreshold that is never reached. When the client
	// side of x/crypto starts a rekey under load it deadlocks; the server's own
	// rekeys are safe, and OpenSSH's servers rekey at the same limits.
	unlimited = 1 << 62
)

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
		debugf(p, d, 1, "%v; dialling again without those", err)
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
	debugf(p, d, 1, "connection established: %s", nc.RemoteAddr())
	if err := socketOptions(d).Set(nc); err != nil {
		m.cfg.Log.Warn("socket options", "host", d.Name, "err", err)
	}
	l, err := m.handshake(ctx, h, d, p, nc, before, leave)
	if err != nil {
		nc.Close()
		return nil, err
	}
	return l, nil
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
		Note: func(format string, args ...any) { debugf(p, d, 1, format, args...) }}
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

// handshake runs the SSH handshake and login on nc. ctx ends it by closing nc;
// the deadline does so too, and stands still while a person is asked; if that
// takes long, leave gives the slot back.
func (m *Master) handshake(ctx context.Context, h *host, d *dest.Destination, p control.Prompter, nc net.Conn, before []byte, leave func()) (*link, error) {
	w := wire.New(nc)
	dl := newDeadline(w, d)
	dl.lend = leave
	defer dl.stop()
	stop := context.AfterFunc(ctx, func() { w.Close() })
	defer stop()
	var a *attempt
	if err := contain.Do(m.cfg.Log.Error, "reading keys and known hosts", func() error {
		a = newAttempt(ctx, m, d, dl.suspend(p), nc.RemoteAddr(), before)
		return nil
	}); err != nil {
		w.Close()
		return nil, &needsPerson{err}
	}
	defer a.close()
	w.OnLost(a.login.Lost) // nobody is asked for the password of a dead connection
	defer w.OnLost(nil)
	lax := h.lax.Load()
	cfg, err := a.config(lax)
	w.Observe(a.first)
	if err != nil {
		w.Close()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, a.unprepared(err)
	}
	cc, chans, reqs, err := ssh.NewClientConn(w, d.Addr(), cfg)
	if err != nil {
		w.Close()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if errors.Is(err, firstkex.ErrNotStrict) {
			h.lax.Store(true)
			return nil, err
		}
		return nil, a.explain(unoffered(err, lax), w.Sniffed(), w.Received() > 0)
	}
	if strict, _ := a.first.Strict(); strict {
		h.lax.Store(false)
	}
	if !stop() { // ctx ended at this very moment, and closed the connection
		return nil, ctx.Err()
	}
	dl.stop()
	l := &link{host: h}
	c := sshlink.Config{ID: m.linkID(), Owner: l, Conn: cc, Wire: w, Auth: a.used(), HostKey: a.hostKey(), Proof: a.proof(cc.SessionID()),
		Distrusted: a.check.Distrusted(), Update: h.keyUpdate(a.check), Alive: d.Alive,
		Gate: &m.gate, Forwards: h.forwards, Limit: &h.limit, NetworkAt: &m.networkAt, DialAgent: m.dialAgent, DialDisplay: m.dialDisplay}
	c.QoS[0], c.QoS[1] = d.Conf.IPQoS()
	if d.Via == nil && d.Proxy == "" {
		c.Warm = sshlink.Warm{Learned: m.cfg.Learned, Key: h.key, Network: m.network()}
	}
	c.Log = h.log.With("link", c.ID)
	l.Link, l.local = sshlink.New(c), wire.LocalAddr(nc)
	l.onState = func() { go h.post(func() { h.changed(l) }) }
	l.onEvent = func(e control.Event) {
		e.Host, e.User, e.Addr = d.Name, d.User, d.Addr()
		h.m.events.tell(e, h.key)
	}
	l.Log.Info("logged in", "user", d.User, "addr", d.Addr(), "remote", cc.RemoteAddr().String(), "auth", l.Auth,
		"server", string(cc.ServerVersion()))
	tellLogin(p, d, l)
	l.Start(chans, reqs)
	return l, nil
}
