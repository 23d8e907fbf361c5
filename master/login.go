package master

import (
	"context"
	"errors"
	"os"

	"golang.org/x/crypto/ssh"

	"muxd/control"
)

// attempt is one login: the SSH library's configuration for it, and what was
// learned on the way. It logs in with key files that need no passphrase.
type attempt struct {
	d     *destination
	p     control.Prompter
	check *hostKeyCheck
	auth  []ssh.AuthMethod
}

func newAttempt(ctx context.Context, m *Master, d *destination, p control.Prompter) *attempt {
	a := &attempt{d: d, p: p}
	check, notes := newHostKeyCheck(ctx, d, p)
	a.check = check
	for _, n := range notes {
		m.cfg.Log.Warn("known_hosts", "note", n.String())
	}
	files, _ := d.conf.IdentityFiles()
	for _, f := range files {
		b, err := os.ReadFile(f.Path)
		if err != nil {
			continue
		}
		if s, err := ssh.ParsePrivateKey(b); err == nil {
			a.auth = append(a.auth, ssh.PublicKeys(s))
		}
	}
	return a
}

// config is the SSH library's configuration for this login.
func (a *attempt) config() *ssh.ClientConfig {
	cfg := &ssh.ClientConfig{User: a.d.user, HostKeyCallback: a.check.callback, Auth: a.auth,
		HostKeyAlgorithms: a.check.store.Algorithms(a.check.query, hostKeyAlgorithms)}
	cfg.RekeyThreshold = unlimited
	cfg.KeyExchanges, cfg.Ciphers, cfg.MACs = kexAlgorithms, ciphers, macs
	return cfg
}

// explain turns a failed handshake into the one line a person reads, and marks
// what only a person can mend.
func (a *attempt) explain(err error, sniffed string) error {
	var p *needsPerson
	if errors.As(err, &p) {
		return a.wrap(p.err, true)
	}
	return a.wrap(describeHandshake(err, sniffed), false)
}

// wrap gives the line its host and phase. The mark for a person stays visible
// to stateAfter.
func (a *attempt) wrap(err error, person bool) error {
	e := &control.Error{Phase: control.Refused, Host: a.d.name, Text: err.Error()}
	if person {
		return &needsPerson{e}
	}
	return e
}

func (a *attempt) used() string    { return "publickey" }
func (a *attempt) hostKey() []byte { return a.check.key() }
func (a *attempt) close()          {}
