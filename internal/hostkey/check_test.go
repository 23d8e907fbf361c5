package hostkey

import (
	"context"
	"encoding/base64"
	"errors"
	"net"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"weak"

	"golang.org/x/crypto/ssh"

	"muxd/internal/sshtest"
)

func TestRevokedHostKeys(t *testing.T) {
	r := newRig(t)
	key, other := r.key, sshtest.NewKey().PublicKey()
	for _, tt := range []struct{ name, text, want string }{
		{"listed", "# stolen\n" + authorized(key), "ED25519 " + ssh.FingerprintSHA256(key) + " is revoked by "},
		{"not listed", authorized(other), ""},
		{"garbage", "garbage\n", "RevokedHostKeys cannot be checked: "},
		{"damaged list", "SSHKRL\n\x00", "RevokedHostKeys cannot be checked: "},
	} {
		file := r.write("revoked", tt.text)
		for _, strict := range []string{"yes", "no"} {
			c := r.check(says(), "-o", "RevokedHostKeys="+file, "-o", "StrictHostKeyChecking="+strict, "host")
			err := c.meet(key)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !contained(err.Error(), tt.want, file)) {
				t.Errorf("%s, %s: %v", tt.name, strict, err)
			}
			var refused *Refused
			if err != nil && !errors.As(err, &refused) {
				t.Errorf("%s: not refused: %T", tt.name, err)
			}
		}
	}
	missing := filepath.Join(r.home, "missing")
	c := r.check(says(), "-o", "RevokedHostKeys="+r.write("revoked", authorized(other))+" "+missing, "host")
	if err := c.meet(key); err == nil || !contained(err.Error(), missing) {
		t.Errorf("a missing second file: %v", err)
	}
}

func TestKnownHostsCommand(t *testing.T) {
	r := newRig(t)
	key, other := r.key, sshtest.NewKey().PublicKey()
	r.know()
	command := []string{"-o", "KnownHostsCommand=/bin/keys %I %H %t %f %K %p", "-o", "StrictHostKeyChecking=accept-new"}
	host := append(command, "-p", "2222", "host")

	c := r.check(says("yes"), host...)
	if err := c.meet(key); !errors.Is(err, ErrNoRunner) {
		t.Errorf("without a client: %v", err)
	}

	var ran [][]string
	run := func(output string, err error) func(context.Context, []string) ([]byte, error) {
		return func(_ context.Context, argv []string) ([]byte, error) {
			ran = append(ran, argv)
			return []byte(output), err
		}
	}
	c.srv.Run = run("[host]:2222 "+authorized(key), nil)
	if err := c.meet(key); err != nil {
		t.Error(err)
	}
	want := [][]string{
		{"/bin/keys", "ORDER", "[host]:2222", "NONE", "NONE", "NONE", "2222"},
		{"/bin/keys", "HOSTNAME", "[host]:2222", "ssh-ed25519", ssh.FingerprintSHA256(key),
			base64.StdEncoding.EncodeToString(key.Marshal()), "2222"},
	}
	if !reflect.DeepEqual(ran, want) {
		t.Errorf("ran %q\nwant %q", ran, want)
	}
	if c.update || r.remembered() != "" {
		t.Errorf("update %v, remembered %q", c.update, r.remembered())
	}

	for name, tt := range map[string]struct {
		output string
		err    error
		part   string
	}{
		"changed": {"[host]:2222 " + authorized(other), nil, "KnownHostsCommand-HOSTNAME:1 lists ED25519 " + ssh.FingerprintSHA256(other)},
		"revoked": {"@revoked * " + authorized(key), nil, "revoked at KnownHostsCommand-HOSTNAME:1"},
		"failed":  {"", errors.New("exit status 3"), "KnownHostsCommand failed: exit status 3"},
	} {
		c := r.check(says("yes"), host...)
		c.srv.Run = run(tt.output, tt.err)
		if err := c.meet(key); err == nil || !contained(err.Error(), tt.part) {
			t.Errorf("%s: %v", name, err)
		}
	}

	ran = nil
	c = r.check(says("yes"), append(command, "-o", "CheckHostIP=yes", "host")...)
	c.srv.Run = run("", nil)
	if err := c.meet(key); err != nil {
		t.Error(err)
	}
	if len(ran) != 3 || ran[2][1] != "ADDRESS" || ran[2][2] != "192.0.2.2" {
		t.Errorf("ran %q", ran)
	}
	if got := r.remembered(); got != "host,192.0.2.2 "+authorized(key) {
		t.Errorf("remembered %q", got)
	}
}

// The algorithms are ordered by what the command prints, too.
func TestKnownHostsCommandOrders(t *testing.T) {
	r := newRig(t)
	r.know()
	c := r.check(says(), "-o", "KnownHostsCommand=/bin/keys", "host")
	c.srv.Run = func(context.Context, []string) ([]byte, error) {
		return []byte("host " + authorized(ecdsaKey(t).PublicKey())), nil
	}
	got, err := c.Order(algorithms)
	if err != nil || got[0] != ssh.KeyAlgoECDSA256 {
		t.Errorf("%v, %v", got, err)
	}
}

