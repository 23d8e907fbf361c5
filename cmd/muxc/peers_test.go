package main

import (
	"bytes"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"muxd/internal/sshtest"
)

// wrapped is muxc with the host's configuration, as one word: what programs are
// told to call in ssh's place.
func (h *host) wrapped() string {
	h.t.Helper()
	path := filepath.Join(h.dir, "wrapped")
	text := "#!/bin/sh\nexec " + bin + "/muxc -F " + h.cfg + " \"$@\"\n"
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		h.t.Fatal(err)
	}
	return path
}

// random is a file with contents that nothing can guess.
func (h *host) random(name string, size int) string {
	h.t.Helper()
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	return write(h.t, filepath.Join(h.dir, name), string(b))
}

func (h *host) same(a, b string) {
	h.t.Helper()
	if !bytes.Equal([]byte(read(h.t, a)), []byte(read(h.t, b))) {
		h.t.Errorf("%s is not %s", b, a)
	}
}

// ok runs a program that must succeed and say nothing on stderr.
func (h *host) ok(c *exec.Cmd) result {
	h.t.Helper()
	r := h.run(c, nil)
	if r.code != 0 || r.err != "" {
		h.t.Fatalf("%v: exit %d, stdout %.300q, stderr %.1000q", c.Args, r.code, r.out, r.err)
	}
	return r
}

// peerHost is a host whose peers are there, with one login at its end.
func peerHost(t *testing.T, programs ...string) *host {
	t.Helper()
	t.Parallel()
	sshtest.Require(t, programs...)
	h := startHost(t)
	t.Cleanup(func() {
		if n := h.sshd.Logins(); n != 1 && !t.Failed() {
			t.Errorf("%d logins, want 1", n)
		}
	})
	return h
}

func TestGit(t *testing.T) {
	h := peerHost(t, "git")
	h.env = append(h.env, "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null", "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@b",
		"GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@b", "GIT_SSH="+h.wrapped())
	origin := filepath.Join(h.dir, "origin")
	h.ok(h.command("git", "init", "-q", "-b", "main", origin))
	h.random("origin/file", 1<<20)
	h.ok(h.command("git", "-C", origin, "add", "."))
	h.ok(h.command("git", "-C", origin, "commit", "-qm", "one"))
	h.ok(h.command("git", "-C", origin, "config", "receive.denyCurrentBranch", "updateInstead"))
	// A port in the URL is passed on only if git's probe by -G found an ssh.
	url := "ssh://box:" + port(h) + origin
	h.ok(h.command("git", "clone", "-q", url, "clone"))
	h.same(filepath.Join(origin, "file"), filepath.Join(h.dir, "clone/file"))
	h.random("clone/file", 1<<20)
	h.ok(h.command("git", "-C", "clone", "commit", "-qam", "two"))
	h.ok(h.command("git", "-C", "clone", "push", "-q"))
	h.same(filepath.Join(h.dir, "clone/file"), filepath.Join(origin, "file"))
	h.ok(h.command("git", "-C", "clone", "fetch", "-q"))
}

func port(h *host) string {
	_, after, _ := strings.Cut(read(h.t, h.cfg), "Port ")
	return strings.Fields(after)[0]
}

func TestRsync(t *testing.T) {
	h := peerHost(t, "rsync")
	a := h.random("a", 3<<20)
	h.ok(h.command("rsync", "-a", "-e", h.wrapped(), a, "box:"+h.dir+"/b"))
	h.same(a, h.dir+"/b")
	h.ok(h.command("rsync", "-az", "-e", h.wrapped(), "box:"+h.dir+"/b", h.dir+"/c"))
	h.same(a, h.dir+"/c")
}

func TestScp(t *testing.T) {
	h := peerHost(t, "scp")
	a := h.random("a", 3<<20)
	for i, protocol := range [][]string{nil, {"-O"}} {
		up, down := filepath.Join(h.dir, "up"), filepath.Join(h.dir, "down")
		h.ok(h.command("scp", append(protocol, "-q", "-S", h.wrapped(), a, "box:"+up)...))
		h.same(a, up)
		h.ok(h.command("scp", append(protocol, "-q", "-S", h.wrapped(), "box:"+up, down)...))
		h.same(a, down)
		os.Remove(up)
		os.Remove(down)
		if t.Failed() {
			t.Fatalf("protocol %d", i)
		}
	}
}

func TestSftp(t *testing.T) {
	h := peerHost(t, "sftp")
	a := h.random("a", 3<<20)
	batch := write(t, filepath.Join(h.dir, "batch"), "put "+a+" "+h.dir+"/b\nget "+h.dir+"/b "+h.dir+"/c\n")
	h.ok(h.command("sftp", "-q", "-S", h.wrapped(), "-b", batch, "box"))
	h.same(a, h.dir+"/b")
	h.same(a, h.dir+"/c")
}

func TestAnsible(t *testing.T) {
	h := peerHost(t, "ansible", "python3")
	h.env = append(h.env, "ANSIBLE_LOCAL_TEMP="+h.dir+"/at", "ANSIBLE_SSH_CONTROL_PATH_DIR="+h.dir+"/cp", "ANSIBLE_NOCOLOR=1",
		"ANSIBLE_HOME="+h.dir, "LC_ALL=C.UTF-8",
		"ANSIBLE_SSH_ARGS=-o ControlMaster=auto -o ControlPersist=10m", // its own is a minute, which python may take to start
		"ANSIBLE_SSH_USETTY=False")                                     // an sshd without root may make no terminal
	a := h.random("a", 100<<10)
	common := []string{"box", "-i", "box,", "-o", "-e", "ansible_ssh_executable=" + h.wrapped(), "-e", "ansible_python_interpreter=/usr/bin/python3",
		"-e", "ansible_remote_tmp=" + h.dir + "/rt", "-e", "ansible_sftp_executable=" + h.dir + "/nosftp", "-e", "ansible_scp_extra_args=-S" + h.wrapped(), "-e", "ansible_ssh_transfer_method=piped"}
	for _, args := range [][]string{{"-m", "raw", "-a", "echo works"}, {"-m", "copy", "-a", "src=" + a + " dest=" + h.dir + "/b"}} {
		r := h.run(h.command("ansible", append(common, args...)...), nil)
		if r.code != 0 || !strings.Contains(r.out, "box | ") || strings.Contains(r.out, "UNREACHABLE") || strings.Contains(r.out, "FAILED") {
			t.Fatalf("%v: exit %d, %q, %q", args, r.code, r.out, r.err)
		}
	}
	h.same(a, h.dir+"/b")
}
