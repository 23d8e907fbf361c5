package main

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"muxd/internal/sshtest"
)

// onShell is a terminal with a shell of the kind a person has, job control
// included, with the prompt "L> "; $muxc is the program with the configuration.
func (h *host) onShell() *screen {
	h.t.Helper()
	sshtest.Require(h.t, "bash")
	c := h.command("bash", "--norc", "--noprofile", "-i")
	c.Env = append(append([]string(nil), h.env...), "PS1=L> ", "muxc="+bin+"/muxc -F "+h.cfg)
	s := h.onScreen(c)
	s.shows("L> ")
	return s
}

// TestSuspendByEscape: muxc is a job of its shell, and goes on as it was, with
// the size the terminal has by then.
func TestSuspendByEscape(t *testing.T) {
	t.Parallel()
	h := startShellHost(t)
	s := h.onShell()
	s.types("stty erase ^H; $muxc box\r")
	s.shows("R> ")
	raw := s.modes()
	for i := range 3 {
		s.types("~\x1a")
		s.shows("~^Z [suspend muxc]\r\n")
		s.shows("Stopped")
		s.shows("L> ")
		s.types("stty -a | grep -o 'erase = ^H'; echo lo''cal\r")
		s.shows("erase = ^H\r\n")
		s.shows("local\r\n")
		s.shows("L> ")
		s.resize(uint16(50+i), uint16(90+i))
		s.types("fg\r")
		s.shows("fg\r\n")
		s.h.eventually("the terminal is raw again", func() bool { return s.modes() == raw })
		s.types("\rstty size\r")
		s.shows(fmt.Sprintf("%d %d\r\n", 50+i, 90+i))
		s.shows("R> ")
	}
	s.types("exit 4\r")
	s.shows("L> ")
	s.types("echo ended $?; stty -a | grep -o 'erase = ^H'\r")
	s.shows("ended 4\r\n")
	s.shows("erase = ^H\r\n")
	s.types("exit\r")
	s.ends(0)
}

// TestStoppedByAnother: by a signal that nobody can take, in the middle of much
// output.
func TestStoppedByAnother(t *testing.T) {
	t.Parallel()
	h := startShellHost(t)
	s := h.onShell()
	s.types("$muxc box\r")
	s.shows("R> ")
	raw := s.modes()
	end := filepath.Join(h.dir, "end")
	s.types("n=0; until test -e " + end + "; do n=$((n+1)); echo line $n; done; echo all sa''id $n\r")
	s.shows("line 10\r\n")
	kill(t, h.clientPID(s), unix.SIGSTOP)
	s.shows("Stopped")
	s.shows("L> ")
	h.echo() // others go on
	os.WriteFile(end, nil, 0o600)
	s.types("fg\r")
	n, _ := strconv.Atoi(s.expect(`all said (\d+)\r+\n`)[1])
	s.shows("R> ")
	// The shell's words may stand in the middle of a line, and until muxc has the
	// terminal again, that adds carriage returns.
	text := regexp.MustCompile(`(?s)\r?\n\[1\]\+ +Stopped.*?L> fg\r\n\$muxc box\r\n`).ReplaceAllString(s.out.String(), "")
	text = regexp.MustCompile(`\r+\n`).ReplaceAllString(text, "\n")
	for i, from := 1, strings.Index(text, "line 1\n"); i <= n; i++ {
		line := fmt.Sprintf("line %d\n", i)
		at := strings.Index(text[from:], line)
		if at < 0 {
			t.Fatalf("%q of %d lines is missing behind %q, before %q", line, n, lastOf(text[:from]), text[from:min(from+500, len(text))])
		}
		if at > 0 {
			t.Fatalf("%q before %q", text[from:from+at], line)
		}
		from += len(line)
	}
	s.h.eventually("the terminal is raw again", func() bool { return s.modes() == raw })
	s.types("exit\r")
	s.shows("L> ")
	s.types("exit\r")
	s.ends(0)
}

// clientPID is the muxc that runs in the foreground of a shell's terminal.
func (h *host) clientPID(s *screen) int {
	h.t.Helper()
	var pgrp int
	s.ioctl(func(fd int) (err error) {
		pgrp, err = unix.IoctlGetInt(fd, unix.TIOCGPGRP)
		return err
	})
	if comm := read(h.t, fmt.Sprintf("/proc/%d/comm", pgrp)); comm != "muxc\n" {
		h.t.Fatalf("%q is in the foreground", comm)
	}
	return pgrp
}