func TestCheckHostIP(t *testing.T) {
	const address = peerAddress
	r := newRig(t)
	key, other := r.key, sshtest.NewKey().PublicKey()
	k, o := authorized(key), authorized(other)
	for _, tt := range []struct {
		name, known, strict string
		answers             []string
		want, told, asked   string // of the error, the notices, the question
		after               string // what known_hosts gains
	}{
		{"both known", "host," + address + " " + k, "ask", nil, "", "", "", ""},
		{"address new", "host " + k, "ask", nil, "", "Permanently added the ED25519 host key for IP address '192.0.2.2'", "", address + " " + k},
		{"both new", "", "accept-new", nil, "", "Permanently added 'host,192.0.2.2' (ED25519)", "", "host," + address + " " + k},
		{"address differs, yes", "host " + k + address + " " + o, "ask", []string{"yes"}, "", "",
			"differs from the key for the IP address '192.0.2.2'\nOffending key for IP in FILE:2\nMatching host key in FILE:1\nAre you sure", ""},
		{"address differs, no", "host " + k + address + " " + o, "ask", []string{"what", "no"}, "host key verification failed", "", "(yes/no)? ", ""},
		{"address differs, nobody", "host " + k + address + " " + o, "ask", nil, "differs from the one that FILE:2 lists", "", "", ""},
		{"address differs, strict", "host " + k + address + " " + o, "yes", nil, "differs from the one that FILE:2 lists", "", "", ""},
		{"address differs, off", "host " + k + address + " " + o, "no", nil, "", "differs from the key for the IP address", "", ""},
		{"name changed, address known", "host " + o + address + " " + k, "yes", nil, "known for the address 192.0.2.2 at FILE:2", "", "", ""},
		{"revoked by address", "host " + k + "@revoked " + address + " " + k, "yes", nil, "revoked at FILE:2", "", "", ""},
	} {
		file := r.write("known_hosts", tt.known)
		who := says()
		if tt.answers != nil {
			who = says(append(tt.answers, "no")...)
		}
		err := r.check(who, "-o", "CheckHostIP=yes", "-o", "StrictHostKeyChecking="+tt.strict, "host").meet(key)
		fill := func(s string) string { return strings.ReplaceAll(s, "FILE", file) }
		if (tt.want == "") != (err == nil) || err != nil && !contained(err.Error(), fill(tt.want)) {
			t.Errorf("%s: %v", tt.name, err)
		}
		if (tt.told == "") != (who.Told() == "") || !contained(who.Told(), tt.told) {
			t.Errorf("%s: told %q", tt.name, who.Told())
		}
		if len(who.Asked()) != len(tt.answers) || tt.asked != "" && !contained(who.Asked()[0].Text, fill(tt.asked)) {
			t.Errorf("%s: asked %+v", tt.name, who.Asked())
		}
		if got := r.remembered(); got != tt.known+tt.after {
			t.Errorf("%s: known_hosts is %q", tt.name, got)
		}
	}
}

// The address on the wire is looked up only where it is the server's and says
// more than its name.
func TestWhenTheAddressIsLookedUp(t *testing.T) {
	r := newRig(t)
	for _, args := range [][]string{{"-o", "CheckHostIP=yes", peerAddress}, {"-o", "CheckHostIP=no", "host"}, {"host"}} {
		if c := r.check(says(), args...); c.query.Address != "" {
			t.Errorf("%q: looks up %s", args, c.query.Address)
		}
	}
	srv := r.server(says(), "-o", "CheckHostIP=yes", "host")
	if c, _ := New(t.Context(), srv); c.query.Address != peerAddress {
		t.Errorf("looks up %q", c.query.Address)
	}
	for _, peer := range []net.Addr{nil, &net.UnixAddr{}, &net.TCPAddr{IP: net.ParseIP("127.0.0.1")}} {
		srv.Peer = peer
		if c, _ := New(t.Context(), srv); c.query.Address != "" {
			t.Errorf("%v: looks up %s", peer, c.query.Address)
		}
	}
}

func TestNoHostAuthenticationForLocalhost(t *testing.T) {
	r := newRig(t)
	r.know(sshtest.NewKey().PublicKey())
	for _, tt := range []struct {
		ip   string
		args []string
		ok   bool
	}{
		{"127.0.0.1", []string{"host"}, true},
		{"::1", []string{"host"}, true},
		{"192.0.2.2", []string{"host"}, false},
		{"127.0.0.1", []string{"-o", "HostKeyAlias=host", "host"}, false},
		{"", []string{"host"}, false}, // not the server's
	} {
		srv := r.server(says(), append([]string{"-o", "NoHostAuthenticationForLocalhost=yes", "-o", "StrictHostKeyChecking=yes"}, tt.args...)...)
		if srv.Peer = nil; tt.ip != "" {
			srv.Peer = &net.TCPAddr{IP: net.ParseIP(tt.ip)}
		}
		c, _ := New(t.Context(), srv)
		if err := c.meet(r.key); (err == nil) != tt.ok || c.update {
			t.Errorf("%s %q: %v, update %v", tt.ip, tt.args, err, c.update)
		}
	}
}

func TestRequiredRSASize(t *testing.T) {
	r := newRig(t)
	k := rsaKey(t).PublicKey()
	r.know(k)
	if err := r.check(says(), "-o", "RequiredRSASize=3072", "host").meet(k); err == nil || !contained(err.Error(), "2048 bits", "RequiredRSASize 3072") {
		t.Errorf("%v", err)
	}
	if err := r.check(says(), "-o", "RequiredRSASize=2048", "host").meet(k); err != nil {
		t.Error(err)
	}
}

// The SSH library keeps a Check for as long as the connection lives, for the
// server's rekeys. Everybody's keys and who waited for the login do not go with it.
func TestAcceptedCheckKeepsNoFile(t *testing.T) {
	r := newRig(t)
	c := r.check(says(), "host")
	files := weak.Make(c.files)
	if err := c.meet(r.key); err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	if files.Value() != nil {
		t.Error("what known_hosts says is kept")
	}
	if err := c.Callback("", nil, r.key); err != nil {
		t.Errorf("at a rekey: %v", err)
	}
	if err := c.Callback("", nil, sshtest.NewKey().PublicKey()); err == nil {
		t.Error("another key was accepted at a rekey")
	}
}
