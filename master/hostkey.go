package master

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"

	"golang.org/x/crypto/ssh"

	"muxd/control"
	"muxd/internal/knownhosts"
)

// circumstances are what a host key is judged by besides the configuration.
type circumstances struct {
	peer   net.Addr // of the connection
	before []byte   // the plain key of the last login, in wire form; nil if there was none
	home   string   // the user's, for file names that a person reads
}

// hostKeyCheck decides whether a server is the one the person means, by
// known_hosts and StrictHostKeyChecking. The SSH library calls it once in the
// handshake and again at every rekey the server starts.
type hostKeyCheck struct {
	ctx    context.Context
	d      *destination
	p      control.Prompter
	around circumstances
	files  *knownhosts.Store
	query  knownhosts.Query
	algs   []string // HostKeyAlgorithms

	// run runs KnownHostsCommand as the asking client's own child and returns
	// what it printed; a status other than 0 is an error. Nil: no client is
	// there. Set before the handshake.
	run func(ctx context.Context, argv []string) (stdout []byte, err error)

	mu       sync.Mutex
	accepted []byte // guarded by mu; the key of the handshake, in wire form
	plain    []byte // guarded by mu; the same without a certificate around it
	distrust bool   // guarded by mu; the key is not the host's, and checking is off
	update   bool   // guarded by mu; the key is trusted enough for UpdateHostKeys
}

func newHostKeyCheck(ctx context.Context, d *destination, p control.Prompter, c circumstances) (*hostKeyCheck, []knownhosts.Note) {
	k := &hostKeyCheck{ctx: ctx, d: d, p: p, around: c}
	k.query = knownhosts.Query{Host: d.host, Port: d.port, Alias: d.conf.HostKeyAlias()}
	if ip := k.peerIP(); ip != nil && d.conf.CheckHostIP() && !ip.IP.IsLoopback() {
		k.query.Address = ip.String()
		if k.query.AddressName() == k.query.Name() {
			k.query.Address = "" // it was looked up already
		}
	}
	if _, set := d.conf.Get("casignaturealgorithms"); set {
		// Nothing left of the list means that no certificate is accepted.
		k.query.CASignatureAlgorithms, _ = d.conf.CASignatureAlgorithms(caSignatureAlgorithms, nil)
		if k.query.CASignatureAlgorithms == nil {
			k.query.CASignatureAlgorithms = []string{}
		}
	}
	var notes []knownhosts.Note
	k.files, notes = knownhosts.Load(d.conf.UserKnownHostsFiles(), d.conf.GlobalKnownHostsFiles())
	return k, notes
}

// peerIP is the server's address, nil where something stands in between: then
// it is not the server's.
func (c *hostKeyCheck) peerIP() *net.IPAddr {
	a, ok := c.around.peer.(*net.TCPAddr)
	if !ok || c.d.via != nil || c.d.proxy != "" {
		return nil
	}
	return &net.IPAddr{IP: a.IP, Zone: a.Zone}
}

// order returns the algorithms to offer: without the order by what is known, a
// host known by one type of key may present another and look changed.
func (c *hostKeyCheck) order(algs []string) ([]string, error) {
	c.algs = algs
	s, err := c.consult(c.files, reasonOrder, c.query.Name(), nil)
	if err != nil {
		return nil, err
	}
	return s.Algorithms(c.query, algs), nil
}

// permits reports whether HostKeyAlgorithms leaves a use for a plain key.
func (c *hostKeyCheck) permits(key ssh.PublicKey) bool {
	return slices.ContainsFunc(c.algs, func(a string) bool { return knownhosts.KeyType(a) == key.Type() })
}

// key returns the accepted key, without a certificate, in wire form.
func (c *hostKeyCheck) key() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.plain
}

// distrusted reports a connection that goes on only because checking is off:
// no password may be typed into it, and nothing may be lent to its server.
func (c *hostKeyCheck) distrusted() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.distrust
}

// callback is an ssh.HostKeyCallback.
func (c *hostKeyCheck) callback(_ string, _ net.Addr, key ssh.PublicKey) error {
	wire := key.Marshal()
	c.mu.Lock()
	first := c.accepted
	c.mu.Unlock()
	if first != nil {
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
	c.accepted, c.plain = wire, knownhosts.Plain(key).Marshal()
	c.mu.Unlock()
	return nil
}

// decide judges a key in ssh's order: RequiredRSASize and RevokedHostKeys
// forbid it whatever known_hosts says (verify_host_key, sshconnect.c).
func (c *hostKeyCheck) decide(key ssh.PublicKey) error {
	plain := knownhosts.Plain(key)
	debugf(c.p, c.d, 1, "server host key: %s %s", key.Type(), c.fingerprint(plain))
	if n := rsaBits(plain); n > 0 && n < c.d.conf.RequiredRSASize() {
		return unverified("the RSA key of %d bits is shorter than RequiredRSASize %d", n, c.d.conf.RequiredRSASize())
	}
	switch file, err := knownhosts.Revoking(c.d.conf.RevokedHostKeys(), key); {
	case err != nil:
		return unverified("RevokedHostKeys cannot be checked: %v", err)
	case file != "":
		return unverified("%s is revoked by %s", c.describe(plain), file)
	}
	if c.anyLocal() {
		return nil
	}
	s, err := c.consult(c.files, reasonHostname, c.query.Name(), key)
	if err != nil {
		return err
	}
	r := s.Check(c.query, key)
	if r.File != "" {
		debugf(c.p, c.d, 1, "host %s is %s by %s:%d", c.query.Name(), r.Status, r.File, r.Line)
	}
	if r.CA {
		return nil // by its certificate, which names no address and is not updated
	}
	if r.Status != knownhosts.Revoked && !c.permits(plain) {
		return unverified("HostKeyAlgorithms permits no %s key outside of a certificate, and %s", keyKind(plain), r.Reason)
	}
	if err := c.judge(plain, r); err != nil {
		if r.Reason != "" {
			return fmt.Errorf("%w; %s", err, r.Reason)
		}
		return err
	}
	return nil
}

// anyLocal reports a server on this machine that need not prove anything
// (NoHostAuthenticationForLocalhost).
func (c *hostKeyCheck) anyLocal() bool {
	ip := c.peerIP()
	return ip != nil && ip.IP.IsLoopback() && c.query.Alias == "" && isSet(c.d.conf, "nohostauthenticationforlocalhost")
}
