package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"muxd/internal/sshtest"
)

// prepared is a host whose configuration has stock ssh use muxd, as muxd install
// prints it, with a second name of the same machine and key.
func prepared(t *testing.T, programs ...string) *host {
	t.Helper()
	sshtest.Require(t, append(programs, "ssh")...)
	h := startHost(t)
	h.prepare()
	return h
}

// prepare puts the block into the configuration.
func (h *host) prepare() {
	h.t.Helper()
	path := filepath.Join(h.dir, "c") + "/%C"
	block := "Match final exec \"" + bin + "/muxc -F " + h.cfg + " -O prepare -S " + path + " -l %r -p %p %n\"\n  ControlPath " + path + "\n"
	text := strings.Replace(read(h.t, h.cfg), "Host box", "Host box box2", 1)
	write(h.t, h.cfg, text+block)
}

// ssh is stock ssh with the host's configuration.
func (h *host) ssh(args ...string) *exec.Cmd {
	return h.command("ssh", append([]string{"-F", h.cfg}, args...)...)
}

// served are the ControlPaths that are served.
func (h *host) served() []string {
	all, _ := filepath.Glob(filepath.Join(h.dir, "c", "*"))
	return all
}

// TestPrepare: the first ssh starts muxd and makes the login, and every one after
// it, by whatever name of the same login, goes through that.
func TestPrepare(t *testing.T) {
	t.Parallel()
	h := prepared(t)
	for _, name := range []string{"box", "box", "box2"} {
		h.run(h.ssh(name, "echo out; echo err >&2; exit 3"), nil).is(t, "out\n", "err\n", 3)
	}
	h.run(h.ssh("box", "cat"), strings.NewReader("typed")).is(t, "typed", "", 0)
	h.echo()
	if n := h.sshd.Logins(); n != 1 {
		t.Errorf("%d logins, want 1", n)
	}
	if p := h.served(); len(p) != 1 {
		t.Errorf("served: %v", p)
	}
	r := h.run(h.ssh("-O", "check", "box"), nil)
	if r.code != 0 || !strings.Contains(r.err, "Master running") {
		t.Errorf("-O check: %+v", r)
	}
	h.run(h.ssh("-O", "exit", "box"), nil).is(t, "", "Exit request sent.\r\n", 0)
	h.eventually("the path goes with the connection", func() bool { return len(h.served()) == 0 })
	h.run(h.ssh("box", "echo again"), nil).is(t, "again\n", "", 0)
	if n := h.sshd.Logins(); n != 2 {
		t.Errorf("%d logins after -O exit, want 2", n)
	}
}

// TestPrepareDeclines: what was typed at ssh and does not come along is ssh's
// own business, and so is what makes no connection.
func TestPrepareDeclines(t *testing.T) {
	t.Parallel()
	h := prepared(t)
	if r := h.run(h.ssh("-G", "box"), nil); r.code != 0 || !strings.Contains(r.out, "controlpath "+h.dir) {
		t.Errorf("-G: exit %d, %.300q", r.code, r.err)
	}
	if r := h.run(h.ssh("-O", "check", "box"), nil); r.code != 255 {
		t.Errorf("-O check without a connection: %+v", r)
	}
	if n := h.sshd.Logins(); n != 0 {
		t.Errorf("%d logins for -G and -O check", n)
	}
	other := filepath.Join(h.dir, "known")
	write(t, other, read(t, h.sshd.KnownHosts))
	for i, args := range [][]string{{"-i", h.sshd.ClientKey}, {"-o", "UserKnownHostsFile=" + other}, {"-S", "none"}, {"-o", "ControlPath=none"},
		{"-b", "127.0.0.1"}, {"-c", "aes128-ctr"}} {
		h.run(h.ssh(append(args, "box", "echo own")...), nil).is(t, "own\n", "", 0)
		if n := h.sshd.Logins(); n != i+1 {
			t.Errorf("ssh %v: %d logins, want %d", args, n, i+1)
		}
	}
	if p := h.served(); len(p) != 0 {
		t.Errorf("served: %v", p)
	}
}

