package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"muxd/internal/sshtest"
)

func TestInteractiveShell(t *testing.T) {
	t.Parallel()
	h := startShellHost(t)
	s := h.onScreen(h.muxc("box"))
	before := s.fresh
	s.expect(`\AR> \z`) // nothing else, from the very first login
	s.types("echo a''b\r")
	s.expect(`\Aecho a''b\r\nab\r\nR> \z`)
	s.types("exit 7\r")
	s.ends(7)
	s.expect(`\Aexit 7\r\n\z`)
	s.restored(before)

	s = h.onScreen(h.muxc("box"))
	s.shows("R> ")
	s.types("\x04")
	s.ends(0)
	s.restored(before)
}

// TestKeysReachTheRemoteProgram: what the keys of a terminal mean is decided
// on the other side.
func TestKeysReachTheRemoteProgram(t *testing.T) {
	t.Parallel()
	h := startShellHost(t)
	s := h.onScreen(h.muxc("box"))
	s.shows("R> ")
	s.types("(trap 'echo got''int; exit 3' INT; echo rea''dy; while :; do sleep 0.02; done)\r")
	s.shows("ready\r\n")
	s.types("\x03")
	s.shows("gotint\r\n")
	s.shows("R> ")
	s.types("sh -c 'echo rea\"\"dy; exec sleep 600'\r") // it says so itself: before, the key would be the shell's
	s.shows("ready\r\n")
	s.types("\x1a")
	s.shows("Stopped")
	s.shows("R> ")
	s.types("jobs; kill -9 %1; wait; echo ag''ain\r") // muxc was not stopped
	s.shows("again\r\n")
	s.shows("R> ")
	s.types("cat\r")
	s.shows("cat\r\n")
	s.types("line\r\x04") // ends the cat
	s.shows("line\r\nline\r\n")
	s.shows("R> ")
	s.types("exit\r")
	s.ends(0)
}

// TestTerminalIsDescribed compares what the other side has with what is here.
func TestTerminalIsDescribed(t *testing.T) {
	t.Parallel()
	h := startShellHost(t)
	h.setenv("TERM", "muxtest-256color")
	s := h.onScreen(h.command("sh", "-c", `
		stty intr ^K susp ^Y -echoctl -ixon iutf8 -onlcr onlcr tostop
		stty -a; echo here; `+bin+`/muxc -F `+h.cfg+` -t box 'stty -a; echo there $TERM; stty size'`))
	flags := func(text string) string {
		_, after, ok := strings.Cut(text, "line = 0;")
		if !ok {
			t.Fatalf("no output of stty -a: %q", text)
		}
		return after
	}
	here := s.expect(`^(.*)here\r\n`)[1]
	there := s.expect(`^(.*)there (\S+)\r\n(\d+ \d+)\r\n`)
	s.ends(0)
	if flags(here) != flags(there[1]) || !strings.Contains(here, "intr = ^K") || !strings.Contains(here, "-ixon") {
		t.Errorf("here:\n%s\nthere:\n%s", here, there[1])
	}
	if there[2] != "muxtest-256color" || there[3] != "33 101" {
		t.Errorf("TERM %q, size %q", there[2], there[3])
	}
}

func TestSizeFollows(t *testing.T) {
	t.Parallel()
	h := startShellHost(t)
	s := h.onScreen(h.muxc("-t", "box", "while :; do stty size; sleep 0.02; done"))
	s.shows("33 101\r\n")
	for i := range 5 {
		s.resize(uint16(40+i), uint16(120+i))
		s.shows(fmt.Sprintf("%d %d\r\n", 40+i, 120+i))
	}
	s.types("\r~.")
	s.ends(255)
}

// TestSizeChangesDuringTheLogin: the request told a size that is no longer true
// when the session begins.
func TestSizeChangesDuringTheLogin(t *testing.T) {
	t.Parallel()
	h, srv := startServer(t, sshtest.Options{Password: "secret"})
	s := h.onScreen(h.muxc("-t", "box", "wait-signal"))
	s.shows("password: ")
	s.resize(50, 60)
	s.types("secret\r")
	h.eventually("the server knows the size", func() bool {
		all := srv.Sessions()
		return len(all) == 1 && all[0].PTY() != nil && all[0].PTY().Window == sshtest.Window{Columns: 60, Rows: 50}
	})
}

