package main

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"muxd/internal/sshtest"
)

// TestSignalsReachTheCommand: a signal that ends muxc is passed on, so that
// what ran remotely does not go on without anybody.
func TestSignalsReachTheCommand(t *testing.T) {
	t.Parallel()
	h, public := startOrdinaryHost(t)
	for _, sig := range []struct {
		name string
		n    syscall.Signal
	}{{"INT", syscall.SIGINT}, {"TERM", syscall.SIGTERM}, {"HUP", syscall.SIGHUP}} {
		got := filepath.Join(public, "got"+sig.name)
		// Without the redirection bash dies of a closed stderr, on which it tells
		// that sleep was killed, before it comes to the trap.
		p := h.start(h.muxc("box", `exec 2>/dev/null; trap 'echo trapped >`+got+`; exit 7' `+sig.name+`; echo $$; while :; do sleep 0.05; done`), nil)
		p.says("\n")
		pid, _ := strconv.Atoi(strings.TrimSpace(p.out.String()))
		p.signal(sig.n)
		if r := p.wait(); r.code != 255 || r.err != "" {
			t.Errorf("%s: %+v", sig.name, r)
		}
		h.eventually("the command is gone", func() bool { return syscall.Kill(pid, 0) == syscall.ESRCH })
		if b, err := os.ReadFile(got); err != nil || string(b) != "trapped\n" {
			t.Errorf("%s: the command's trap: %q, %v", sig.name, b, err)
		}
	}
	h.echo()
}

// TestSignalledStatus: how the command ends by the signal may be known before
// muxc ends, or not. The status is that of a signal to muxc, every time.
func TestSignalledStatus(t *testing.T) {
	t.Parallel()
	h, _ := startOrdinaryHost(t)
	for range 40 {
		p := h.start(h.muxc("box", "echo up; exec sleep 60"), nil)
		p.says("up\n")
		p.signal(syscall.SIGTERM)
		p.wait().is(t, "up\n", "", 255)
	}
}

// TestIgnoredSignalsStayIgnored: nohup, and what a shell starts in the
// background of a script.
func TestIgnoredSignalsStayIgnored(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	sshtest.Require(t, "nohup")
	in, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	defer w.Close()
	p := h.start(h.command("nohup", bin+"/muxc", "-F", h.cfg, "box", "echo up; read x; echo $x"), in)
	p.says("up\n")
	p.signal(syscall.SIGHUP)
	w.WriteString("done\n")
	w.Close()
	if r := p.wait(); r.out != "up\ndone\n" || r.code != 0 {
		t.Errorf("%+v", r)
	}
}

// startOrdinaryHost is startHost for a login as somebody who is not root: sshd
// passes signals only on to those. public is a directory in which he may write.
func startOrdinaryHost(t *testing.T) (h *host, public string) {
	t.Helper()
	public, err := os.MkdirTemp("/tmp", "muxpublic")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(public) })
	os.Chmod(public, 0o777)
	if os.Geteuid() != 0 {
		return startHost(t), public
	}
	name := ordinaryUser()
	if _, err := os.Stat("/etc/pam.d/sshd"); err != nil || name == "" {
		sshtest.Lacks(t, "/etc/pam.d/sshd", fmt.Errorf("PAM for sshd, and a user with a shell and a home besides root: %q, %v", name, err))
	}
	keys := filepath.Join(public, "keys")
	// PAM lets somebody in by key whose password is locked, as those of packages
	// are; without it sshd does not.
	h = startHost(t, "AuthorizedKeysFile "+keys, "UsePAM yes")
	if err := os.WriteFile(keys, []byte(h.sshd.Key.Line()), 0o644); err != nil {
		t.Fatal(err)
	}
	h.cfg = h.sshd.ClientConfig(t, "box", "User "+name)
	return h, public
}

// ordinaryUser is somebody in /etc/passwd who can log in and is not root.
func ordinaryUser() string {
	f, err := os.Open("/etc/passwd")
	if err != nil {
		return ""
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		e := strings.Split(s.Text(), ":")
		if len(e) != 7 || e[2] == "0" || !strings.HasSuffix(e[6], "sh") {
			continue
		}
		if _, err := os.Stat(e[6]); err != nil {
			continue
		}
		if st, err := os.Stat(e[5]); err == nil && st.IsDir() {
			return e[0]
		}
	}
	return ""
}
