package sshauth

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"golang.org/x/crypto/ssh"
)

// openToken has the private agent load the keys of a smart card (PKCS#11) and
// returns them as candidates: those that a certificate or an IdentityFile
// names first, and no others under IdentitiesOnly. It comes after the agents'
// keys, so that a PIN is asked for only if none of them will do.
func (l *Login) openToken(provider string) []*candidate {
	h, err := l.loadToken(provider)
	if err != nil {
		if errors.Is(err, ErrNobody) {
			l.nobodyFor("PKCS#11 " + provider + " needs a PIN")
		} else if l.failure() == nil {
			l.skip("PKCS#11 %s: %v", provider, err)
		}
		return nil
	}
	l.keys.token = h
	var certs, named, others []*candidate
	for _, k := range h.keys {
		c := &candidate{pub: k, token: provider}
		for _, cert := range l.keys.certs {
			if sameKey(cert.Key, k) {
				certs = append(certs, &candidate{pub: cert, token: provider})
			}
		}
		if slices.ContainsFunc(l.keys.files, func(f *keyFile) bool { return f.pub != nil && sameKey(plainKey(f.pub), k) }) {
			named = append(named, c)
		} else if !l.cfg.IdentitiesOnly {
			others = append(others, c)
		}
	}
	return slices.Concat(certs, named, others)
}

// loadToken asks for the PIN once: a card locks itself after a few wrong ones.
func (l *Login) loadToken(provider string) (*holding, error) {
	p := l.cfg.Private
	if !filepath.IsAbs(provider) { // the agent would not look for it in the usual places
		return nil, errors.New("name the library by its full path")
	}
	id, err := identify(provider)
	if err != nil {
		return nil, err
	}
	if !l.canAsk() && !p.running() {
		return nil, ErrNobody
	}
	leave, err := l.enter(p.card)
	if err != nil {
		return nil, err
	}
	defer leave()
	a, proc, err := p.dial(l.ctx)
	if err != nil {
		return nil, err
	}
	defer a.close()
	if h := p.holds(id); h != nil {
		return h, nil
	}
	if !l.canAsk() {
		return nil, ErrNobody
	}
	before, err := l.heldBy(a, proc)
	if err != nil {
		return nil, err
	}
	r, err := p.relay()
	if err != nil {
		return nil, err
	}
	defer r.close()
	q := questioner{l: l, q: Question{Kind: Passphrase, Text: fmt.Sprintf("Enter PIN for '%s': ", provider)},
		what: "PIN", left: min(1, l.cfg.NumberOfPasswordPrompts)}
	args := append(append([]string{"-q"}, lifetime(l.cfg.Remember)...), "-s", provider)
	err = q.answering(r, func() error { return p.sshAdd(l.ctx, proc, r, args...) })
	var refused *addError
	if errors.As(err, &refused) {
		err = fmt.Errorf("the PIN was wrong, or the library is of no use: %w", err)
	}
	if err != nil {
		return nil, err
	}
	after, err := a.held()
	if err != nil {
		return nil, err
	}
	h := newHolding(id, newKeys(before, after), l.cfg.Remember)
	h.token = true
	return p.hold(h), nil
}

// newKeys are those of after that are not in before.
func newKeys(before, after []heldKey) []ssh.PublicKey {
	var keys []ssh.PublicKey
	for _, k := range after {
		if !slices.ContainsFunc(before, func(b heldKey) bool { return sameKey(b.pub, k.pub) }) {
			keys = append(keys, k.pub)
		}
	}
	return keys
}

// releaseHeld gives back what the private agent has for this login.
func (l *Login) releaseHeld() {
	if l.keys.token != nil {
		l.cfg.Private.release(l.keys.token)
		l.keys.token = nil
	}
	for _, f := range l.keys.files {
		if f.held != nil {
			l.cfg.Private.release(f.held)
			f.held = nil
		}
	}
}
