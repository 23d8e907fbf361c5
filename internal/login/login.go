package login

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"

	"muxd/control"
	"muxd/internal/contain"
	"muxd/internal/dest"
	"muxd/internal/firstkex"
	"muxd/internal/hostkey"
	"muxd/internal/sshauth"
	"muxd/internal/stuck"
	"muxd/internal/wire"
)

// Timeout bounds a handshake, apart from the time in which a person is asked.
// sshd itself gives up after LoginGraceTime (120 s).
const Timeout = 30 * time.Second

// unlimited is a RekeyThreshold that is never reached. When the client
// side of x/crypto starts a rekey under load it deadlocks; the server's own
// rekeys are safe, and OpenSSH's servers rekey at the same limits.
const unlimited = 1 << 62

// Config is what a login needs.
type Config struct {
	Dest     *dest.Destination
	Log      *slog.Logger
	Prompter control.Prompter // asks whoever waits for the login
	// Background says that nobody does.
	Background bool
	Before     []byte // the host key of the last login, nil for a first one
	Home       string
	// Lax is shared by the logins to a host: its server has no strict key exchange,
	// and is not offered what needs one.
	Lax *atomic.Bool
	// Leave gives the login's slot back where it takes long, because a person is
	// asked. It may be called more than once.
	Leave        func()
	Touches      Touches
	DialAgent    func(ctx context.Context, path string) (net.Conn, error) // nil is a Unix socket
	Keyring      *sshauth.Keyring
	PrivateAgent *sshauth.PrivateAgent // nil is none
}

// Login is a connection that is logged in.
type Login struct {
	Conn     ssh.Conn
	Channels <-chan ssh.NewChannel
	Requests <-chan *ssh.Request
	Wire     *wire.Conn // under Conn

	Auth       string          // by which it is logged in
	HostKey    []byte          // what the server presented, without a certificate, in wire form
	Proof      *firstkex.Proof // of that key; nil: not seen
	Distrusted bool            // the host key is not the host's, and checking is off
	Update     *hostkey.Update // nil: nothing may be learned of further host keys
}

// Do runs the SSH handshake and login on nc, which it closes where they fail. ctx
// ends it by closing nc; the deadline does so too, and stands still while a person
// is asked. The error firstkex.ErrNotStrict asks for another connection, which is
// made another offer.
func Do(ctx context.Context, nc net.Conn, c Config) (*Login, error) {
	d := c.Dest
	w := wire.New(nc)
	dl := newDeadline(w, d, c.Leave)
	defer dl.stop()
	stop := context.AfterFunc(ctx, func() { w.Close() })
	defer stop()
	var a *attempt
	if err := contain.Do(c.Log.Error, "reading keys and known hosts", func() error {
		a = newAttempt(ctx, c, dl, nc.RemoteAddr())
		return nil
	}); err != nil {
		w.Close()
		return nil, &NeedsPerson{err}
	}
	defer a.login.Close()
	defer func() { a.calls.a = nil }()
	w.OnLost(a.login.Lost) // nobody is asked for the password of a dead connection
	defer w.OnLost(nil)
	lax := c.Lax.Load()
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
		if a.calls.library != nil {
			go stuck.Reader(a.calls.library)
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if errors.Is(err, firstkex.ErrNotStrict) {
			c.Lax.Store(true)
			return nil, err
		}
		return nil, a.explain(unoffered(err, lax), w.Sniffed(), w.Received() > 0)
	}
	if strict, _ := a.first.Strict(); strict {
		c.Lax.Store(false)
	}
	if !stop() { // ctx ended at this very moment, and closes the connection
		w.Close()
		abandon(cc, chans, reqs)
		return nil, ctx.Err()
	}
	a.tell(cc)
	return &Login{Conn: cc, Channels: chans, Requests: reqs, Wire: w, Auth: a.login.Used(), HostKey: a.check.Key(), Proof: a.proof(cc.SessionID()),
		Distrusted: a.check.Distrusted(), Update: a.check.Updates()}, nil
}

// abandon leaves a closed connection to nobody, for whom a server may have sent
// more than the library holds.
func abandon(cc ssh.Conn, chans <-chan ssh.NewChannel, reqs <-chan *ssh.Request) {
	go ssh.DiscardRequests(reqs)
	go func() {
		for range chans { // what is closed needs no refusal
		}
	}()
	go stuck.Reader(cc)
}

// tell says what the login came to.
func (a *attempt) tell(cc ssh.Conn) {
	d := a.Dest
	d.Debugf(a.p, 1, "remote software version %s", cc.ServerVersion())
	if c, ok := cc.(ssh.AlgorithmsConnMetadata); ok {
		n := c.Algorithms()
		d.Debugf(a.p, 1, "kex %s, host key algorithm %s, ciphers %s in, %s out", n.KeyExchange, n.HostKey, n.Read.Cipher, n.Write.Cipher)
	}
	d.Debugf(a.p, 1, "authenticated to %s as %s by %s", d.Addr(), d.User, a.login.Used())
}
