package sshauth

import (
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

// TestOrder spells candidates as letters, of which u is a key that nobody knows
// yet: small ones are files, "*" means that the agent signs, "+" a certificate.
func TestOrder(t *testing.T) {
	a, b, c, d, ca := newKey(t, "a"), newKey(t, "b"), newKey(t, "c"), newKey(t, "d"), newKey(t, "ca")
	ac, ac2 := a.cert(t, ca), a.cert(t, ca)
	file := func(k *key) *keyFile { return &keyFile{path: k.name, pub: k.pub} }
	withCert := func(k *key, c *ssh.Certificate) *keyFile { return &keyFile{path: k.name, pub: k.pub, cert: c} }
	unknown := &keyFile{path: "u", encrypted: true}
	keys := func(ks ...*key) (pubs []ssh.PublicKey) {
		for _, k := range ks {
			pubs = append(pubs, k.pub)
		}
		return pubs
	}
	spell := func(cs []*candidate) string {
		var out []string
		for _, cand := range cs {
			out = append(out, spellCandidate(cand, a, b, c, d))
		}
		return strings.Join(out, " ")
	}
	for _, tt := range []struct {
		name string
		s    source
		want string
	}{
		{"files only", source{files: []*keyFile{file(a), file(b)}}, "a b"},
		{"agent only", source{agent: keys(d, c)}, "D* C*"},
		{"both first, in the files' order", source{files: []*keyFile{file(a), file(b), file(c)}, agent: keys(d, c, b)}, "b* c* D* a"},
		{"identities only", source{files: []*keyFile{file(a), file(b)}, agent: keys(d, b), only: true}, "b* a"},
		{"the same file twice", source{files: []*keyFile{file(a), file(a)}}, "a"},
		{"public half unknown", source{files: []*keyFile{unknown, file(b)}, agent: keys(d)}, "D* u b"},
		{"certificate beside", source{files: []*keyFile{withCert(a, ac), file(b)}}, "a a+ b"},
		{"certificate beside, plain key in the agent", source{files: []*keyFile{withCert(a, ac)}, agent: keys(a)}, "a* a+*"},
		{"certificate in the agent", source{files: []*keyFile{withCert(a, ac)}, agent: []ssh.PublicKey{ac}}, "a+* a"},
		{"CertificateFile first", source{files: []*keyFile{file(b), withCert(a, ac)}, certs: []*ssh.Certificate{ac}, agent: keys(b)}, "a+ b* a"},
		{"CertificateFile replaces those beside", source{files: []*keyFile{withCert(a, ac2)}, certs: []*ssh.Certificate{ac}}, "a+ a"},
		{"CertificateFile, key in the agent", source{certs: []*ssh.Certificate{ac}, agent: keys(a), only: true}, "A+*"},
		{"CertificateFile, no key", source{certs: []*ssh.Certificate{ac}}, "A+"},
	} {
		if got := spell(tt.s.order()); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

func spellCandidate(c *candidate, known ...*key) string {
	s := "u"
	for _, k := range known {
		if c.pub != nil && sameKey(plainKey(c.pub), k.pub) {
			s = k.name
		}
	}
	if c.pub != nil && isCert(c.pub) {
		s += "+"
	}
	if c.agentKey != nil {
		s += "*"
	}
	if c.file == nil {
		s = strings.ToUpper(s)
	}
	return s
}

func TestSignatureAlgorithms(t *testing.T) {
	r, e, ca := newRSA(t, "r"), newKey(t, "e"), newKey(t, "ca")
	const rsaCert512 = ssh.CertAlgoRSASHA512v01
	for _, tt := range []struct {
		name     string
		pub      ssh.PublicKey
		accepted []string
		want     string
	}{
		{"rsa", r.pub, nil, "rsa-sha2-512 rsa-sha2-256"},
		{"rsa by choice", r.pub, []string{ssh.KeyAlgoRSASHA256, ssh.KeyAlgoRSA}, "rsa-sha2-256 ssh-rsa"},
		{"rsa not", r.pub, []string{ssh.KeyAlgoED25519, rsaCert512}, ""},
		{"rsa certificate", r.cert(t, ca), nil, "rsa-sha2-512 rsa-sha2-256"},
		{"rsa certificate by choice", r.cert(t, ca), []string{ssh.KeyAlgoRSASHA256, rsaCert512}, "rsa-sha2-512"},
		{"ed25519", e.pub, nil, "ssh-ed25519"},
		{"ed25519 by choice", e.pub, []string{ssh.KeyAlgoED25519}, "ssh-ed25519"},
		{"ed25519 not", e.pub, []string{ssh.KeyAlgoRSASHA256, ssh.CertAlgoED25519v01}, ""},
		{"ed25519 certificate", e.cert(t, ca), []string{ssh.CertAlgoED25519v01}, "ssh-ed25519"},
		{"ed25519 certificate not", e.cert(t, ca), []string{ssh.KeyAlgoED25519}, ""},
	} {
		if got := strings.Join(signatureAlgorithms(tt.pub, tt.accepted), " "); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}
