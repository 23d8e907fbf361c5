package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"muxd/internal/sshtest"
)

// agentHost is a host whose clients may bring an agent.
func agentHost(t *testing.T, lines ...string) *host {
	t.Helper()
	t.Parallel()
	sshtest.Require(t, "ssh-add")
	h := startHost(t, lines...)
	h.cfg = h.sshd.ClientConfig(t, "box", "IdentityAgent SSH_AUTH_SOCK")
	return h
}

// agentWith is an agent with a new key, and the key's fingerprint.
func agentWith(t *testing.T) (*sshtest.Agent, string) {
	t.Helper()
	k := sshtest.NewKey()
	return sshtest.ServeAgent(t, k), ssh.FingerprintSHA256(k.PublicKey())
}

// farKeys has a session list the keys that it sees at the far end: fingerprints,
// "none" without an agent there, or "refused" of one that is of no use. sshd has
// one socket for all sessions of a connection, so those that asked for none see
// it too once one did, and are refused.
func (h *host) farKeys(args ...string) string {
	h.t.Helper()
	r := h.run(h.muxc(append(args, "box", `[ -n "$SSH_AUTH_SOCK" ] || { echo none; exit; }; ssh-add -l 2>&1; true`)...), nil)
	if r.code != 0 || r.err != "" {
		h.t.Errorf("%q: exit %d, stderr %q", args, r.code, r.err)
	}
	if found := regexp.MustCompile(`SHA256:\S+`).FindAllString(r.out, -1); found != nil {
		return strings.Join(found, " ")
	}
	if strings.HasPrefix(r.out, "none") {
		return "none"
	}
	return "refused"
}

func (h *host) wantKeys(want string, args ...string) {
	h.t.Helper()
	if got := h.farKeys(args...); got != want {
		h.t.Errorf("%q: at the far end %q, want %q", args, got, want)
	}
}

// TestAgentForwarding: what asks for it has it, what does not has none, and all
// of it takes one login.
func TestAgentForwarding(t *testing.T) {
	h := agentHost(t)
	agent, key := agentWith(t)
	other, otherKey := agentWith(t)
	h.setenv("SSH_AUTH_SOCK", agent.Path)
	h.wantKeys("none")
	h.wantKeys(key, "-A")
	h.wantKeys(key, "-o", "ForwardAgent=yes")
	h.wantKeys("refused", "-A", "-a")
	h.setenv("MUXTEST_AGENT", other.Path)
	h.wantKeys(otherKey, "-o", "ForwardAgent=$MUXTEST_AGENT")
	h.wantKeys(otherKey, "-o", "ForwardAgent="+other.Path)
	h.wantKeys("refused")
	// Of a variable that is not set, and without an agent of one's own: none.
	h.setenv("MUXTEST_AGENT", "")
	h.wantKeys("refused", "-o", "ForwardAgent=$MUXTEST_AGENT")
	h.setenv("SSH_AUTH_SOCK", "")
	h.wantKeys("refused", "-A")
	if n := h.sshd.Logins(); n != 1 {
		t.Errorf("%d logins, want 1", n)
	}
}

// TestTwoAgentsTwoLogins: sessions with different agents at the same time see
// their own.
func TestTwoAgentsTwoLogins(t *testing.T) {
	h := agentHost(t)
	var keys []string
	var ps []*running
	script := `echo ready; read line; ssh-add -l`
	for range 2 {
		agent, key := agentWith(t)
		h.setenv("SSH_AUTH_SOCK", agent.Path)
		for range 2 {
			r, w := pipe(t)
			p := h.start(h.muxc("-A", "box", script), r)
			p.says("ready")
			ps, keys = append(ps, p), append(keys, key)
			t.Cleanup(func() { w.Close() })
			defer w.WriteString("go\n")
		}
	}
	if n := h.sshd.Logins(); n != 2 {
		t.Errorf("%d logins, want 2", n)
	}
	t.Cleanup(func() {
		for i, p := range ps {
			if r := p.wait(); !strings.Contains(r.out, keys[i]) || strings.Count(r.out, "SHA256:") != 1 || r.code != 0 {
				t.Errorf("client %d: %+v, want %s", i, r, keys[i])
			}
		}
	})
}

// TestAgentIsUsed: ssh and git at the far end log in with the key of this end's
// agent, which never leaves it.
func TestAgentIsUsed(t *testing.T) {
	h := agentHost(t)
	sshtest.Require(t, "git", "ssh")
	k := sshtest.NewKey()
	agent := sshtest.ServeAgent(t, k)
	h.sshd.Authorize(t, h.sshd.Key, k)
	h.setenv("SSH_AUTH_SOCK", agent.Path)
	on := fmt.Sprintf("ssh -F none -o UserKnownHostsFile=%s -o GlobalKnownHostsFile=/dev/null -o IdentityFile=none -o BatchMode=yes -p %d",
		h.sshd.KnownHosts, h.sshd.Port)
	to := h.sshd.User + "@" + h.sshd.Host
	h.run(h.muxc("-A", "box", on+" "+to+" 'echo from there'"), nil).is(t, "from there\n", "", 0)
	if n := agent.Signs(); n != 1 {
		t.Errorf("%d signatures", n)
	}
	env := "GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b"
	script := "export " + env + " GIT_SSH_COMMAND='" + on + "'; cd " + h.dir + " && git init -q -b main origin && echo text >origin/file && " +
		"git -C origin add . && git -C origin commit -qm one && git clone -q " + to + ":" + h.dir + "/origin clone && cat clone/file"
	h.run(h.muxc("-A", "box", script), nil).is(t, "text\n", "", 0)
	if r := h.run(h.muxc("box", on+" "+to+" true"), nil); r.code != 255 || !strings.Contains(r.err, "Permission denied") {
		t.Errorf("without -A: %+v", r)
	}
}

