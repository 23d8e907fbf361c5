package main

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"

	"muxd/internal/sshtest"
)

// openShellDoor is a door to an sshd whose terminals work.
func openShellDoor(t *testing.T) *doorway {
	t.Helper()
	t.Parallel()
	sshtest.Require(t, "ssh")
	h := startShellHost(t)
	d := &doorway{h, filepath.Join(h.dir, "door")}
	d.hold(d.path)
	return d
}

// A terminal is there as it is here: its size, the change of its size, which
// stock ssh tells to the process it takes for the master, its modes, and ^C.
func TestDoorTerminal(t *testing.T) {
	d := openShellDoor(t)
	s := d.onScreen(d.by("-tt", "box", "stty size; stty -a | grep -o -- '-*iutf8'; trap 'echo got int' INT; echo ready; while :; do read x && stty size; done"))
	s.shows("33 101")
	s.shows("ready")
	s.resize(40, 77)
	d.eventually("the new size is told", func() bool {
		s.types("\n")
		return s.count("40 77") > 0
	})
	s.shows("40 77")
	s.types("\x03")
	s.shows("got int")
	// The escapes are this session's own.
	other := d.onScreen(d.by("-tt", "box", "echo ready; sleep 1000"))
	other.shows("ready")
	s.types("\n~?")
	s.shows("The escapes of")
	s.types("\n~.")
	s.ends(255)
	if closed(other.done) {
		t.Error("the other session ended too")
	}
	other.types("\n~.")
	other.ends(255)
}

// Without a terminal here the other side has a sane one.
func TestDoorForcedTerminal(t *testing.T) {
	d := openShellDoor(t)
	r := d.run(d.by("-tt", "box", "stty -a; exit 3"), strings.NewReader(""))
	if r.code != 3 || !strings.Contains(r.out, " echo ") || !strings.Contains(r.out, " icanon ") || strings.Contains(r.out, "-opost") {
		t.Errorf("exit %d, %q", r.code, r.out)
	}
}

// A terminal that is not read holds up its own session alone.
func TestDoorStalledTerminal(t *testing.T) {
	d := openShellDoor(t)
	ptm, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer ptm.Close()
	c := d.by("-tt", "box", "yes")
	c.Stdin, c.Stdout, c.Stderr = tty, tty, tty
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	tty.Close()
	defer c.Wait()
	defer c.Process.Kill()
	if b := make([]byte, 1); !until(long, func() bool { n, _ := ptm.Read(b); return n == 1 }) {
		t.Fatal("nothing is shown")
	}
	time.Sleep(500 * time.Millisecond) // what the terminal and everything behind it takes is full
	for range 3 {
		d.run(d.by("box", "echo works"), nil).is(t, "works\n", "", 0)
	}
	d.holder()
}
