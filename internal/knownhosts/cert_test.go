package knownhosts

import (
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

var now = time.Unix(1_800_000_000, 0)

func hostCert(t *testing.T, ca, host ssh.Signer, edit func(*ssh.Certificate)) *ssh.Certificate {
	t.Helper()
	c := &ssh.Certificate{Key: host.PublicKey(), CertType: ssh.HostCert, ValidPrincipals: []string{"h", "*.wild"},
		ValidAfter: uint64(now.Add(-time.Hour).Unix()), ValidBefore: uint64(now.Add(time.Hour).Unix())}
	if edit != nil {
		edit(c)
	}
	if err := c.SignCert(rand.Reader, ca); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCheckCertificate(t *testing.T) {
	ca, other, host := newEd(t), newEC(t), newEd(t)
	authority := "@cert-authority * " + formatKey(ca.PublicKey())
	tests := []struct {
		name   string
		lines  []string
		host   string
		edit   func(*ssh.Certificate)
		algs   []string
		want   Status
		reason string
	}{
		{"good", []string{authority}, "h", nil, nil, Known, ""},
		{"principal by pattern", []string{authority}, "a.wild", nil, nil, Known, ""},
		{"no principals", []string{authority}, "x", func(c *ssh.Certificate) { c.ValidPrincipals = nil }, nil, Known, ""},
		{"wrong principal", []string{authority}, "x", nil, nil, Unknown, "principal"},
		{"expired", []string{authority}, "h", func(c *ssh.Certificate) { c.ValidBefore = uint64(now.Unix()) }, nil, Unknown, "expired"},
		{"early", []string{authority}, "h", func(c *ssh.Certificate) { c.ValidAfter = uint64(now.Unix()) + 1 }, nil, Unknown, "not yet"},
		{"of a user", []string{authority}, "h", func(c *ssh.Certificate) { c.CertType = ssh.UserCert }, nil, Unknown, "not one for hosts"},
		{"critical option", []string{authority}, "h", func(c *ssh.Certificate) { c.CriticalOptions = map[string]string{"x": ""} }, nil, Unknown, "critical"},
		{"signature kind", []string{authority}, "h", nil, []string{ssh.KeyAlgoRSASHA512}, Unknown, "CASignatureAlgorithms"},
		{"other authority", []string{"@cert-authority * " + formatKey(other.PublicKey())}, "h", nil, nil, Unknown, "no authority"},
		{"authority elsewhere", []string{"@cert-authority *.wild " + formatKey(ca.PublicKey())}, "h", nil, nil, Unknown, "no authority"},
		{"authority as a host key", []string{"h " + formatKey(ca.PublicKey())}, "h", nil, nil, Changed, "no authority"},
		{"plain key known", []string{"h " + formatKey(host.PublicKey())}, "h", nil, nil, Known, "no authority"},
		{"expired, plain key known", []string{authority, "h " + formatKey(host.PublicKey())}, "h",
			func(c *ssh.Certificate) { c.ValidBefore = 1 }, nil, Known, "expired"},
		{"authority revoked", []string{authority, "@revoked * " + formatKey(ca.PublicKey())}, "h", nil, nil, Revoked, ""},
		{"key revoked", []string{authority, "@revoked * " + formatKey(host.PublicKey())}, "h", nil, nil, Revoked, ""},
	}
	for _, tt := range tests {
		q := Query{Host: tt.host, Port: 9, CASignatureAlgorithms: tt.algs, Now: now, Address: "192.0.2.1"}
		if tt.want == Changed {
			q.Port = 22
		}
		r := storeOf(t, tt.lines...).Check(q, hostCert(t, ca, host, tt.edit))
		if r.Status != tt.want || (tt.reason == "") != (r.Reason == "") || !strings.Contains(r.Reason, tt.reason) {
			t.Errorf("%s: %v, %q, want %v, %q", tt.name, r.Status, r.Reason, tt.want, tt.reason)
		}
		if wantCA := tt.want == Known && tt.reason == ""; r.CA != wantCA {
			t.Errorf("%s: CA %v", tt.name, r.CA)
		}
	}
}

// A certificate by a known authority, altered after it was signed.
func TestForgedCertificate(t *testing.T) {
	ca, host := newEd(t), newEd(t)
	c := hostCert(t, ca, host, nil)
	c.Key = newEd(t).PublicKey()
	r := storeOf(t, "@cert-authority * "+formatKey(ca.PublicKey())).Check(Query{Host: "h", Now: now}, c)
	if r.Status != Unknown || !strings.Contains(r.Reason, "signature") {
		t.Errorf("%+v", r)
	}
}
