package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"muxd/internal/sshtest"
)

// The terminal there has the modes of the one here, and the one here has its own
// again when the session ends, whichever way.
func TestDoorTerminalModes(t *testing.T) {
	d := openShellDoor(t)
	for _, end := range []string{"exit", "~.", "lost", "killed"} {
		s := d.onScreenOf(func(m *unix.Termios) {
			m.Cc[unix.VINTR] = 'X' & 0x1f
			m.Iflag &^= unix.IXON
			m.Iflag |= unix.IUTF8
		}, "-tt", "box", "stty -a; echo ready; read x; test -z \"$x\" && read x; exit 5")
		s.shows("intr = ^X;")
		s.shows("-ixon")
		s.expect(`[^-]iutf8`)
		s.shows("ready")
		s.becomesRaw()
		switch end {
		case "exit":
			s.types("x\r")
			s.ends(5)
		case "~.":
			s.types("\r~.")
			s.ends(255)
		case "lost":
			d.sshd.KillSessions()
			s.ends(255)
			s.shows("connection lost")
		case "killed":
			s.cmd.Process.Signal(syscall.SIGTERM)
			s.ends(255)
		}
		s.restored(s.fresh)
	}
}

// onScreenOf is stock ssh on a terminal whose modes were changed before.
func (d *doorway) onScreenOf(change func(*unix.Termios), args ...string) *screen {
	d.t.Helper()
	ready := filepath.Join(d.dir, "modes")
	c := d.by(args...)
	// The terminal is there once the process is: it waits for its modes.
	sh := d.command("/bin/sh", append([]string{"-c", "until test -e " + ready + "; do sleep 0.02; done; rm " + ready + "; exec \"$@\"", "sh"}, c.Args...)...)
	s := d.onScreen(sh)
	s.setModes(change)
	s.fresh = s.modes()
	write(d.t, ready, "")
	return s
}

// A window that changes is told to its own session, whoever is the process that
// ssh tells: the holder in the background, the one in the foreground, or muxd.
func TestDoorWindowChanges(t *testing.T) {
	t.Parallel()
	sshtest.Require(t, "ssh")
	h := startShellHost(t)
	const command = "trap 'stty size' WINCH; echo ready; while :; do sleep 0.1; done"
	for i, hold := range []func(path string){
		func(path string) { h.hold(path) },
		func(path string) {
			m := h.onScreen(h.muxc("-M", "-N", "-S", path, "box"))
			h.eventually("the path is served", func() bool { return accepts(path) })
			t.Cleanup(func() { m.cmd.Process.Kill() })
		},
		func(path string) {
			m := h.onScreen(h.muxc("-tt", "-M", "-S", path, "box", "echo mine; exec sleep 1000"))
			m.shows("mine")
		},
		func(path string) {
			h.run(h.muxc("-M", "-o", "ControlPersist=yes", "-S", path, "box", "true"), nil).is(t, "", "", 0)
		},
	} {
		d := &doorway{h, filepath.Join(h.dir, fmt.Sprint("door", i))}
		hold(d.path)
		one, two := d.onScreen(d.by("-tt", "box", command)), d.onScreen(d.by("-tt", "box", command))
		one.shows("ready")
		two.shows("ready")
		one.becomesRaw() // it hears of its window by then
		two.becomesRaw()
		one.resize(41, 71)
		one.shows("41 71")
		two.resize(42, 72)
		two.shows("42 72")
		one.resize(43, 73)
		one.shows("43 73")
		if strings.Contains(two.out.String(), "3") {
			t.Errorf("%d: one session was told another's size: %q", i, two.out.String())
		}
		for _, s := range []*screen{one, two} {
			s.types("\r~.")
			s.ends(255)
		}
		d.run(d.by("-O", "exit", "box"), nil)
	}
}

// What a person types is the session's: in a shell, with a job that is
// interrupted, at its end, and behind escapes that are none.
func TestDoorShell(t *testing.T) {
	d := openShellDoor(t)
	s := d.onScreen(d.by("box"))
	s.shows("R> ")
	s.becomesRaw()
	s.types("stty size; tty | cut -c1-5\r")
	s.shows("33 101")
	s.shows("/dev/")
	s.types("sh -c 'echo u\"\"p; exec sleep 1000'\r") // it says so itself: before, the key would be the shell's
	s.shows("up\r\n")
	s.types("\x03")
	s.shows("R> ")
	s.types("echo a~.b ~~ $TERM\r")
	s.shows("a~.b ~~ dumb")
	s.types("~~.x\r") // a line that begins with one tilde
	s.expect(`~\.x: (?:command )?not found`)
	s.types("~#")
	s.shows("#0 session to box")
	s.types("\r~V")
	s.expect(`V|available`)
	s.types("\rkill -9 $$\r")
	s.ends(128 + 9)
	s.restored(s.fresh)

	// Without escapes everything is typed through, and with another character its own.
	n := d.onScreen(d.by("-tt", "-e", "none", "box", "stty -echo; echo ready; read a; read b; echo \"got $b\""))
	n.shows("ready")
	n.becomesRaw()
	n.types("\r~.\r")
	n.shows("got ~.")
	n.ends(0)
	x := d.onScreen(d.by("-tt", "-e", "%", "box", "echo ready; exec sleep 1000"))
	x.shows("ready")
	x.becomesRaw()
	x.types("\r%.")
	x.ends(255)
}

// A server that gives no terminal has the session go on without one, and the
// terminal here is as it was.
func TestDoorTerminalRefused(t *testing.T) {
	t.Parallel()
	sshtest.Require(t, "ssh")
	h := startHost(t, "PermitTTY no")
	d := &doorway{h, filepath.Join(h.dir, "door")}
	d.hold(d.path)
	s := d.onScreen(d.by("-tt", "box", "tty; read x; echo got $x; exit 3"))
	s.shows("PTY allocation request failed")
	s.shows("not a tty")
	s.eventuallyFresh()
	s.types("typed\n")
	s.shows("got typed")
	s.ends(3)
	s.restored(s.fresh)
	d.logins(1)
}

// eventuallyFresh waits until the terminal is as it was made.
func (s *screen) eventuallyFresh() {
	s.t.Helper()
	s.h.eventually("the terminal is not raw", func() bool { return s.modes() == s.fresh })
}

// A terminal that was not read goes on where it stopped when somebody reads it,
// and nothing was lost.
func TestDoorTerminalGoesOn(t *testing.T) {
	d := openShellDoor(t)
	ptm, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	c := d.by("-tt", "box", "stty -opost; seq 400000; exit 4")
	c.Stdin, c.Stdout, c.Stderr = tty, tty, tty
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	p := d.start(c, tty)
	tty.Close()
	ptm = polled(t, ptm)
	defer ptm.Close()
	time.Sleep(time.Second)
	for range 3 {
		d.run(d.by("box", "echo works"), nil).is(t, "works\n", "", 0)
	}
	if closed(p.done) {
		t.Fatal("it ended before it was read")
	}
	var all output
	go func() {
		b := make([]byte, 4096)
		for {
			n, err := ptm.Read(b)
			all.Write(b[:n])
			if err != nil {
				return
			}
		}
	}()
	if r := p.wait(); r.code != 4 {
		t.Errorf("exit %d", r.code)
	}
	var want strings.Builder
	for i := range 400000 {
		fmt.Fprintln(&want, i+1)
	}
	d.eventually("everything is shown", func() bool { return strings.HasPrefix(all.String(), want.String()) })
}
