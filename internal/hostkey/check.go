package hostkey

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"

	"golang.org/x/crypto/ssh"

	"muxd/internal/knownhosts"
)

// Check decides whether a server is the one the person means, by known_hosts
// and StrictHostKeyChecking. It is for one connection: Order is called before
// its handshake, Callback by the SSH library once in the handshake and again at
// every rekey the server starts, and the other methods by any goroutine
// afterwards.
type Check struct {
	ctx   context.Context
	srv   Server
	files *knownhosts.Store
	query knownhosts.Query
	algs  []string // HostKeyAlgorithms
	// unread is about files that are there and could not be read: whose key is
	// unknown then may be listed all the same. "" is none.
	unread string

	mu       sync.Mutex
	accepted []byte // guarded by mu; the key of the handshake, in wire form
	plain    []byte // guarded by mu; the same without a certificate around it
	distrust bool   // guarded by mu; the key is not the host's, and checking is off
	update   bool   // guarded by mu; the key is trusted enough for UpdateHostKeys
}

// Refused is a host key that was not accepted, by errors.As. Another try by
// itself can only meet it again.
type Refused struct{ Err error }

// Error implements error.
func (e *Refused) Error() string { return e.Err.Error() }

// Unwrap returns the reason.
func (e *Refused) Unwrap() error { return e.Err }

// New reads the known_hosts files for a server. Questions and commands end when
// ctx does. The notes are about lines and files that could not be read, and are
// passed over.
func New(ctx context.Context, srv Server) (*Check, []knownhosts.Note) {
	c := &Check{ctx: ctx, srv: srv}
	c.query = knownhosts.Query{Host: srv.Host, Port: srv.Port, Alias: srv.Conf.HostKeyAlias()}
	if ip := c.peerIP(); ip != nil && srv.Conf.CheckHostIP() && !ip.IP.IsLoopback() {
		c.query.Address = ip.String()
		if c.query.AddressName() == c.query.Name() {
			c.query.Address = "" // it was looked up already
		}
	}
	if _, set := srv.Conf.Get("casignaturealgorithms"); set {
		// Nothing left of the list means that no certificate is accepted.
		c.query.CASignatureAlgorithms, _ = srv.Conf.CASignatureAlgorithms(srv.Authorities, nil)
		if c.query.CASignatureAlgorithms == nil {
			c.query.CASignatureAlgorithms = []string{}
		}
	}
	var notes []knownhosts.Note
	c.files, notes = knownhosts.Load(srv.Conf.UserKnownHostsFiles(), srv.Conf.GlobalKnownHostsFiles())
	for _, n := range notes {
		if n.Line == 0 {
			c.unread += " (" + n.String() + ")"
		}
	}
	return c, notes
}

func (c *Check) debugf(format string, args ...any) {
	if c.srv.Debug != nil {
		c.srv.Debug(format, args...)
	}
}

// peerIP is the server's address, nil where it is not known.
func (c *Check) peerIP() *net.IPAddr {
	a, ok := c.srv.Peer.(*net.TCPAddr)
	if !ok {
		return nil
	}
	return &net.IPAddr{IP: a.IP, Zone: a.Zone}
}

// Order returns the algorithms to offer of algs: without the order by what is
// known, a host known by one type of key may present another and look changed.
// The error is KnownHostsCommand's.
func (c *Check) Order(algs []string) ([]string, error) {
	c.algs = algs
	s, err := c.consult(c.files, reasonOrder, c.query.Name(), nil)
	if err != nil {
		return nil, err
	}
	return s.Algorithms(c.query, algs), nil
}

// permits reports whether HostKeyAlgorithms leaves a use for a plain key.
func (c *Check) permits(key ssh.PublicKey) bool {
	return slices.ContainsFunc(c.algs, func(a string) bool { return knownhosts.KeyType(a) == key.Type() })
}

// Key returns the accepted key, without a certificate, in wire form; nil before
// there is one.
func (c *Check) Key() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.plain
}

// Distrusted reports a connection that goes on only because checking is off:
// no password may be typed into it, and nothing may be lent to its server.
func (c *Check) Distrusted() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.distrust
}

// Callback is an ssh.HostKeyCallback. A key that is not accepted is a *Refused.
func (c *Check) Callback(_ string, _ net.Addr, key ssh.PublicKey) error {
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
		return &Refused{err}
	}
	c.mu.Lock()
	c.accepted, c.plain = wire, knownhosts.Plain(key).Marshal()
	c.mu.Unlock()
	c.forget()
	return nil
}

// forget lets go of what served to decide. The SSH library keeps a Check for as
// long as the connection lives, and with it went every line of known_hosts and the
// client that waited for the login.
func (c *Check) forget() {
	c.ctx, c.files = nil, nil
	c.srv.Prompter, c.srv.Run, c.srv.Debug = nil, nil, nil
}

// decide judges a key in ssh's order: RequiredRSASize and RevokedHostKeys
// forbid it whatever known_hosts says (verify_host_key, sshconnect.c).
func (c *Check) decide(key ssh.PublicKey) error {
	plain := knownhosts.Plain(key)
	c.debugf("server host key: %s %s", key.Type(), c.fingerprint(plain))
	if n := rsaBits(plain); n > 0 && n < c.srv.Conf.RequiredRSASize() {
		return unverified("the RSA key of %d bits is shorter than RequiredRSASize %d", n, c.srv.Conf.RequiredRSASize())
	}
	switch file, err := knownhosts.Revoking(c.srv.Conf.RevokedHostKeys(), key); {
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
		c.debugf("host %s is %s by %s:%d", c.query.Name(), r.Status, r.File, r.Line)
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
func (c *Check) anyLocal() bool {
	ip := c.peerIP()
	return ip != nil && ip.IP.IsLoopback() && c.query.Alias == "" && c.srv.Conf.IsSet("nohostauthenticationforlocalhost")
}
