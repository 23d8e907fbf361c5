package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"muxd/internal/sshtest"
)

// lends types until muxd reads and writes the terminal of the muxc in front.
func (h *host) lends(s *screen, muxc int) {
	h.t.Helper()
	n := 0
	h.eventually("muxd has the terminal", func() bool {
		n++
		s.types("echo le''nt" + fmt.Sprint(n) + "\r")
		s.shows(fmt.Sprintf("lent%d\r\n", n))
		s.shows("R> ")
		return h.isLent(s, muxc)
	})
}

// isLent looks whether muxd has the terminal open, and muxc does not read it.
func (h *host) isLent(s *screen, muxc int) bool {
	var n int
	s.ioctl(func(fd int) (err error) { n, err = unix.IoctlGetInt(fd, unix.TIOCGPTN); return err })
	open, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", h.pid()))
	has := false
	for _, f := range open {
		to, _ := os.Readlink(f)
		has = has || to == fmt.Sprintf("/dev/pts/%d", n)
	}
	calls, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/syscall", muxc))
	for _, f := range calls {
		b, _ := os.ReadFile(f)
		if strings.HasPrefix(string(b), fmt.Sprintf("%d 0x0 ", unix.SYS_READ)) {
			return false
		}
	}
	return has
}

// one by one, as a person types.
func (s *screen) slowly(keys string) {
	for _, k := range keys {
		s.types(string(k))
		time.Sleep(time.Millisecond)
	}
}

// TestLentTerminal: what is typed while muxc is stopped, in the background, or
// gone, is the shell's to the last byte, and muxd has none of it.
func TestLentTerminal(t *testing.T) {
	t.Parallel()
	h := startShellHost(t)
	s := h.onShell()
	local := func(n int) {
		t.Helper()
		s.slowly(fmt.Sprintf("echo lo''cal%d\r", n))
		s.shows(fmt.Sprintf("local%d\r\n", n))
		s.shows("L> ")
	}
	s.types("$muxc box\r")
	s.shows("R> ")
	pid := h.clientPID(s)
	h.lends(s, pid)

	s.types("~\x1a")
	s.shows("Stopped")
	s.shows("L> ")
	local(1)
	s.types("fg\r")
	s.becomesRaw()
	s.types("\r")
	h.lends(s, pid)

	kill(t, pid, unix.SIGSTOP)
	s.shows("Stopped")
	s.shows("L> ")
	local(2)
	s.types("bg\r") // it reads, and so is stopped again, by the kernel
	s.shows("L> ")
	local(3)
	s.h.eventually("muxc is stopped for reading", func() bool {
		local(4)
		return strings.Contains(read(t, fmt.Sprintf("/proc/%d/stat", pid)), ") T ")
	})
	s.types("fg\r")
	s.becomesRaw()
	s.types("\r")
	h.lends(s, pid)

	kill(t, pid, unix.SIGKILL)
	s.shows("Killed")
	s.shows("L> ")
	local(5)
	s.types("stty sane; exit\r")
	s.ends(0)
}

// TestLentTerminalAgain: what a session writes while muxc is stopped, where muxd may
// not have the terminal, comes when it goes on, and muxd is lent the terminal again.
func TestLentTerminalAgain(t *testing.T) {
	t.Parallel()
	h := startShellHost(t)
	s := h.onShell()
	s.types("$muxc box\r")
	s.shows("R> ")
	pid := h.clientPID(s)
	h.lends(s, pid)
	s.types("(while [ ! -e " + h.dir + "/go ]; do sleep 0.1; done; seq 90000; echo la''te) &\r") // twice what has muxd ask
	s.shows("R> ")
	kill(t, pid, unix.SIGSTOP)
	s.shows("Stopped")
	s.shows("L> ")
	s.types(": >" + h.dir + "/go; sleep 0.5; echo lo''cal\r")
	s.expect(`\A[^>]*>[^\n]*/go; sleep 0.5; echo lo''cal\r\nlocal\r\nL> `)
	s.types("fg\r")
	s.shows("\r\n89999\r\n90000\r\nlate\r\n")
	s.types("\r")
	h.lends(s, pid)
	s.types("exit 3\r")
	s.shows("L> ")
	s.types("exit $?\r")
	s.ends(3)
}