// TestPrepareTwoKeys: two names of one machine that log in by different keys have
// the same %C, and never share.
func TestPrepareTwoKeys(t *testing.T) {
	t.Parallel()
	h := prepared(t)
	key := filepath.Join(h.dir, "other")
	write(t, key, read(t, h.sshd.ClientKey))
	os.Chmod(key, 0o600)
	write(t, h.cfg, strings.Replace(read(t, h.cfg), "Host box box2", "Host other\n  IdentityFile "+key+"\nHost box box2 other", 1))
	before := h.sshd.Logins()
	h.run(h.ssh("box", "echo one"), nil).is(t, "one\n", "", 0)
	h.run(h.ssh("other", "echo two"), nil).is(t, "two\n", "", 0)
	h.run(h.ssh("box", "echo three"), nil).is(t, "three\n", "", 0)
	if n := h.sshd.Logins() - before; n < 2 {
		t.Errorf("%d logins, want one for each key", n)
	}
}

// TestPrepareUnserved: a path that is not in muxd's own directory is not served,
// and ssh goes its own way.
func TestPrepareUnserved(t *testing.T) {
	t.Parallel()
	h := prepared(t)
	write(t, h.cfg, strings.ReplaceAll(read(t, h.cfg), filepath.Join(h.dir, "c")+"/", h.dir+"/elsewhere-"))
	h.run(h.ssh("box", "echo own"), nil).is(t, "own\n", "", 0)
	h.run(h.muxc("-O", "prepare", "-S", filepath.Join(h.dir, "x"), "box"), nil).is(t, "", "", 1)
	h.run(h.muxc("-O", "prepare", "box"), nil).is(t, "", "", 1)
}

// TestPrepareForPeers: what starts ssh notices nothing.
func TestPrepareForPeers(t *testing.T) {
	t.Parallel()
	h := prepared(t, "scp", "sftp", "rsync", "git")
	big := h.random("big", 3<<20)
	at := func(name string) string { return filepath.Join(h.dir, name) }
	h.ok(h.command("scp", "-F", h.cfg, big, "box:"+at("a")))
	h.same(big, at("a"))
	h.ok(h.command("scp", "-O", "-F", h.cfg, "box:"+big, at("b")))
	h.same(big, at("b"))
	h.ok(h.command("rsync", "-a", "-e", "ssh -F "+h.cfg, big, "box:"+at("d")))
	h.same(big, at("d"))
	h.ok(h.command("git", "init", "-q", at("g")))
	h.ok(h.command("git", "-C", at("g"), "-c", "user.name=n", "-c", "user.email=e@x", "commit", "-q", "--allow-empty", "-m", "m"))
	clone := h.command("git", "clone", "-q", "box:"+at("g"), at("h"))
	clone.Env = append(append([]string(nil), h.env...), "GIT_SSH_COMMAND=ssh -F "+h.cfg)
	h.ok(clone)
	if n := h.sshd.Logins(); n != 1 {
		t.Errorf("%d logins, want 1", n)
	}
}

// TestControlSockets: a path for every host that is up, without asking for it.
func TestControlSockets(t *testing.T) {
	t.Parallel()
	sshtest.Require(t, "ssh")
	h := startHost(t)
	h.own("ControlSockets yes\nWaitForReady no\n")
	h.echo()
	if len(h.served()) != 1 {
		t.Fatalf("served: %v", h.served())
	}
	h.run(h.ssh("-o", "ControlPath="+filepath.Join(h.dir, "c")+"/%C", "box", "echo found"), nil).is(t, "found\n", "", 0)
	if n := h.sshd.Logins(); n != 1 {
		t.Errorf("%d logins, want 1", n)
	}
	h.run(h.muxc("-O", "exit", "box"), nil)
	h.eventually("the path goes with the connection", func() bool { return len(h.served()) == 0 })
}
