package master

import (
	"bytes"
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"

	"muxd/control"
	"muxd/internal/knownhosts"
)

// hostKeyCheck decides whether a server is the one the person means, by
// known_hosts and StrictHostKeyChecking. The SSH library calls it once in the
// handshake and again at every rekey the server starts.
type hostKeyCheck struct {
	ctx   context.Context
	d     *destination
	p     control.Prompter
	store *knownhosts.Store
	query knownhosts.Query

	mu       sync.Mutex
	accepted []byte // guarded by mu; the key of the handshake, in wire form
	distrust bool   // guarded by mu; the key changed, and checking is off
}

func newHostKeyCheck(ctx context.Context, d *destination, p control.Prompter) (*hostKeyCheck, []knownhosts.Note) {
	c := &hostKeyCheck{ctx: ctx, d: d, p: p, query: knownhosts.Query{Host: d.host, Port: d.port}}
	if alias := d.conf.HostKeyAlias(); alias != "" {
		c.query = knownhosts.Query{Host: alias} // looked up without a port
	}
	if _, set := d.conf.Get("casignaturealgorithms"); set {
		// Nothing left of the list means that no certificate is accepted.
		c.query.CASignatureAlgorithms, _ = d.conf.CASignatureAlgorithms(caSignatureAlgorithms, nil)
		if c.query.CASignatureAlgorithms == nil {
			c.query.CASignatureAlgorithms = []string{}
		}
	}
	var notes []knownhosts.Note
	c.store, notes = knownhosts.Load(d.conf.UserKnownHostsFiles(), d.conf.GlobalKnownHostsFiles())
	return c, notes
}

// key returns the accepted key in wire form.
func (c *hostKeyCheck) key() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.accepted
}

// distrusted reports a connection that goes on only because checking is off:
// no password may be typed into it.
func (c *hostKeyCheck) distrusted() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.distrust
}

// callback is an ssh.HostKeyCallback.
func (c *hostKeyCheck) callback(_ string, _ net.Addr, key ssh.PublicKey) error {
	wire := key.Marshal()
	if first := c.key(); first != nil {
		// A rekey: nobody is asked then, and nothing but the same key will do.
		if !bytes.Equal(first, wire) {
			return errors.New("the host key changed within the connection")
		}
		return nil
	}
	if err := c.decide(key); err != nil {
		return &needsPerson{err}
	}
	c.mu.Lock()
	c.accepted = wire
	c.mu.Unlock()
	return nil
}

func (c *hostKeyCheck) decide(key ssh.PublicKey) error {
	if n := rsaBits(key); n > 0 && n < c.d.conf.RequiredRSASize() {
		return fmt.Errorf("host key verification failed: the RSA key of %d bits is shorter than RequiredRSASize %d", n, c.d.conf.RequiredRSASize())
	}
	r := c.store.Check(c.query, key)
	strict := c.d.conf.StrictHostKeyChecking()
	switch r.Status {
	case knownhosts.Known:
		return nil
	case knownhosts.Revoked:
		return fmt.Errorf("host key verification failed: %s is marked as revoked at %s:%d", describeKey(key), r.File, r.Line)
	case knownhosts.Changed:
		return c.changed(r, key, strict)
	}
	switch strict {
	case "yes":
		return fmt.Errorf("host key verification failed: no %s key is known for %s and StrictHostKeyChecking is yes", keyKind(key), c.display())
	case "ask":
		if err := c.ask(key); err != nil {
			return err
		}
	}
	return c.add(key)
}

// changed is a key other than the one known. Only a person may decide that it
// is right, by editing the file.
func (c *hostKeyCheck) changed(r knownhosts.Result, key ssh.PublicKey, strict string) error {
	known := r.Other
	if r.Want != nil {
		known = []knownhosts.Entry{*r.Want}
	}
	text := "the host key has changed:"
	for _, e := range known {
		text += fmt.Sprintf(" %s:%d lists %s,", e.File, e.Line, describeKey(e.Key))
	}
	text += " the server presents " + describeKey(key)
	if strict == "no" {
		c.p.Notice("muxc: " + c.d.name + ": WARNING: " + text + "; StrictHostKeyChecking is off, passwords are disabled")
		c.mu.Lock()
		c.distrust = true
		c.mu.Unlock()
		return nil
	}
	return fmt.Errorf("host key verification failed: %s; if that is expected: ssh-keygen -f %s -R '%s'", text, r.File, c.display())
}

// display is the name as known_hosts writes it.
func (c *hostKeyCheck) display() string { return c.query.Name() }

// ask shows an unknown key to the person, in ssh's words (sshconnect.c).
func (c *hostKeyCheck) ask(key ssh.PublicKey) error {
	print := ssh.FingerprintSHA256(key)
	q := control.Prompt{Kind: control.PromptConfirm, Host: c.d.user + "@" + c.d.host,
		Text: fmt.Sprintf("The authenticity of host '%s' can't be established.\n%s key fingerprint is %s.\n"+
			"Are you sure you want to continue connecting (yes/no/[fingerprint])? ", c.display(), keyKind(key), print)}
	for {
		a, err := c.p.Prompt(c.ctx, q)
		if err != nil {
			return fmt.Errorf("host key verification failed: %s is not known for %s: %w", describeKey(key), c.display(), err)
		}
		switch text := strings.TrimSpace(a.Text); {
		case strings.EqualFold(text, "yes"), text == print:
			return nil
		case strings.EqualFold(text, "no"):
			return errors.New("host key verification failed")
		}
		q.Text = "Please type 'yes', 'no' or the fingerprint: "
	}
}

// add remembers a key that was accepted. A file that cannot be written does not
// stop the login, as with ssh, but the person is told.
func (c *hostKeyCheck) add(key ssh.PublicKey) error {
	files := c.d.conf.UserKnownHostsFiles()
	if len(files) == 0 {
		return nil
	}
	if err := knownhosts.Append(files[0], c.query, key, c.d.conf.HashKnownHosts()); err != nil {
		c.p.Notice(fmt.Sprintf("muxc: %s: the host key was not remembered: %v", c.d.name, err))
		return nil
	}
	c.p.Notice(fmt.Sprintf("Warning: Permanently added '%s' (%s) to the list of known hosts.", c.display(), keyKind(key)))
	return nil
}

// rsaBits is the size of an RSA key, 0 for others.
func rsaBits(key ssh.PublicKey) int {
	if ck, ok := key.(ssh.CryptoPublicKey); ok {
		if pub, ok := ck.CryptoPublicKey().(*rsa.PublicKey); ok {
			return pub.N.BitLen()
		}
	}
	return 0
}

func describeKey(key ssh.PublicKey) string {
	return keyKind(key) + " " + ssh.FingerprintSHA256(key)
}

// keyKind is the name of a key's type as ssh shows it.
func keyKind(key ssh.PublicKey) string {
	t := key.Type()
	switch {
	case strings.Contains(t, "-cert-v01@"):
		return strings.ToUpper(strings.TrimPrefix(strings.SplitN(t, "-cert-", 2)[0], "ssh-")) + "-CERT"
	case strings.HasPrefix(t, "ecdsa-"):
		return "ECDSA"
	}
	return strings.ToUpper(strings.TrimPrefix(t, "ssh-"))
}