// TestJobWithoutATerminal: ^Z is the local shell's, and not one byte is lost or
// doubled.
func TestJobWithoutATerminal(t *testing.T) {
	t.Parallel()
	h := startShellHost(t)
	data := make([]byte, 8<<20)
	rand.NewChaCha8([32]byte{2}).Read(data)
	in, out := filepath.Join(h.dir, "in"), filepath.Join(h.dir, "out")
	if err := os.WriteFile(in, data, 0o600); err != nil {
		t.Fatal(err)
	}
	goOn := filepath.Join(h.dir, "go")
	s := h.onShell()
	s.types("$muxc box 'head -c 4000000; echo half >&2; until test -e " + goOn + "; do sleep 0.02; done; cat' <in >out\r")
	s.shows("half\r\n") // while the first half is still on its way
	for range 3 {
		s.types("\x1a")
		s.shows("Stopped")
		s.shows("L> ")
		s.types("fg\r")
		s.shows("fg\r\n")
	}
	if err := os.WriteFile(goOn, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s.shows("L> ")
	s.types("echo ended $?\r")
	s.shows("ended 0\r\n")
	s.types("exit\r")
	s.ends(0)
	got, err := os.ReadFile(out)
	if err != nil || sha256.Sum256(got) != sha256.Sum256(data) {
		t.Errorf("%d bytes came back of %d, %v", len(got), len(data), err)
	}
}

// TestTypedIntoAJob: a command that reads the terminal, stopped and continued.
func TestTypedIntoAJob(t *testing.T) {
	t.Parallel()
	h := startShellHost(t)
	s := h.onShell()
	s.types("$muxc box 'echo up; cat'\r")
	s.shows("up\r\n") // a login that takes a second is told in the middle of what is typed
	s.types("one\r")
	s.shows("one\r\none\r\n")
	s.types("\x1a")
	s.shows("Stopped")
	s.shows("L> ")
	s.types("echo lo''cal\r") // goes to the shell and to nobody else
	s.shows("local\r\n")
	s.types("fg\r")
	s.shows("fg\r\n")
	s.types("two\r")
	s.shows("two\r\ntwo\r\n")
	s.types("\x04")
	s.shows("L> ")
	s.types("exit\r")
	s.ends(0)
	if n := s.count("local"); n != 1 {
		t.Errorf("the shell's line was shown %d times: muxc has read it", n)
	}
}

// TestStartedInTheBackground: a session that wants the terminal waits until it
// is brought forward, as with ssh.
func TestStartedInTheBackground(t *testing.T) {
	t.Parallel()
	h := startShellHost(t)
	h.echo()
	s := h.onShell()
	s.types("$muxc box &\r")
	s.shows("L> ")
	s.h.eventually("muxc is stopped", func() bool {
		s.types("jobs\r")
		s.shows("L> ")
		return s.count("Stopped") > 0
	})
	s.types("fg\r")
	s.shows("fg\r\n")
	s.becomesRaw()
	s.types("echo a''b\r")
	s.shows("ab\r\n")
	s.types("exit 6\r")
	s.shows("L> ")
	s.types("echo $?\r")
	s.shows("6\r\n")
	s.types("exit\r")
	s.ends(0)
}

// TestSuspendAtAPrompt: the shell has a sane terminal, and the question comes
// again.
func TestSuspendAtAPrompt(t *testing.T) {
	t.Parallel()
	h, _ := startServer(t, sshtest.Options{Password: "secret"})
	s := h.onShell()
	s.types("$muxc box echo hi\r")
	s.shows("password: ")
	s.hidesTyping()
	s.types("sec\x1a")
	s.shows("Stopped")
	s.shows("L> ")
	s.types("echo lo''cal\r")
	s.shows("echo lo''cal\r\nlocal\r\n")
	s.shows("L> ")
	s.types("fg\r")
	s.shows("password: ")
	s.hidesTyping()
	s.types("secret\r")
	s.shows("hi\r\n")
	s.shows("L> ")
	s.types("exit\r")
	s.ends(0)
	s.never("secret")
}

// TestBroughtForward: what a muxc from the background gives back are not the
// modes in which the shell edited its line meanwhile.
func TestBroughtForward(t *testing.T) {
	t.Parallel()
	h, _ := startServer(t, sshtest.Options{Password: "secret"})
	for _, tt := range []struct{ command, question string }{
		{"$muxc box echo hi", "password: "}, // asks
		{"$muxc -t box echo hi", ""},        // only takes the terminal raw
	} {
		s := h.onShell()
		s.types("{ " + tt.command + "; stty -a; echo do''ne; } &\r")
		s.shows("L> ")
		s.h.eventually("muxc is stopped", func() bool {
			s.types("jobs\r")
			s.shows("L> ")
			return s.count("Stopped") > 0
		})
		s.types("fg\r")
		if tt.question != "" {
			s.shows(tt.question)
			s.hidesTyping()
			s.types("secret\r")
		}
		modes := s.expect(`hi[\r\n]+(speed .*)done\r\n`)[1]
		for _, want := range []string{" icanon ", " icrnl ", " echo "} {
			if !strings.Contains(modes, want) {
				t.Errorf("%s: no %q in\n%s", tt.command, want, modes)
			}
		}
		s.types("exit\r")
		s.ends(0)
	}
}
