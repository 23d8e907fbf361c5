package hostkey

import (
	"crypto/rsa"
	"strings"

	"golang.org/x/crypto/ssh"

	"muxd/internal/knownhosts"
)

// rsaBits is the size of an RSA key, 0 for others.
func rsaBits(key ssh.PublicKey) int {
	if ck, ok := key.(ssh.CryptoPublicKey); ok {
		if pub, ok := ck.CryptoPublicKey().(*rsa.PublicKey); ok {
			return pub.N.BitLen()
		}
	}
	return 0
}

// fingerprint is that of the key without its certificate, by FingerprintHash.
func (c *Check) fingerprint(key ssh.PublicKey) string {
	key = knownhosts.Plain(key)
	if c.md5() {
		return "MD5:" + ssh.FingerprintLegacyMD5(key)
	}
	return ssh.FingerprintSHA256(key)
}

func (c *Check) md5() bool {
	v, _ := c.srv.Conf.Get("fingerprinthash")
	return len(v) > 0 && strings.EqualFold(v[0], "md5")
}

func (c *Check) describe(key ssh.PublicKey) string {
	return keyKind(key) + " " + c.fingerprint(key)
}

// keyKind is the name of a plain key's type as ssh shows it.
func keyKind(key ssh.PublicKey) string {
	t := key.Type()
	if strings.HasPrefix(t, "ecdsa-") {
		return "ECDSA"
	}
	return strings.ToUpper(strings.TrimPrefix(t, "ssh-"))
}
