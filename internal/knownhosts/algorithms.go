package knownhosts

import (
	"strings"

	"golang.org/x/crypto/ssh"
)

const certSuffix = "-cert-v01@openssh.com"

// Algorithms returns all (the HostKeyAlgorithms to offer), those first that
// the files can verify for the host: certificates where an authority is known,
// then the types of its known keys, then the rest, each in the order of all.
// Without this a host known by one type that offers another first would look
// Changed (order_hostkeyalgs, sshconnect2.c).
func (s *Store) Algorithms(q Query, all []string) []string {
	found := s.lookup(q.Name())
	if len(found) == 0 {
		found = s.bare(q)
	}
	ca, types := false, map[string]bool{}
	for _, e := range found {
		switch e.marker {
		case authority:
			ca = true
		case plain:
			types[e.key.Type()] = true
		}
	}
	var certs, known, rest []string
	for _, a := range all {
		switch {
		case ca && strings.HasSuffix(a, certSuffix):
			certs = append(certs, a)
		case types[KeyType(a)]:
			known = append(known, a)
		default:
			rest = append(rest, a)
		}
	}
	return append(append(certs, known...), rest...)
}

// KeyType is the type of key that an algorithm signs with: they differ for
// RSA alone (RFC 8332).
func KeyType(algorithm string) string {
	switch algorithm {
	case ssh.KeyAlgoRSASHA256, ssh.KeyAlgoRSASHA512:
		return ssh.KeyAlgoRSA
	}
	return algorithm
}
