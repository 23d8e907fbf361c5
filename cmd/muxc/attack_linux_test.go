package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/crypto/ssh"

	"muxd/internal/sshtest"
)

// evil is what a server says to take over a terminal: a title, the clipboard, a
// question that the terminal answers as if it were typed, a screen that is
// cleared, the same in C1, and an override of the reading direction.
const evil = "\x1b]0;title\x07\x1b]52;c;ZXZpbA==\x07\x1b[6n\x1b[2J\x1bP+q\x1b\\\u009b6n\u202e\x00\x08\x7f"

// harmless fails where anything of it came to the terminal.
func (s *screen) harmless(what string) {
	s.t.Helper()
	text := s.out.String()
	for _, c := range []string{"\x1b", "\x07", "\x00", "\x08", "\x7f", "\u009b", "\u202e"} {
		if strings.Contains(text, c) {
			s.t.Errorf("%s: %q came to the terminal: %q", what, c, text)
		}
	}
	if !strings.Contains(text, "title") {
		s.t.Errorf("%s: the server's text is not there: %q", what, text)
	}
}

// TestEscapesOfAServer: nothing that a server says in muxd's and muxc's own
// lines controls the terminal, whichever way it comes.
func TestEscapesOfAServer(t *testing.T) {
	t.Parallel()
	t.Run("banner and question", func(t *testing.T) {
		h, _ := startServer(t, sshtest.Options{Banner: "Welcome" + evil + "\r\n", Interactive: []sshtest.Round{{
			Name: evil, Instruction: evil, Questions: []sshtest.Question{{Text: "Code" + evil + ": ", Answer: "1"}}}}})
		s := h.onScreen(h.muxc("box", "echo hi"))
		s.shows("Code")
		s.types("1\n")
		s.ends(0)
		s.harmless("login")
	})
	t.Run("refused channel", func(t *testing.T) {
		h, _ := startServer(t, sshtest.Options{Direct: func(context.Context, string) (io.ReadWriteCloser, error) {
			return nil, &ssh.OpenChannelError{Reason: ssh.Prohibited, Message: evil}
		}})
		s := h.onScreen(h.muxc("-W", "x:1", "box"))
		s.ends(255)
		s.harmless("open")
	})
	t.Run("no SSH at all", func(t *testing.T) {
		h, _ := startServer(t, sshtest.Options{Greeting: "Go away" + evil + "\r\n"})
		s := h.onScreen(h.muxc("box", "echo hi"))
		s.ends(255)
		s.harmless("greeting")
		// What is told about the host later, to another client, comes from the same text.
		s = h.onScreen(h.command("muxd", "status"))
		s.ends(0)
		if text := s.out.String(); strings.Contains(text, "title") && strings.ContainsAny(text, "\x07\x00\u009b\u202e") {
			t.Errorf("status: %q", text)
		}
	})
}

// asAnother has a program of the system run as another user.
func asAnother(c *exec.Cmd) *exec.Cmd {
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	return c
}

// TestNobodyTracesIt: a program of the same user, which is not root, may neither
// read muxd's memory nor its environment nor its descriptors, by the same check of
// the kernel's by which it might attach to it (ptrace(2)); and there is never a
// core file.
func TestNobodyTracesIt(t *testing.T) {
	t.Parallel()
	sshtest.Require(t, "netns") // root, to be somebody else
	h := newHost(t)
	if err := os.Chown(h.dir, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	h.start(asAnother(h.command("muxd")), nil)
	h.eventually("muxd listens", func() bool { return len(pidsIn(h.logPath())) == 1 })
	proc := fmt.Sprintf("/proc/%d/", h.pid())
	own := asAnother(exec.Command("cat", "/proc/self/environ"))
	if out, err := own.CombinedOutput(); err != nil {
		t.Fatalf("the test needs a program that may look at itself: %v, %s", err, out)
	}
	for _, name := range []string{"mem", "environ", "maps", "fd/0", "auxv"} {
		out, err := asAnother(exec.Command("head", "-c1", proc+name)).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "Permission denied") {
			t.Errorf("%s: %v, %q", name, err, out)
		}
	}
	limits := read(t, proc+"limits")
	for line := range strings.Lines(limits) {
		if f := strings.Fields(line); strings.HasPrefix(line, "Max core file size") && (f[4] != "0" || f[5] != "0") {
			t.Errorf("core files: %s", line)
		}
	}
	if !strings.Contains(limits, "Max core file size") {
		t.Errorf("no limit of core files: %q", limits)
	}
}

// TestFilesTellNoSecrets: what muxd writes is for its user alone, and has no
// password, no command line and no variable of a client in it.
func TestFilesTellNoSecrets(t *testing.T) {
	t.Parallel()
	h, _ := startServer(t, sshtest.Options{Password: "pass-secret", Interactive: nil})
	h.setenv("LC_SECRET", "env-secret")
	s := h.onScreen(h.muxc("box", "echo command-secret"))
	s.shows("password: ")
	s.types("wrong-secret\n")
	s.shows("password: ")
	s.types("pass-secret\n")
	s.ends(0)
	h.run(h.muxc("box", "exit 3 # command-secret"), nil)
	h.run(h.muxc("box", "no-such-command-secret"), nil)
	h.run(h.command("muxd", "stop"), nil)
	seen := 0
	err := filepath.WalkDir(h.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == h.dir || path == h.cfg || strings.HasSuffix(path, "known_hosts") || strings.Contains(path, "/.config") {
			return err
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		if fi.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, fi.Mode())
		}
		if !fi.Mode().IsRegular() {
			return nil
		}
		seen++
		text := read(t, path)
		for _, secret := range []string{"secret", base64.StdEncoding.EncodeToString([]byte("pass-secret"))} {
			if strings.Contains(text, secret) {
				t.Errorf("%s has %q: %q", path, secret, tail(text))
			}
		}
		return nil
	})
	if err != nil || seen == 0 {
		t.Errorf("%d files, %v", seen, err)
	}
}

// TestProxyCommandsEnvironment: a ProxyCommand has the environment of the client
// that wants the connection, as with ssh, and not that of whoever started muxd.
func TestProxyCommandsEnvironment(t *testing.T) {
	t.Parallel()
	h, srv := startServer(t, sshtest.Options{})
	h.setenv("SECRET", "of the first")
	h.run(h.muxc("box", "echo hi"), nil).is(t, "hi\n", "", 0)
	mark := filepath.Join(h.dir, "mark")
	h.configure(lastAddr(t, h), srv.HostKey(), "ProxyCommand env >"+mark+"; exit 1")
	h.setenv("SECRET", "of the second")
	h.run(h.muxc("box", "true"), nil).fails(t, "")
	got := read(t, mark)
	if strings.Contains(got, "of the first") {
		t.Errorf("the environment of muxd's start: %q", got)
	}
	if strings.Contains(got, "MUXD_READY_FD") || strings.Contains(got, "LISTEN_FDS") {
		t.Errorf("what is muxd's own: %q", got)
	}
}
