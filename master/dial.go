package master

import (
	"context"
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
	// Keepalive is set afterwards, by the destination's own values.
	d := net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: false}, KeepAlive: -1}
	return d.DialContext(ctx, network, addr)
}

// dial makes a connection and logs in: one attempt, with the prompts of
// whoever waits for it.
func (m *Master) dial(ctx context.Context, h *host, d *destination, p control.Prompter) (*link, error) {
	nc, err := m.connect(ctx, d)
	if err != nil {
		return nil, err
	}
	l, err := m.handshake(ctx, h, d, p, nc)
	if err != nil {
		nc.Close()
		return nil, err
	}
	return l, nil
}

func (m *Master) connect(ctx context.Context, d *destination) (net.Conn, error) {
	timeout := d.conf.ConnectTimeout()
	if timeout <= 0 {
		timeout = dialTimeout
	}
	cctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	nc, err := m.cfg.Dial(cctx, d.network(), d.addr())
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
func (m *Master) handshake(ctx context.Context, h *host, d *destination, p control.Prompter, nc net.Conn) (*link, error) {
	w := newWire(nc)
	dl := newDeadline(w, d)
	defer dl.stop()
	stop := context.AfterFunc(ctx, func() { w.Close() })
	defer stop()
	a := newAttempt(ctx, m, d, dl.suspend(p))
	defer a.close()
	cc, chans, reqs, err := ssh.NewClientConn(w, d.addr(), a.config())
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
	l.log = h.log.With("link", l.id)
	l.onState = func(l *link) { go h.post(func() { h.changed(l) }) }
	l.log.Info("logged in", "user", d.user, "addr", d.addr(), "remote", cc.RemoteAddr().String(), "auth", l.auth,
		"server", string(cc.ServerVersion()))
	l.start(chans, reqs)
	return l, nil
}
