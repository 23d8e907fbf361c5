package sshtest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/crypto/ssh"
)

// The methods of RFC 4252 and 4256 that Options.AuthMethods may name.
const (
	methodKey         = "publickey"
	methodPassword    = "password"
	methodInteractive = "keyboard-interactive"
)

var errRefused = errors.New("refused by the test's script")

// config builds what one connection needs from the options it began with.
func (p *Peer) config() *ssh.ServerConfig {
	first := p.step(0)
	c := &ssh.ServerConfig{
		Config:        p.opts.Config,
		ServerVersion: p.opts.Version,
		MaxAuthTries:  p.opts.MaxAuthTries,
		AuthLogCallback: func(_ ssh.ConnMetadata, method string, err error) {
			p.note(Event{Kind: AuthTried, Name: method, OK: err == nil})
		},
		NoClientAuth:                len(p.methods()) == 0,
		PublicKeyCallback:           first.PublicKeyCallback,
		PasswordCallback:            first.PasswordCallback,
		KeyboardInteractiveCallback: first.KeyboardInteractiveCallback,
	}
	if c.ServerVersion == "" {
		c.ServerVersion = "SSH-2.0-sshtest"
	}
	if p.opts.Banner != "" {
		c.BannerCallback = func(ssh.ConnMetadata) string { return p.opts.Banner }
	}
	for _, k := range p.server.hostKeys(p.opts) {
		c.AddHostKey(k)
	}
	return c
}

// methods lists what is configured.
func (p *Peer) methods() []string {
	var m []string
	if len(p.opts.AuthorizedKeys) > 0 {
		m = append(m, methodKey)
	}
	if p.opts.Password != "" {
		m = append(m, methodPassword)
	}
	if len(p.opts.Interactive) > 0 {
		m = append(m, methodInteractive)
	}
	return m
}

// step returns the callbacks of the nth method of AuthMethods, or all of them
// where any one is enough.
func (p *Peer) step(n int) ssh.ServerAuthCallbacks {
	offered := p.methods()
	if len(p.opts.AuthMethods) > 0 {
		offered = p.opts.AuthMethods[n : n+1]
	}
	// pass is the answer to a right credential: admission, or the next step.
	pass := func() (*ssh.Permissions, error) {
		if n+1 < len(p.opts.AuthMethods) {
			return nil, &ssh.PartialSuccessError{Next: p.step(n + 1)}
		}
		return nil, nil
	}
	var c ssh.ServerAuthCallbacks
	if slices.Contains(offered, methodKey) {
		c.PublicKeyCallback = p.publicKey(pass)
	}
	if slices.Contains(offered, methodPassword) {
		c.PasswordCallback = p.password(pass)
	}
	if slices.Contains(offered, methodInteractive) {
		c.KeyboardInteractiveCallback = p.interactive(pass)
	}
	return c
}

type verdict func() (*ssh.Permissions, error)

func (p *Peer) publicKey(pass verdict) func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) {
	return func(m ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		sleep(p.ctx, p.opts.AuthDelay)
		ok := slices.ContainsFunc(p.opts.AuthorizedKeys, func(k ssh.PublicKey) bool {
			return bytes.Equal(k.Marshal(), key.Marshal())
		})
		p.note(Event{Kind: KeyOffered, Name: m.User(), Text: ssh.FingerprintSHA256(key), OK: ok})
		if !ok {
			return nil, errRefused
		}
		return pass()
	}
}

func (p *Peer) password(pass verdict) func(ssh.ConnMetadata, []byte) (*ssh.Permissions, error) {
	return func(_ ssh.ConnMetadata, password []byte) (*ssh.Permissions, error) {
		sleep(p.ctx, p.opts.AuthDelay)
		if string(password) != p.opts.Password {
			return nil, errRefused
		}
		return pass()
	}
}

func (p *Peer) interactive(pass verdict) func(ssh.ConnMetadata, ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
	return func(_ ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
		for _, r := range p.opts.Interactive {
			if err := r.ask(ask); err != nil {
				return nil, err
			}
		}
		sleep(p.ctx, p.opts.AuthDelay)
		return pass()
	}
}

// ask puts one round to the client.
func (r Round) ask(ask ssh.KeyboardInteractiveChallenge) error {
	var texts []string
	var echos []bool
	for _, q := range r.Questions {
		texts, echos = append(texts, q.Text), append(echos, q.Echo)
	}
	answers, err := ask(r.Name, r.Instruction, texts, echos)
	if err != nil {
		return err
	}
	if len(answers) != len(r.Questions) {
		return fmt.Errorf("%d answers to %d questions", len(answers), len(r.Questions))
	}
	for i, q := range r.Questions {
		if answers[i] != q.Answer {
			return errRefused
		}
	}
	return nil
}