// TestMuxdBesideItsClient: a muxd that a shell has in the background of the very
// terminal is not stopped when it reads there, by whichever door that came.
func TestMuxdBesideItsClient(t *testing.T) {
	t.Parallel()
	sshtest.Require(t, "ssh")
	h := startShellHost(t)
	s := h.onShell()
	s.types("muxd &\r")
	s.shows("listening on")
	s.types("\r")
	s.shows("L> ")
	s.types("$muxc box\r")
	s.shows("R> ")
	h.lends(s, h.clientPID(s))
	s.types("exit 4\r")
	s.shows("L> ")
	s.types("$muxc -fNM -S $PWD/door box; ssh -F none -S $PWD/door box\r")
	s.shows("R> ")
	s.types("echo rea''d; exit 5\r")
	s.shows("read\r\n")
	s.shows("L> ")
	s.types("x=$?; kill %1; wait; exit $x\r") // whoever has the terminal open ends
	s.ends(5)
}

// TestLentTerminalEscapes: each is found, whoever reads its first half, and the
// session gets what is none.
func TestLentTerminalEscapes(t *testing.T) {
	t.Parallel()
	h := startShellHost(t)
	s := h.onShell()
	s.types("$muxc box\r")
	s.shows("R> ")
	pid := h.clientPID(s)
	for _, split := range []string{"", "\x00"} {
		h.lends(s, pid)
		for _, part := range strings.Split("~"+split+"?", "\x00") {
			s.slowly(part)
		}
		s.shows("The escapes of this session")
		s.shows("They are recognised")
		h.lends(s, pid)
		s.slowly("echo a~b~.c; echo ~~ | tr '~' e\r") // in the middle of a line, nothing
		s.shows("a~b~.c\r\nee\r\n")
		s.shows("R> ")
		s.slowly("~~root=x; echo $~~\r") // the first one is doubled for the session
		s.shows("$~~\r\n")
		s.shows("R> ")
	}
	h.lends(s, pid)
	s.types("echo one\r~.")
	s.expect(`~\.\r\n[^L]*Connection to `) // the server may have been quick
	s.shows("L> ")
	s.types("exit\r")
	s.ends(255)
}

// TestQuestionInASession: what is typed while a question stands on the terminal of
// a session is the answer, whoever reads there, and not a byte of it is typed
// into the session.
func TestQuestionInASession(t *testing.T) {
	t.Parallel()
	sshtest.Require(t, "ssh")
	h := startShellHost(t)
	s := h.onShell()
	s.types("$muxc -o ControlMaster=ask -S $PWD/door box\r")
	s.shows("R> ")
	for _, lent := range []bool{false, true, false} {
		if lent {
			h.lends(s, h.clientPID(s))
		}
		visitor := h.start(h.command("ssh", "-F", "none", "-S", filepath.Join(h.dir, "door"), "box", "echo through"), nil)
		s.shows("Allow shared connection to box? ")
		s.slowly("y\r")
		visitor.wait().is(t, "through\n", "", 0)
		s.slowly("echo af''ter\r")
		s.expect(`\A[^R]*echo af''ter\r\nafter\r\nR> \z`)
	}
	s.types("exit 3\r")
	s.shows("L> ")
	s.types("exit $?\r")
	s.ends(3)
}

// TestLentTerminalThatIsStuck: a session that takes nothing is still ended by an
// escape, though muxd waits for it with the terminal in its hands.
func TestLentTerminalThatIsStuck(t *testing.T) {
	t.Parallel()
	deaf := func(s *sshtest.Session, _ []string) sshtest.Exit {
		b := make([]byte, 1)
		for b[0] != '.' {
			if _, err := io.ReadFull(s.In, b); err != nil {
				return sshtest.Exit{Silent: true}
			}
			s.Out.Write(b)
		}
		<-s.Context().Done()
		return sshtest.Exit{Silent: true}
	}
	h, _ := startServer(t, sshtest.Options{Commands: map[string]sshtest.Command{"deaf": deaf}})
	s := h.onScreen(h.muxc("-t", "box", "deaf"))
	s.becomesRaw()
	h.eventually("muxd has the terminal", func() bool {
		s.types("x")
		s.shows("x")
		return h.isLent(s, s.cmd.Process.Pid)
	})
	s.types(".")
	s.shows(".")
	const window = 2 << 20 // of the server's library: as much is taken and not read
	s.types(strings.Repeat("0123456789abcde\r", (window+window/16)/16) + "~.")
	s.shows("~.\r\nConnection to box closed.\r\n")
	s.ends(255)
}
