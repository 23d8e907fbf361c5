package sshauth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

// Login is one attempt to log in, over one connection. All methods but Lost
// belong to the goroutine that runs the handshake, in which x/crypto calls
// back too; Lost may be called by any.
//
//	none ──► next ──► offer, ask ──► partial success ──► next …
//	           │          └── refused ──► next …
//	           └── nothing left, lost, interrupted ──► error
type Login struct {
	cfg    Config
	log    *slog.Logger
	ctx    context.Context
	cancel context.CancelCauseFunc

	began   bool
	session []byte   // its identifier
	allowed []string // what the server said it would take, last
	passed  []string // the attempts that were partial successes
	attempt string   // the attempt under way

	keys   keys
	agent  *agentConn // nil: none, or it failed
	dialed bool

	passwords, keyboards tries

	fatal   error    // what a person or a fault said; ends the login
	reasons []string // why ways were left out, for the final error
	nobody  bool     // one of them was left out for want of a person
}

// tries counts those of a method since the last partial success.
type tries struct {
	n    int
	over bool // no use in another one
}

// errClosed ends what still waits when Close is called.
var errClosed = errors.New("the login was closed")

// New begins a login. When ctx ends, a waiting question is withdrawn and
// nothing more is tried. No file is read and no agent is asked before the
// server wants a key.
func New(ctx context.Context, cfg Config) *Login {
	l := &Login{cfg: cfg, log: cfg.Log}
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	l.ctx, l.cancel = context.WithCancelCause(ctx)
	return l
}

// Callback is for ssh.ClientConfig.AuthCallback, whose Auth stays empty.
func (l *Login) Callback() ssh.ClientAuthCallback { return l.next }

// Used says how the login succeeded: "publickey SHA256:… (agent)", "password",
// or several of them, joined by a comma. It means nothing before that.
func (l *Login) Used() string {
	if !l.began {
		return "none"
	}
	return strings.Join(append(slices.Clone(l.passed), l.attempt), ", ")
}

// Lost says that the connection under the login is gone. x/crypto hides that
// from its callback, so without it a person would be asked for the password of
// a dead connection: whoever reads the connection must call Lost before
// it hands the error on.
func (l *Login) Lost(err error) { l.cancel(&lostError{err}) }

// Close gives the agent's connection and the decrypted keys back. It must not
// be called before the handshake is over.
func (l *Login) Close() {
	l.cancel(errClosed)
	l.keys.forget()
	l.releaseHeld()
	if l.agent != nil {
		l.agent.close()
		l.agent = nil
	}
}

func (l *Login) who() string { return l.cfg.User + "@" + l.cfg.Host }

// next chooses the attempt that follows what c tells.
func (l *Login) next(c *ssh.ClientAuthContext) (ssh.AuthMethod, error) {
	l.began = true
	l.allowed = c.AllowedMethods
	if c.Metadata != nil {
		l.session = c.Metadata.SessionID()
	}
	l.log.Debug("authentications that can continue", "host", l.cfg.Host, "methods", strings.Join(c.AllowedMethods, ","))
	l.settle(len(c.PartialSuccessMethods) > len(l.passed))
	if err := l.failure(); err != nil {
		return nil, err
	}
	order := l.cfg.Preferred
	if order == nil {
		order = preferred
	}
	for _, name := range order {
		if !slices.Contains(c.AllowedMethods, name) {
			continue
		}
		m := l.method(name)
		if err := l.failure(); err != nil {
			return nil, err
		}
		if m != nil {
			return m, nil
		}
	}
	return nil, l.denied()
}

// settle takes note of how the attempt under way ended.
func (l *Login) settle(passed bool) {
	if passed {
		l.log.Debug("partial success", "host", l.cfg.Host, "method", l.attempt)
		l.passed = append(l.passed, l.attempt)
		l.passwords, l.keyboards = tries{}, tries{}
	}
	l.keys.settle(passed)
	l.attempt = ""
}

// method returns the next attempt by a method, or nil if there is none.
func (l *Login) method(name string) ssh.AuthMethod {
	switch {
	case l.failure() != nil:
		return nil
	case name == methodKey && l.cfg.Pubkey:
		return l.publickey()
	case name == methodKeyboard && l.cfg.Keyboard:
		return l.keyboard()
	case name == methodPassword && l.cfg.Password:
		return l.password()
	}
	return nil
}

// failure is what ended the login from our side, if anything did.
func (l *Login) failure() error {
	if l.fatal != nil {
		return l.fatal
	}
	return context.Cause(l.ctx)
}

// skip remembers why a way was left out.
func (l *Login) skip(format string, args ...any) {
	r := fmt.Sprintf(format, args...)
	l.log.Debug("left out", "host", l.cfg.Host, "why", r)
	if !slices.Contains(l.reasons, r) {
		l.reasons = append(l.reasons, r)
	}
}