// TestWhoGetsATerminal is ssh's table: what the options, the command and the
// standard descriptors make of it, and what is said.
func TestWhoGetsATerminal(t *testing.T) {
	t.Parallel()
	h, _ := startServer(t, sshtest.Options{})
	const refused = "Pseudo-terminal will not be allocated because stdin is not a terminal.\r\n"
	for _, tt := range []struct {
		args  string
		stdin string // of a shell, "" for the terminal
		out   string
		tty   bool
		says  string
	}{
		{args: "box", tty: true},
		{args: "box tty"},
		{args: "-t box tty", tty: true},
		{args: "-tt box tty", tty: true},
		{args: "-T box"},
		{args: "-o RequestTTY=yes box tty", tty: true},
		{args: "-o RequestTTY=no box"},
		{args: "-o RequestTTY=force box tty", stdin: "</dev/null", tty: true},
		{args: "-T -t box tty", tty: true},
		{args: "-t -T box tty"},
		{args: "-n box", says: refused},
		{args: "-n -tt box tty", tty: true},
		{args: "-t -n box tty", says: refused},
		{args: "box", stdin: "<script", says: refused},
		{args: "-q box", stdin: "<script"},
		{args: "-t box tty", stdin: "</dev/null", says: refused},
		{args: "-tt box tty", stdin: "</dev/null", tty: true},
		{args: "-T box", stdin: "<script"},
		{args: "box tty", out: ">out"},
		{args: "-t box tty", out: ">out", tty: true},
		{args: "box", out: ">out", tty: true},
		{args: "-t box tty", out: ">out 2>&1", tty: true},
		{args: "-t box tty", out: "2>err", tty: true},
		{args: "box", stdin: "<script", out: ">out", says: refused},
	} {
		os.WriteFile(h.dir+"/script", []byte("tty\n"), 0o600)
		os.Remove(h.dir + "/out")
		s := h.onScreen(h.sh(fmt.Sprintf("$muxc %s %s %s; echo \"exit $?\"", tt.args, tt.stdin, tt.out)))
		before := s.fresh
		if tt.args == "-T box" && tt.stdin == "" || tt.args == "-o RequestTTY=no box" {
			s.types("tty\n\x04")
		} else if tt.stdin == "" && strings.HasSuffix(tt.args, "box") && !strings.Contains(tt.args, "-n") {
			s.becomesRaw()
			s.types("tty\nexit 0\n")
		}
		seen := s.expect(`^(.*)exit 0\r\n`)[1]
		s.ends(0)
		s.restored(before)
		if strings.Contains(tt.out, ">out") {
			b, _ := os.ReadFile(h.dir + "/out")
			seen += string(b)
		}
		got := strings.Contains(seen, "dumb ")
		not := strings.Contains(seen, "not a tty") || tt.args == "-n box" // which has no input
		if got == not || got != tt.tty {
			t.Errorf("%+v: got %q", tt, seen)
		}
		if said := strings.Contains(seen, refused); said != (tt.says != "") {
			t.Errorf("%+v: got %q", tt, seen)
		}
	}
}

// TestForcedTerminalWithoutOne: there are no modes to send, and no size.
func TestForcedTerminalWithoutOne(t *testing.T) {
	t.Parallel()
	h, srv := startServer(t, sshtest.Options{})
	h.run(h.muxc("-tt", "box", "tty"), nil).is(t, "dumb 0x0\n", "", 0)
	if p := srv.Sessions()[0].PTY(); len(p.Modes) != 0 || p.Window != (sshtest.Window{}) {
		t.Errorf("%+v", p)
	}
	sane := startShellHost(t)
	r := sane.run(sane.muxc("-tt", "box", "stty -a"), nil)
	for _, want := range []string{" echo ", " icanon ", "isig ", "opost", "intr = ^C;"} {
		if !strings.Contains(r.out, want) {
			t.Errorf("stty -a has no %q: %+v", want, r)
		}
	}
}

// TestTerminalWithStdinNull: nobody reads the keys, so they keep their meaning
// here.
func TestTerminalWithStdinNull(t *testing.T) {
	t.Parallel()
	h := startShellHost(t)
	s := h.onScreen(h.muxc("-n", "-tt", "box", "echo rea''dy; exec sleep 600"))
	before := s.fresh
	s.expect("ready[\r\n]+")
	s.restored(before)
	if s.modes().Lflag&unix.ISIG == 0 {
		t.Fatal("^C means nothing")
	}
	s.types("\x03")
	s.ends(255)
}

// TestTerminalIsRefused: the session goes on without one.
func TestTerminalIsRefused(t *testing.T) {
	t.Parallel()
	h, _ := startServer(t, sshtest.Options{RefusePTY: true})
	s := h.onScreen(h.muxc("-t", "box", "tty; cat"))
	before := s.fresh
	s.shows("PTY allocation request failed: the session goes on without a terminal\r\n")
	s.shows("not a tty\r\n")
	s.restored(before)
	s.types("~.\n\x04")
	s.shows("~.\r\n~.\r\n") // the terminal's echo, and the cat's: no escape
	s.ends(0)
}
