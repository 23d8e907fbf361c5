package knownhosts

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// caAlgorithms is OpenSSH's default CASignatureAlgorithms (ssh_config(5)):
// whatever is not SHA-1 or DSA.
var caAlgorithms = []string{
	ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521,
	ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKECDSA256, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256,
}

// trusted finds the authority that vouches for cert, or says why none does.
func trusted(q Query, found []entry, cert *ssh.Certificate) (entry, error) {
	i := slices.IndexFunc(found, func(e entry) bool {
		return e.marker == authority && sameKey(e.key, cert.SignatureKey)
	})
	if i < 0 {
		return entry{}, errors.New("no authority for this host signed the certificate")
	}
	return found[i], checkCert(q, cert)
}

// checkCert holds a certificate by a trusted authority to its own terms
// (sshkey_cert_check_host, sshkey.c).
func checkCert(q Query, cert *ssh.Certificate) error {
	if cert.CertType != ssh.HostCert {
		return errors.New("the certificate is not one for hosts")
	}
	algorithms := q.CASignatureAlgorithms
	if algorithms == nil {
		algorithms = caAlgorithms
	}
	if !slices.Contains(algorithms, cert.Signature.Format) {
		return fmt.Errorf("the certificate is signed by %s, which CASignatureAlgorithms leaves out", cert.Signature.Format)
	}
	c := &ssh.CertChecker{}
	if !q.Now.IsZero() {
		c.Clock = func() time.Time { return q.Now }
	}
	err := c.CheckCert(principalFor(q.certName(), cert), cert)
	if err != nil {
		return errors.New(strings.TrimPrefix(err.Error(), "ssh: "))
	}
	return nil
}

// principalFor returns the principal of cert that names host. A host
// certificate's principals may be patterns, and x/crypto compares them
// literally: so the one that matches is handed to it in place of the host.
func principalFor(host string, cert *ssh.Certificate) string {
	for _, p := range cert.ValidPrincipals {
		if glob(p, host) {
			return p
		}
	}
	return host
}
