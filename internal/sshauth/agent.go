package sshauth

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"muxd/internal/firstkex"
)

// agentListTime bounds connecting and listing. Agents answer in a millisecond;
// one that wakes a smart card needs some seconds. Tests shorten it.
var agentListTime = 15 * time.Second

const (
	// agentSignTime bounds a signature that a person may have to touch a key,
	// unlock a card or click a button for.
	agentSignTime = 2 * time.Minute
	// agentQuietTime bounds one where nobody is there to do so: it is well over
	// what a smart card computes.
	agentQuietTime = 10 * time.Second
)

// agentConn is a connection to the user's agent, made for one login, so that
// an agent that was restarted is found again by the next.
type agentConn struct {
	conn   net.Conn
	client agent.ExtendedAgent
	stop   func() bool
}

// dialAgent connects to a socket.
func dialAgent(ctx context.Context, path string) (*agentConn, error) {
	return dialAgentBy(ctx, dialSocket, path)
}

// dialAgentBy connects by dial. The end of ctx closes the connection, whatever
// the agent is at.
func dialAgentBy(ctx context.Context, dial func(context.Context, string) (net.Conn, error), path string) (*agentConn, error) {
	conn, err := dial(ctx, path)
	if err != nil {
		return nil, err
	}
	return &agentConn{conn: conn, client: agent.NewClient(conn), stop: context.AfterFunc(ctx, func() { conn.Close() })}, nil
}

func dialSocket(ctx context.Context, path string) (net.Conn, error) {
	d := net.Dialer{Timeout: agentListTime}
	return d.DialContext(ctx, "unix", path)
}

func (a *agentConn) close() {
	a.stop()
	a.conn.Close()
}

// within gives f, one request, a limit. The deadline is taken off afterwards,
// as the client reads ahead and would die of it between two requests.
func (a *agentConn) within(limit time.Duration, f func() error) error {
	if err := a.conn.SetDeadline(time.Now().Add(limit)); err != nil {
		return err
	}
	if err := f(); err != nil {
		return err
	}
	return a.conn.SetDeadline(time.Time{})
}

// heldKey is a key that an agent holds.
type heldKey struct {
	pub     ssh.PublicKey
	comment string
}

// held returns the agent's keys, without those of kinds that x/crypto does not
// know.
func (a *agentConn) held() ([]heldKey, error) {
	var held []*agent.Key
	err := a.within(agentListTime, func() (err error) {
		held, err = a.client.List()
		return err
	})
	var keys []heldKey
	for _, k := range held {
		if pub, err := ssh.ParsePublicKey(k.Blob); err == nil {
			keys = append(keys, heldKey{pub, k.Comment})
		}
	}
	return keys, err
}

func (a *agentConn) list() ([]ssh.PublicKey, error) {
	held, err := a.held()
	var keys []ssh.PublicKey
	for _, k := range held {
		keys = append(keys, k.pub)
	}
	return keys, err
}

// sign has the agent sign data with key, by the algorithm asked for and no
// other: old agents ignore the flags and sign by SHA-1.
func (a *agentConn) sign(key ssh.PublicKey, data []byte, algorithm string, limit time.Duration) (*ssh.Signature, error) {
	var flags agent.SignatureFlags
	switch algorithm {
	case ssh.KeyAlgoRSASHA256:
		flags = agent.SignatureFlagRsaSha256
	case ssh.KeyAlgoRSASHA512:
		flags = agent.SignatureFlagRsaSha512
	}
	var sig *ssh.Signature
	err := a.within(limit, func() (err error) {
		sig, err = a.client.SignWithFlags(key, data, flags)
		return err
	})
	if err != nil {
		return nil, err
	}
	if sig.Format != algorithm {
		return nil, fmt.Errorf("the agent signed by %q instead of %s", sig.Format, algorithm)
	}
	return sig, nil
}

// openAgent dials and lists once a login; a failure costs the agent's keys only.
func (l *Login) openAgent() []ssh.PublicKey {
	if l.dialed || l.cfg.AgentSocket == "" {
		return nil
	}
	l.dialed = true
	dial := l.cfg.DialAgent
	if dial == nil {
		dial = dialSocket
	}
	a, err := dialAgentBy(l.ctx, dial, l.cfg.AgentSocket)
	if err != nil {
		l.skip("the agent cannot be reached: %v", err)
		return nil
	}
	l.bind(a)
	keys, err := a.list()
	if err != nil {
		a.close()
		l.skip("the agent at %s does not list its keys: %s", l.cfg.AgentSocket, strings.TrimPrefix(err.Error(), "agent: "))
		return nil
	}
	l.agent = a
	return keys
}

// bind tells the agent which server it is to sign for, before it is asked which
// keys it has, as ssh does (authfd.c, ssh_agent_bind_hostkey). An agent that does
// not know the question, or does not believe the answer, has then no use for keys
// that it holds for some servers alone; that is its own business. One that does
// not answer is found out by what it is asked next.
func (l *Login) bind(a *agentConn) {
	if l.cfg.Proof == nil {
		return
	}
	p := l.cfg.Proof(l.session)
	if p == nil {
		return
	}
	err := a.within(agentListTime, func() error {
		_, err := a.client.Extension(firstkex.Extension, p.Contents(false))
		if errors.Is(err, agent.ErrExtensionUnsupported) {
			return nil
		}
		return err
	})
	if err != nil {
		l.log.Debug("the agent is not bound to the host key", "host", l.cfg.Host, "err", err)
	}
}

// signByAgent signs for a candidate with key, its own or that in its
// certificate. After a failure to answer in time no other key of this agent
// is tried, as each would take as long.
func (l *Login) signByAgent(key ssh.PublicKey, data []byte, algorithm string) (*ssh.Signature, error) {
	sig, late, err := l.signWith(l.agent, key, data, algorithm, func(sign func() error) error { return sign() })
	if late && l.ctx.Err() == nil {
		l.agent.close()
		l.agent = nil
	}
	return sig, err
}

// signWith has an agent sign, in a function that run calls, and reports whether
// it failed for being late.
func (l *Login) signWith(a *agentConn, key ssh.PublicKey, data []byte, algorithm string, run func(func() error) error) (sig *ssh.Signature, late bool, err error) {
	limit := agentSignTime
	if l.cfg.Background {
		limit = agentQuietTime
	}
	if isSK(key) {
		l.notice("Confirm user presence for key " + describe(key))
		defer l.waiting()()
	}
	began := time.Now()
	err = run(func() (err error) {
		sig, err = a.sign(key, data, algorithm, limit)
		return err
	})
	took := time.Since(began)
	if l.cfg.Signed != nil {
		l.cfg.Signed(key, took)
	}
	switch {
	case err == nil, l.ctx.Err() != nil:
	case errors.Is(err, ErrNobody):
		l.nobodyFor("key " + describe(key) + " needs a PIN")
	default:
		l.skip("the agent does not sign with key %s: %s", describe(key), strings.TrimPrefix(err.Error(), "agent: "))
	}
	return sig, err != nil && took >= limit, err
}

// waiting says that a person is waited for, until the function that it returns
// is called.
func (l *Login) waiting() (done func()) {
	if l.cfg.Waiting == nil {
		return func() {}
	}
	return l.cfg.Waiting()
}
