package login

import (
	"crypto/rand"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"muxd/internal/sshtest"
)

func TestAgentFingerprint(t *testing.T) {
	k, ca := sshtest.NewKey(), sshtest.NewKey()
	cert := &ssh.Certificate{Key: k.PublicKey(), CertType: ssh.UserCert, ValidBefore: ssh.CertTimeInfinity}
	if err := cert.SignCert(rand.Reader, ca); err != nil {
		t.Fatal(err)
	}
	plain := agentFingerprint(k.PublicKey())
	if plain != agentFingerprint(cert) || !strings.HasPrefix(plain, "SHA256:") {
		t.Errorf("%s, %s", plain, agentFingerprint(cert))
	}
}