// TestDeadAgent: a session whose agent is gone runs all the same, and has none at
// the far end, as with ssh.
func TestDeadAgent(t *testing.T) {
	h := agentHost(t)
	h.setenv("SSH_AUTH_SOCK", filepath.Join(h.dir, "nobody"))
	for range 2 {
		h.wantKeys("none", "-A")
	}
	h.run(h.muxc("-A", "box", "seq 3"), nil).is(t, "1\n2\n3\n", "", 0)
	agent, key := agentWith(t)
	h.setenv("SSH_AUTH_SOCK", agent.Path)
	h.wantKeys(key, "-A")
	if n := h.sshd.Logins(); n != 1 {
		t.Errorf("%d logins, want 1", n)
	}
}

// TestAgentEndsWithItsSession: a program that stays at the far end has no agent
// any more.
func TestAgentEndsWithItsSession(t *testing.T) {
	h := agentHost(t)
	agent, key := agentWith(t)
	h.setenv("SSH_AUTH_SOCK", agent.Path)
	holder, held := pipe(t)
	lasting := h.start(h.muxc("-A", "box", `echo "$SSH_AUTH_SOCK"; read line`), holder)
	lasting.says("\n")
	socket := strings.TrimSpace(lasting.out.String())
	list := "SSH_AUTH_SOCK=" + socket + " ssh-add -l 2>&1"
	if r := h.run(h.muxc("box", list), nil); !strings.Contains(r.out, key) {
		t.Errorf("while it lasts: %+v", r)
	}
	lasting.cmd.Process.Kill()
	held.Close()
	h.eventually("the agent is taken back", func() bool {
		r := h.run(h.muxc("box", list), nil)
		return r.code != 0 && !strings.Contains(r.out, key)
	})
}

// TestSecondAgentAndAPerson: where another login needs a person, the second agent
// is refused in a sentence, and nobody is asked.
func TestSecondAgentAndAPerson(t *testing.T) {
	h := agentHost(t)
	h.own("WaitForReady no\nRememberSecrets no\n")
	secret := sshtest.NewKey()
	h.sshd.Authorize(t, secret)
	file := secret.WriteFile(t, t.TempDir(), "id", "open sesame")
	h.cfg = h.sshd.ClientConfig(t, "box", "IdentityAgent SSH_AUTH_SOCK", "IdentityFile "+file)
	asked := filepath.Join(h.dir, "asked")
	program := write(t, filepath.Join(h.dir, "askpass"), "#!/bin/sh\necho >>"+asked+"\necho open sesame\n")
	if err := os.Chmod(program, 0o700); err != nil {
		t.Fatal(err)
	}
	h.setenv("SSH_ASKPASS", program)
	h.setenv("SSH_ASKPASS_REQUIRE", "force")
	one, key := agentWith(t)
	two, twoKey := agentWith(t)
	h.setenv("SSH_AUTH_SOCK", one.Path)
	r, w := pipe(t)
	first := h.start(h.muxc("-A", "box", "echo ready; read line; ssh-add -l"), r)
	first.says("ready")
	times := len(maybe(asked))
	h.setenv("SSH_AUTH_SOCK", two.Path)
	for range 2 {
		h.run(h.muxc("-A", "box", "true"), nil).fails(t, `box: another agent is forwarded on the connection, and a second one cannot be made without a person: end the session that forwards it, or use a connection of its own \(-S none\)`)
	}
	h.echo()
	if n := len(maybe(asked)); n != times || times == 0 {
		t.Errorf("asked %d times at first and %d after that", times, n-times)
	}
	w.WriteString("go\n")
	if res := first.wait(); !strings.Contains(res.out, key) || res.code != 0 {
		t.Errorf("the first: %+v", res)
	}
	h.wantKeys(twoKey, "-A")
	if n := h.sshd.Logins(); n != 1 {
		t.Errorf("%d logins, want 1", n)
	}
}

// TestAgentForwardingRefused: a server that allows none gives none, and the
// command runs.
func TestAgentForwardingRefused(t *testing.T) {
	h := agentHost(t, "AllowAgentForwarding no")
	agent, _ := agentWith(t)
	h.setenv("SSH_AUTH_SOCK", agent.Path)
	h.wantKeys("none", "-A")
}
