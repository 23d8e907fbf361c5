package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"muxd/internal/sshtest"
)

// realAgent runs an ssh-agent of OpenSSH's for what the host starts from now on.
func (h *host) realAgent() {
	h.t.Helper()
	sock := filepath.Join(h.dir, "agent")
	c := exec.Command("ssh-agent", "-D", "-a", sock)
	if err := c.Start(); err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { c.Process.Kill(); c.Wait() })
	h.eventually("ssh-agent listens", func() bool { _, err := os.Stat(sock); return err == nil })
	h.setenv("SSH_AUTH_SOCK", sock)
}

// adds has the agent hold a key, with the arguments of ssh-add.
func (h *host) adds(k *sshtest.Key, args ...string) {
	h.t.Helper()
	file := k.WriteFile(h.t, h.t.TempDir(), "key", "")
	h.run(h.command("ssh-add", append(args, file)...), nil).is(h.t, "", "", 0)
}

// TestDestinationConstrainedKeys: of a key that its owner gave to an ssh-agent for
// some hosts alone, the agent believes which host it signs for and is lent to, and
// so gives it to those and to no others.
func TestDestinationConstrainedKeys(t *testing.T) {
	t.Parallel()
	sshtest.Require(t, "ssh-agent", "ssh-add", "ssh")
	h, servers := startHosts(t, "a", "b", "c")
	own := "IdentityAgent SSH_AUTH_SOCK\nIdentityFile none\nIdentitiesOnly no\nBatchMode yes"
	h.configureAll(servers, map[string]string{"a": own, "b": own, "c": own})
	keys := map[string]*sshtest.Key{}
	known := ""
	for name, s := range servers {
		known += fmt.Sprintf("%s %s", name, ssh.MarshalAuthorizedKey(s.HostKey))
		keys[name] = sshtest.NewKey()
	}
	onward := sshtest.NewKey()
	servers["a"].Authorize(t, keys["a"])
	servers["b"].Authorize(t, keys["b"], onward)
	servers["c"].Authorize(t, keys["a"], keys["b"], onward) // for which the agent has none
	h.realAgent()
	file := write(t, filepath.Join(h.dir, "known"), known)
	if r := h.run(h.command("ssh-add", "-H", file, "-h", "nowhere", file), nil); strings.Contains(r.err, "illegal option") {
		sshtest.Lacks(t, "ssh-add", fmt.Errorf("one that knows destinations: %s", r.err))
	}
	h.adds(keys["a"], "-q", "-H", file, "-h", "a")
	h.adds(keys["b"], "-q", "-H", file, "-h", "b")
	h.adds(onward, "-q", "-H", file, "-h", "a", "-h", "a>b")

	h.worksOn("a")
	h.worksOn("b")
	for range 2 { // the second time with the first one's refusal behind it
		h.run(h.muxc("c", "true"), nil).fails(t, `c: .*Permission denied \(publickey.*`)
	}
	// Lent to a, there is the key that may go on from there, and no other.
	fingerprint := func(k *sshtest.Key) string { return ssh.FingerprintSHA256(k.PublicKey()) }
	far := h.run(h.muxc("-A", "a", "ssh-add -l"), nil)
	if !strings.Contains(far.out, fingerprint(onward)) || strings.Contains(far.out, fingerprint(keys["a"])) || strings.Contains(far.out, fingerprint(keys["b"])) {
		t.Errorf("lent to a: %q, want %s alone", far.out, fingerprint(onward))
	}
	far = h.run(h.muxc("-A", "b", "ssh-add -l"), nil)
	if strings.Contains(far.out, "SHA256") {
		t.Errorf("lent to b: %q, want none", far.out)
	}
	to := func(name string) string {
		s := servers[name]
		return fmt.Sprintf("ssh -F none -o UserKnownHostsFile=%s -o GlobalKnownHostsFile=/dev/null -o IdentityFile=none -o BatchMode=yes -p %d %s@%s",
			s.KnownHosts, s.Port, s.User, s.Host)
	}
	h.run(h.muxc("-A", "a", to("b")+" 'echo from b'"), nil).is(t, "from b\n", "", 0)
	for _, way := range [][2]string{{"a", "c"}, {"b", "c"}} {
		if r := h.run(h.muxc("-A", way[0], to(way[1])+" true"), nil); r.code != 255 || !strings.Contains(r.err, "Permission denied") {
			t.Errorf("from %s to %s: %+v", way[0], way[1], r)
		}
	}
}
