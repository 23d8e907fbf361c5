package sshauth

import (
	"errors"
	"fmt"

	"golang.org/x/crypto/ssh"
)

// foreignError is the fault of a file that ssh-add may be able to read.
type foreignError struct{ what, path string }

func (e *foreignError) Error() string { return e.what + ": run ssh-add " + e.path }

// foreign reports whether the private half of f is for the private agent.
func (l *Login) foreign(f *keyFile) bool {
	var e *foreignError
	return l.cfg.Private != nil && f.failed == nil && errors.As(f.fault, &e)
}

// load has the private agent read f, once a login, asking for its passphrase.
// A failure is final for the login; the reason is noted.
func (l *Login) load(f *keyFile) error {
	if f.held != nil || f.lent {
		return nil
	}
	err := l.loadFile(f)
	if err == nil {
		return nil
	}
	f.failed = err
	var missing *missingError
	var foreign *foreignError
	switch {
	case errors.Is(err, ErrNobody):
		l.nobodyFor("key " + f.path + " needs a passphrase")
	case errors.As(err, &missing) && errors.As(f.fault, &foreign):
		l.skip("key %s: %s, and %v", f.path, foreign.what, err)
	case l.failure() == nil:
		l.skip("key %s: %v", f.path, err)
	}
	return err
}

func (l *Login) loadFile(f *keyFile) error {
	p := l.cfg.Private
	id, err := identify(f.path)
	if err != nil {
		return err
	}
	if f.encrypted && !l.canAsk() && !p.running() { // not worth a process
		return ErrNobody
	}
	a, proc, err := p.dial(l.ctx)
	if err != nil {
		return err
	}
	defer a.close()
	if l.cfg.Remember > 0 {
		if f.held = p.holds(id); f.held != nil {
			return f.is(f.held.keys[0])
		}
	}
	if f.encrypted && !l.canAsk() {
		return ErrNobody
	}
	if l.mayAdd(f) {
		return l.lend(f)
	}
	defer p.load(f.path)()
	before, err := l.heldBy(a, proc)
	if err != nil {
		return err
	}
	remember := p.remember(id, l.cfg.Remember)
	if err := l.sshAdd(f, proc.socket, append(lifetime(remember), l.skArgs(f)...)); err != nil {
		return err
	}
	after, err := a.held()
	if err != nil {
		return err
	}
	pub := added(before, after, f.pub, f.path)
	if pub == nil {
		drop(l.ctx, proc.socket, newKeys(before, after))
		return errors.New("its private half does not match its public one")
	}
	f.held = p.hold(newHolding(id, []ssh.PublicKey{pub}, remember))
	return f.is(pub)
}

// heldBy lists the private agent's keys. An agent that does not even do that
// is of no use to anybody.
func (l *Login) heldBy(a *agentConn, proc *agentProcess) ([]heldKey, error) {
	keys, err := a.held()
	if err != nil && l.ctx.Err() == nil {
		l.cfg.Private.discard(proc, err)
		err = fmt.Errorf("the private agent does not answer: %w", err)
	}
	return keys, err
}

// sshAdd runs ssh-add on the file: without its certificate, which is offered
// here, and in ssh's own words.
func (l *Login) sshAdd(f *keyFile, socket string, options []string) error {
	r, err := l.cfg.Private.relay()
	if err != nil {
		return err
	}
	defer r.close()
	q := questioner{l: l, q: Question{Kind: Passphrase, KeyFile: f.path, Text: fmt.Sprintf("Enter passphrase for key '%s': ", f.path)},
		what: "passphrase", left: l.cfg.NumberOfPasswordPrompts}
	args := append(append([]string{"-q", "-k"}, options...), "--", f.path)
	return q.answering(r, func() error { return l.cfg.Private.sshAddTo(l.ctx, socket, r, args...) })
}

// skArgs names the library that reaches security keys, if it is not ssh-add's
// own.
func (l *Login) skArgs(f *keyFile) []string {
	if sk := l.cfg.SecurityKeyProvider; sk != "" && sk != "internal" && f.pub != nil && isSK(f.pub) {
		return []string{"-S", sk}
	}
	return nil
}

// is settles which key a file holds.
func (f *keyFile) is(pub ssh.PublicKey) error {
	if f.pub != nil && !sameKey(plainKey(f.pub), pub) {
		return errors.New("its private half does not match its public one")
	}
	if f.pub == nil {
		f.pub = pub
	}
	return nil
}

// added finds the key that ssh-add added: the one that was expected, or else
// the new one, or the one whose comment is the file's name, which is what
// formats without comments get.
func added(before, after []heldKey, want ssh.PublicKey, path string) ssh.PublicKey {
	was := map[string]bool{}
	for _, k := range before {
		was[blob(k.pub)] = true
	}
	var found ssh.PublicKey
	for _, k := range after {
		switch {
		case want != nil:
			if sameKey(k.pub, plainKey(want)) {
				return k.pub
			}
		case k.comment == path, found == nil && !was[blob(k.pub)]:
			found = k.pub
		}
	}
	return found
}

// signForeign signs with the key in f, of which x/crypto knows the public half
// at most.
func (l *Login) signForeign(f *keyFile, data []byte, algorithm string) (*ssh.Signature, error) {
	if err := l.load(f); err != nil {
		return nil, err
	}
	if f.lent {
		return l.signByAgent(plainKey(f.pub), data, algorithm)
	}
	return l.signPrivate(plainKey(f.pub), data, algorithm)
}

// signPrivate has the private agent sign, and asks what it wants to know: a
// security key may have a PIN.
func (l *Login) signPrivate(key ssh.PublicKey, data []byte, algorithm string) (*ssh.Signature, error) {
	p := l.cfg.Private
	leave, err := l.enter(p.turn)
	if err != nil {
		return nil, err
	}
	defer leave()
	a, proc, err := p.dial(l.ctx)
	if err != nil {
		l.skip("the private agent does not sign with key %s: %v", describe(key), err)
		return nil, err
	}
	defer a.close()
	q := questioner{l: l, q: Question{Kind: Passphrase}, what: "PIN", left: l.cfg.NumberOfPasswordPrompts}
	sig, _, err := l.signWith(a, key, data, algorithm, func(sign func() error) error { return q.answering(proc.relay, sign) })
	return sig, err
}
