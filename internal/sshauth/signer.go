package sshauth

import (
	"crypto/rsa"
	"errors"
	"io"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

const certSuffix = "-cert-v01@openssh.com"

// signer offers a public key, and comes by its private half only when x/crypto
// asks for a signature: which is after the server took the public key.
type signer struct {
	pub        ssh.PublicKey
	algorithms []string // signature algorithms, best first; never empty
	sign       func(data []byte, algorithm string) (*ssh.Signature, error)
}

var _ ssh.MultiAlgorithmSigner = (*signer)(nil)

func (s *signer) PublicKey() ssh.PublicKey { return s.pub }
func (s *signer) Algorithms() []string     { return s.algorithms }

func (s *signer) Sign(rand io.Reader, data []byte) (*ssh.Signature, error) {
	return s.SignWithAlgorithm(rand, data, s.algorithms[0])
}

func (s *signer) SignWithAlgorithm(_ io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	if !slices.Contains(s.algorithms, algorithm) {
		return nil, errors.New("signature algorithm " + algorithm + " is not accepted here")
	}
	return s.sign(data, algorithm)
}

// signatureAlgorithms lists those of pub that accepted, in the order of
// PubkeyAcceptedAlgorithms, allows. For certificates accepted has names of
// their own, while the signature is that of the plain key.
func signatureAlgorithms(pub ssh.PublicKey, accepted []string) []string {
	base := plainKey(pub).Type()
	if base != ssh.KeyAlgoRSA {
		//lint:ignore SA1019 the name is needed to refuse it
		allowed := slices.Contains(accepted, pub.Type()) || accepted == nil && base != ssh.InsecureKeyAlgoDSA
		if !allowed {
			return nil
		}
		return []string{base}
	}
	if accepted == nil {
		return []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
	}
	var algorithms []string
	for _, a := range accepted {
		name, cert := strings.CutSuffix(a, certSuffix)
		switch name {
		case ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256, ssh.KeyAlgoRSA:
			if cert == isCert(pub) {
				algorithms = append(algorithms, name)
			}
		}
	}
	return algorithms
}

func isCert(k ssh.PublicKey) bool {
	_, ok := k.(*ssh.Certificate)
	return ok
}

// isSK reports whether a key lives in a security key, which wants a touch.
func isSK(k ssh.PublicKey) bool { return strings.HasPrefix(k.Type(), "sk-") }

// rsaBits is the size of an RSA key, 0 of any other.
func rsaBits(k ssh.PublicKey) int {
	if c, ok := plainKey(k).(ssh.CryptoPublicKey); ok {
		if pub, ok := c.CryptoPublicKey().(*rsa.PublicKey); ok {
			return pub.N.BitLen()
		}
	}
	return 0
}

func plainKey(k ssh.PublicKey) ssh.PublicKey {
	if c, ok := k.(*ssh.Certificate); ok {
		return c.Key
	}
	return k
}

func sameKey(a, b ssh.PublicKey) bool { return blob(a) == blob(b) }

func blob(k ssh.PublicKey) string { return string(k.Marshal()) }

// describe names a key as ssh-add -l does; a certificate by the key inside.
func describe(k ssh.PublicKey) string {
	s := ssh.FingerprintSHA256(plainKey(k))
	if isCert(k) {
		s += " (certificate)"
	}
	return s
}
