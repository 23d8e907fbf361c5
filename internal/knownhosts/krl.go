package knownhosts

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/crypto/ssh"
)

// krl is a key revocation list (PROTOCOL.krl of OpenSSH). Keys are held as
// their wire form, so one of a type that is not known here is a key like any
// other.
type krl struct {
	keys    map[string]bool // plain keys
	sha1s   map[string]bool // of plain keys
	sha256s map[string]bool
	certs   map[string]*krlCerts // by authority, "" for all of them
}

// krlCerts are the certificates of one authority that are revoked.
type krlCerts struct {
	serials []serialRange
	ids     map[string]bool
}

type serialRange struct{ first, last uint64 }

// krlMagic and krlVersion begin the file.
const (
	krlMagic   = "SSHKRL\n\x00"
	krlVersion = 1
)

// The kinds of sections (krl.h).
const (
	krlCertificates = 1
	krlExplicitKey  = 2
	krlSHA1         = 3
	krlSignature    = 4
	krlSHA256       = 5
	krlExtension    = 255
)

func isKRL(data []byte) bool { return bytes.HasPrefix(data, []byte(krlMagic)) }

// parseKRL understands a whole list or none of it: one that is understood in
// part may leave out the very key that was stolen.
func parseKRL(data []byte) (*krl, error) {
	r := &wireReader{data: data[len(krlMagic):]}
	if v := r.uint32(); r.err == nil && v != krlVersion {
		return nil, fmt.Errorf("a revocation list of version %d", v)
	}
	r.uint64() // number of the list
	r.uint64() // when it was made
	r.uint64() // flags, of which none are defined
	r.bytes()  // reserved
	r.cstring()
	k := &krl{keys: map[string]bool{}, sha1s: map[string]bool{}, sha256s: map[string]bool{}, certs: map[string]*krlCerts{}}
	for r.more() {
		k.section(r)
	}
	return k, r.err
}

func (k *krl) section(r *wireReader) {
	kind := r.byte()
	body := &wireReader{data: r.bytes()}
	switch kind {
	case krlCertificates:
		k.certificates(body)
	case krlExplicitKey:
		body.blobs(k.keys, 0)
	case krlSHA1:
		body.blobs(k.sha1s, sha1.Size)
	case krlSHA256:
		body.blobs(k.sha256s, sha256.Size)
	case krlExtension:
		body.extension()
	case krlSignature:
		// Two strings instead of one. ssh verifies none: the file is trusted
		// for where it is.
		body.data = nil
		r.bytes()
	default:
		r.fail(fmt.Errorf("an unknown section %d", kind))
	}
	r.absorb(body)
}

// blobs reads strings to the end, each of the size unless that is 0.
func (r *wireReader) blobs(into map[string]bool, size int) {
	for r.more() {
		b := r.bytes()
		if r.err == nil && size > 0 && len(b) != size {
			r.fail(errors.New("a fingerprint of a wrong length"))
		}
		into[string(b)] = true
	}
}

// extension refuses what must be understood: none is.
func (r *wireReader) extension() {
	name := r.cstring()
	critical := r.byte()
	r.bytes()
	if r.err == nil && critical != 0 {
		r.fail(fmt.Errorf("an unknown critical extension %q", name))
	}
}

// revokes reports whether the list condemns key: itself, the key inside a
// certificate, the certificate, or the authority that signed it.
func (k *krl) revokes(key ssh.PublicKey) bool {
	if k.listed(Plain(key).Marshal()) {
		return true
	}
	cert, ok := key.(*ssh.Certificate)
	if !ok {
		return false
	}
	ca := cert.SignatureKey.Marshal()
	return k.listed(ca) || k.certs[string(ca)].revokes(cert) || k.certs[""].revokes(cert)
}

func (k *krl) listed(blob []byte) bool {
	s1, s256 := sha1.Sum(blob), sha256.Sum256(blob)
	return k.keys[string(blob)] || k.sha1s[string(s1[:])] || k.sha256s[string(s256[:])]
}

// revokes knows that serial 0 is what an authority writes that gives none.
func (c *krlCerts) revokes(cert *ssh.Certificate) bool {
	if c == nil {
		return false
	}
	return c.ids[cert.KeyId] || cert.Serial != 0 && slices.ContainsFunc(c.serials, func(s serialRange) bool {
		return s.first <= cert.Serial && cert.Serial <= s.last
	})
}
