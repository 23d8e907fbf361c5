package sshauth

import (
	"errors"

	"golang.org/x/crypto/ssh"
)

// maxOffers bounds the keys offered in one login. x/crypto gives up after 64
// attempts of all kinds (client_auth.go), of which this leaves some to the
// password; servers mostly give up after six.
const maxOffers = 48

// keys is where a login stands with its keys.
type keys struct {
	prepared bool
	files    []*keyFile
	certs    []*ssh.Certificate // CertificateFile
	token    *holding           // of the PKCS11Provider, once loaded
	queue    []*candidate       // not offered yet
	refused  []*candidate       // in this round
	offered  *candidate         // under way
	offers   int
	seen     map[string]bool // public keys offered in this round or used up
}

// settle takes note of how the offer under way ended. A partial success begins
// another round, in which the keys that were refused may be what is wanted
// next, and the one that was taken certainly is not.
func (k *keys) settle(passed bool) {
	c := k.offered
	k.offered = nil
	if !passed {
		if c != nil && !c.dead {
			k.refused = append(k.refused, c)
		}
		return
	}
	for _, r := range k.refused {
		delete(k.seen, blob(r.pub))
	}
	k.queue = append(k.queue, k.refused...)
	k.refused = nil
}

// forget drops the decrypted keys.
func (k *keys) forget() {
	for _, f := range k.files {
		f.signer, f.raw = nil, nil
	}
}

// publickey offers the next key (RFC 4252 section 7): one per attempt, so that
// one that cannot sign does not cost those behind it.
func (l *Login) publickey() ssh.AuthMethod {
	l.prepare()
	k := &l.keys
	for len(k.queue) > 0 && l.failure() == nil {
		c := k.queue[0]
		k.queue = k.queue[1:]
		if c.token != "" && c.pub == nil {
			k.queue = append(l.openToken(c.token), k.queue...)
			continue
		}
		s := l.signerFor(c)
		if s == nil || k.seen[blob(s.pub)] {
			continue
		}
		if k.offers == maxOffers {
			l.skip("only the first %d keys were offered", maxOffers)
			k.queue = nil
			break
		}
		k.offers++
		k.seen[blob(s.pub)] = true
		k.offered = c
		l.attempt = methodKey + " " + describe(s.pub) + " (" + c.where() + ")"
		l.log.Debug("offering a key", "host", l.cfg.Host, "key", describe(s.pub), "from", c.where())
		return ssh.PublicKeys(s)
	}
	return nil
}

func (c *candidate) where() string {
	switch {
	case c.agentKey != nil:
		return "agent"
	case c.token != "":
		return c.token
	}
	return c.file.path
}

// prepare reads the files and lists the agent's keys, once a login.
func (l *Login) prepare() {
	if l.keys.prepared {
		return
	}
	l.keys.prepared = true
	l.keys.seen = map[string]bool{}
	for _, path := range l.cfg.IdentityFiles {
		l.keys.files = append(l.keys.files, readKeyFile(path))
	}
	l.keys.certs = l.certificates()
	s := source{files: l.keys.files, certs: l.keys.certs, agent: l.openAgent(), only: l.cfg.IdentitiesOnly}
	if l.cfg.Private != nil {
		s.token = l.cfg.PKCS11Provider
	}
	l.keys.queue = s.order()
}

func (l *Login) certificates() []*ssh.Certificate {
	var certs []*ssh.Certificate
	for _, path := range l.cfg.CertificateFiles {
		pub, err := readPublic(path)
		if err != nil {
			l.skip("certificate %s: %v", path, clean(err))
			continue
		}
		cert, ok := pub.(*ssh.Certificate)
		if !ok || cert.CertType != ssh.UserCert {
			l.skip("certificate %s: it is not a certificate for users", path)
			continue
		}
		certs = append(certs, cert)
	}
	return certs
}

// signerFor makes a candidate ready to be offered, or says why it is not. Only
// a key whose public half is not known costs a question here.
func (l *Login) signerFor(c *candidate) *signer {
	if c.agentKey != nil && l.agent == nil { // it failed since; said already
		if c.file == nil {
			return nil
		}
		c.agentKey = nil
	}
	if c.agentKey == nil && !l.usable(c) {
		return nil
	}
	if bits := rsaBits(c.pub); bits > 0 && bits < l.cfg.RequiredRSASize {
		l.skip("key %s: it has %d bits, and RequiredRSASize is %d", describe(c.pub), bits, l.cfg.RequiredRSASize)
		return nil
	}
	algorithms := signatureAlgorithms(c.pub, l.cfg.PubkeyAlgorithms)
	if len(algorithms) == 0 {
		l.skip("key %s: %s is not among the PubkeyAcceptedAlgorithms", describe(c.pub), c.pub.Type())
		return nil
	}
	return &signer{pub: c.pub, algorithms: algorithms, sign: func(data []byte, algorithm string) (*ssh.Signature, error) {
		sig, err := l.sign(c, data, algorithm)
		c.dead = err != nil
		return sig, err
	}}
}

// sign signs for a candidate that the server took.
func (l *Login) sign(c *candidate, data []byte, algorithm string) (*ssh.Signature, error) {
	if c.agentKey == nil && c.token == "" && !l.foreign(c.file) {
		return l.signByFile(c.file, data, algorithm)
	}
	key := c.agentKey
	if key == nil {
		key = plainKey(c.pub)
	}
	switch {
	case l.avoided(key):
		l.nobodyFor("key " + describe(key) + " needs a touch")
		return nil, ErrNobody
	case c.agentKey != nil:
		return l.signByAgent(key, data, algorithm)
	case c.token != "":
		return l.signPrivate(key, data, algorithm)
	}
	return l.signForeign(c.file, data, algorithm)
}

// avoided: in the background no key is used that waits for a touch. It is
// offered all the same: if the server refuses it, no person is missed.
func (l *Login) avoided(k ssh.PublicKey) bool {
	return l.cfg.Background && (isSK(k) || l.cfg.Avoid != nil && l.cfg.Avoid(k))
}

// usable reports whether the candidate's file can serve, and leaves c.pub set.
func (l *Login) usable(c *candidate) bool {
	f := c.file
	switch {
	case c.token != "":
		return true
	case f == nil && l.cfg.PKCS11Provider != "": // the card may have it, and comes later
		return false
	case f == nil:
		l.skip("certificate for %s: neither a file nor the agent has its private key", describe(plainKey(c.pub)))
		return false
	case f.failed != nil: // which was said
		return false
	case l.foreign(f):
		if c.pub == nil && l.load(f) != nil {
			return false
		}
		c.pub = f.pubOr(c.pub)
		return true
	case f.fault != nil:
		l.faulty(f)
		return false
	}
	if c.pub == nil {
		s, err := l.unlock(f)
		if err != nil {
			return false
		}
		f.pub = s.PublicKey()
		c.pub = f.pub
	}
	return true
}

// pubOr is what a candidate that has no public key yet is offered as.
func (f *keyFile) pubOr(pub ssh.PublicKey) ssh.PublicKey {
	if pub == nil {
		return f.pub
	}
	return pub
}

// faulty tells why a file is left out, but for one that was only guessed.
func (l *Login) faulty(f *keyFile) {
	if errors.Is(f.fault, ErrNobody) || l.cfg.IdentitiesDefault && errors.Is(f.fault, errMissing) {
		return
	}
	l.skip("key %s: %v", f.path, f.fault)
}
