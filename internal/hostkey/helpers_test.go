package hostkey

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"muxd/control"
	"muxd/control/controltest"
	"muxd/internal/sshconf"
	"muxd/internal/sshtest"
)

// peerAddress is where every server of the tests is, unless told otherwise.
const peerAddress = "192.0.2.2"

// algorithms are those that a login offers.
var algorithms = []string{"ssh-ed25519", "ecdsa-sha2-nistp256", "rsa-sha2-512", "rsa-sha2-256"}

// rig is a home directory, and the key that is known for host.
type rig struct {
	t    *testing.T
	home string
	key  ssh.PublicKey
}

func newRig(t *testing.T) *rig {
	r := &rig{t: t, home: t.TempDir(), key: sshtest.NewKey().PublicKey()}
	r.know(r.key)
	return r
}

// know makes the keys the only ones known for host.
func (r *rig) know(keys ...ssh.PublicKey) {
	text := ""
	for _, k := range keys {
		text += "host " + authorized(k)
	}
	r.write("known_hosts", text)
}

func (r *rig) write(name, text string) string {
	r.t.Helper()
	path := filepath.Join(r.home, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
	return path
}

func (r *rig) remembered() string {
	b, err := os.ReadFile(filepath.Join(r.home, "known_hosts"))
	if err != nil {
		r.t.Fatal(err)
	}
	return string(b)
}

// server is what options of ssh (-o and -p) and a host come to.
func (r *rig) server(p control.Prompter, args ...string) Server {
	r.t.Helper()
	in := sshconf.Input{Home: r.home, LocalUser: "me", Env: func(string) string { return "" },
		Options: []sshconf.Setting{{Keyword: "UserKnownHostsFile", Value: filepath.Join(r.home, "known_hosts")}, {Keyword: "GlobalKnownHostsFile", Value: "none"}}}
	for ; len(args) > 1; args = args[2:] {
		k, v := "Port", args[1]
		if args[0] == "-o" {
			k, v, _ = strings.Cut(v, "=")
		}
		in.Options = append(in.Options, sshconf.Setting{Keyword: k, Value: v})
	}
	in.Host = args[0]
	conf, err := sshconf.Resolve(in)
	if err != nil {
		r.t.Fatal(err)
	}
	return Server{Name: args[0], User: "me", Host: conf.HostName(), Port: conf.Port(), Conf: conf, Home: r.home, Prompter: p,
		Peer: &net.TCPAddr{IP: net.ParseIP(peerAddress), Port: 22}}
}

// check is a check about to meet a key.
func (r *rig) check(p control.Prompter, args ...string) *Check {
	r.t.Helper()
	c, _ := New(r.t.Context(), r.server(p, args...))
	return c
}

// meet presents a key as the SSH library does.
func (c *Check) meet(key ssh.PublicKey) error {
	if _, err := c.Order(algorithms); err != nil {
		return err
	}
	return c.Callback("", nil, key)
}

var says = controltest.Says

func authorized(k ssh.PublicKey) string { return string(ssh.MarshalAuthorizedKey(k)) }

func contained(text string, parts ...string) bool {
	for _, p := range parts {
		if !strings.Contains(text, p) {
			return false
		}
	}
	return true
}

func signer(t *testing.T, k any, err error) ssh.Signer {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	s, err := ssh.NewSignerFromKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func ecdsaKey(t *testing.T) ssh.Signer {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	return signer(t, k, err)
}

func rsaKey(t *testing.T) ssh.Signer {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	return signer(t, k, err)
}
