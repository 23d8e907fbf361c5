package master

import (
	"context"
	"fmt"
	"net"
	"time"

	"golang.org/x/crypto/ssh"

	"muxd/alive"
	"muxd/control"
)

const (
	// dialTimeout bounds one connect where ConnectTimeout is not set. The
	// kernel's own limit is over two minutes, which a person takes for a hang.
	dialTimeout = 15 * time.Second
	// handshakeTimeout bounds what comes after it, apart from the time in which
	// a person is asked. sshd itself gives up after LoginGraceTime (120 s).
	handshakeTimeout = 30 * time.Second
	// unlimited is a RekeyThreshold that is never reached. When the client
	// side of x/crypto starts a rekey under load it deadlocks; the server's own
	// rekeys are safe, and OpenSSH's servers rekey at the same limits.
	unlimited = 1 << 62
)

func dialTCP(ctx context.Context, network, addr string) (net.Conn, error) {
	return dialFrom(nil)(ctx, network, addr)
}

// dialFrom returns a dialler that connects from a local address, nil for any.
// Keepalive is set afterwards, by the destination's own values.
func dialFrom(local net.Addr) func(ctx context.Context, network, addr string) (net.Conn, error) {
	d := net.Dialer{LocalAddr: local, KeepAlive: -1}
	return d.DialContext
}

// dialer is how to connect: from BindAddress, or an address of BindInterface,
// where one is set.
func (m *Master) dialer(d *destination) (func(ctx context.Context, network, addr string) (net.Conn, error), error) {
	if host := d.conf.BindAddress(); host != "" {
		a, err := net.ResolveTCPAddr(d.network(), net.JoinHostPort(host, "0"))
		if err != nil {
			return nil, fmt.Errorf("bind address %s: %w", host, describeNet(err))
		}
		return dialFrom(a), nil
	}
	name := d.conf.BindInterface()
	if name == "" {
		return m.cfg.Dial, nil
	}
	ifc, err := net.InterfaceByName(name)
	if err != nil {
		return nil, fmt.Errorf("bind interface %s: %w", name, describeNet(err))
	}
	addrs, _ := ifc.Addrs()
	for _, a := range addrs {
		ip, ok := a.(*net.IPNet)
		if v4 := ok && ip.IP.To4() != nil; ok && !ip.IP.IsLinkLocalUnicast() && (d.network() == "tcp" || v4 == (d.network() == "tcp4")) {
			return dialFrom(&net.TCPAddr{IP: ip.IP}), nil
		}
	}
	return nil, fmt.Errorf("bind interface %s: no address to connect from", name)
}

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
// whoever waits for it. Before is the host key of the last login.
func (m *Master) dial(ctx context.Context, h *host, d *destination, p control.Prompter, before []byte) (*link, error) {
	nc, err := m.reach(ctx, d, p)
	if err != nil {
		return nil, err
	}
	l, err := m.handshake(ctx, h, d, p, nc, before)
	if err != nil {
		nc.Close()
		return nil, err
	}
	return l, nil
}

// reach makes the connection under an SSH connection: through a jump host, by a
// ProxyCommand, or directly.
func (m *Master) reach(ctx context.Context, d *destination, p control.Prompter) (net.Conn, error) {
	if d.via != nil {
		return m.throughHop(ctx, d, p)
	}
	if d.proxy != "" {
		return m.byCommand(d, p)
	}
	return m.connect(ctx, d)
}

func (m *Master) connect(ctx context.Context, d *destination) (net.Conn, error) {
	timeout := d.conf.ConnectTimeout()
	if timeout <= 0 {
		timeout = dialTimeout
	}
	dial, err := m.dialer(d)
	if err != nil {
		return nil, &control.Error{Phase: control.NotDialled, Host: d.name, Text: err.Error()}
	}
	var nc net.Conn
	for try := 1; ; try++ {
		cctx, cancel := context.WithTimeout(ctx, timeout)
		nc, err = dial(cctx, d.network(), d.addr())
		cancel()
		if err == nil || ctx.Err() != nil || try >= d.conf.ConnectionAttempts() {
			break
		}
		sleep(ctx, time.Second) // between attempts, as ssh does
	}
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, &control.Error{Phase: control.Refused, Host: d.name, Text: describeConnect(d.addr(), err)}
	}
	if err := tune(nc, d); err != nil {
		m.cfg.Log.Warn("socket options", "host", d.name, "err", err)
	}
	return nc, nil
}

// handshake runs the SSH handshake and login on nc. ctx ends it by closing nc;
// the deadline does so too, and stands still while a person is asked.
func (m *Master) handshake(ctx context.Context, h *host, d *destination, p control.Prompter, nc net.Conn, before []byte) (*link, error) {
	w := newWire(nc)
	dl := newDeadline(w, d)
	defer dl.stop()
	stop := context.AfterFunc(ctx, func() { w.Close() })
	defer stop()
	a := newAttempt(ctx, m, d, dl.suspend(p), circumstances{peer: nc.RemoteAddr(), before: before, home: m.cfg.Home})
	defer a.close()
	lost := a.login.Lost // nobody is asked for the password of a dead connection
	w.onLost.Store(&lost)
	defer w.onLost.Store(nil)
	cfg, err := a.config()
	if err != nil {
		w.Close()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, a.unprepared(err)
	}
	cc, chans, reqs, err := ssh.NewClientConn(w, d.addr(), cfg)
	if err != nil {
		w.Close()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, a.explain(err, w.Sniffed())
	}
	if !stop() { // ctx ended at this very moment, and closed the connection
		return nil, ctx.Err()
	}
	dl.stop()
	l := &link{id: m.linkID(), conn: cc, wire: w, since: time.Now(), auth: a.used(), hostKey: a.hostKey(),
		base: d.alive, kick: make(chan struct{}, 1), done: make(chan struct{}), doubted: make(chan struct{}),
		configs: map[*lease]alive.Config{}, sessions: map[*session]struct{}{}}
	l.distrusted, l.update = a.check.distrusted(), a.check.keyUpdate(h)
	l.tcp, _ = nc.(*net.TCPConn)
	l.qos[0], l.qos[1] = d.conf.IPQoS()
	l.log = h.log.With("link", l.id)
	l.onState = func(l *link) { go h.post(func() { h.changed(l) }) }
	l.log.Info("logged in", "user", d.user, "addr", d.addr(), "remote", cc.RemoteAddr().String(), "auth", l.auth,
		"server", string(cc.ServerVersion()))
	l.start(chans, reqs)
	return l, nil
}
