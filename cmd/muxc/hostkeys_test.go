package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"muxd/internal/sshtest"
)

// ecHostKey writes a host key of a second type and returns its file and how
// known_hosts writes its public half.
func ecHostKey(t *testing.T) (file, public string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(k, "")
	if err != nil {
		t.Fatal(err)
	}
	pub, err := ssh.NewPublicKey(&k.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "host_key_ec")
	if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	return file, strings.TrimSpace(string(ssh.MarshalAuthorizedKey(pub)))
}

// sortedLines makes two files comparable: the order of new keys is the server's.
func sortedLines(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// sshd tells a client that logged in which host keys it has. What muxd makes of
// it is what ssh makes of it, where that is installed.
func TestUpdateHostKeys(t *testing.T) {
	t.Parallel()
	file, public := ecHostKey(t)
	h := startHost(t, "HostKey "+file)
	h.cfg = h.sshd.ClientConfig(t, "box", "UpdateHostKeys yes")
	name, _, _ := strings.Cut(h.sshd.KnownHostsLine, " ")
	first := h.sshd.KnownHostsLine + "\n"
	both := first + name + " " + public + "\n"

	h.echo()
	h.eventually("the second key is known", func() bool { return read(t, h.sshd.KnownHosts) == both })
	if old := read(t, h.sshd.KnownHosts+".old"); old != first {
		t.Errorf("kept %q", old)
	}

	// A key that the server has no longer goes.
	h.run(h.muxc("-O", "exit", "box"), nil)
	h.sshd.Configure(t)
	h.sshd.Restart(t)
	h.echo()
	h.eventually("the second key is forgotten", func() bool { return read(t, h.sshd.KnownHosts) == first })

	t.Run("ssh", func(t *testing.T) {
		sshtest.Require(t, "ssh")
		h.sshd.Configure(t, "HostKey "+file)
		h.sshd.Restart(t)
		// ssh 9.2 ends with a short command before the server's proof came.
		ssh := exec.Command("ssh", "-F", h.cfg, "box", "sleep 1")
		ssh.Env = h.env
		if out, err := ssh.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if got := read(t, h.sshd.KnownHosts); sortedLines(got) != sortedLines(both) {
			t.Errorf("ssh wrote\n%s\nmuxd\n%s", got, both)
		}
	})
}

// A server that comes back with another key is refused, and not a second time
// by itself; ssh-keygen's cure, which the error names, helps.
func TestServerComesBackWithAnotherKey(t *testing.T) {
	t.Parallel()
	sshtest.Require(t, "ssh-keygen")
	h := startHost(t)
	h.echo()
	h.sshd.RotateHostKey(t)
	h.sshd.Restart(t)
	h.sshd.KillSessions()
	before := read(t, h.sshd.KnownHosts)
	changed := `box: host key verification failed: the host key has changed: ` + h.sshd.KnownHosts +
		`:1 lists ED25519 SHA256:\S+, the server presents ED25519 SHA256:\S+; if that is expected: ssh-keygen -f `
	for range 2 {
		h.run(h.muxc("box", "true"), nil).fails(t, changed)
	}
	if n := strings.Count(h.log(), "to=blocked"); n == 0 {
		t.Errorf("the host was never blocked:\n%s", tail(h.log()))
	}
	if read(t, h.sshd.KnownHosts) != before {
		t.Error("known_hosts was changed")
	}
	name, _, _ := strings.Cut(h.sshd.KnownHostsLine, " ")
	if out, err := exec.Command("ssh-keygen", "-f", h.sshd.KnownHosts, "-R", name).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	// Nothing is known now: the key of the last login still counts.
	res := h.run(h.muxc("-o", "StrictHostKeyChecking=accept-new", "box", "true"), nil)
	res.fails(t, `the host key has changed: the last login met ED25519 `)
}
