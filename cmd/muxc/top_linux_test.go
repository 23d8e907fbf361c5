package main

import (
	"syscall"
	"testing"

	"muxd/internal/sshtest"
)

// TestTop: the live view shows a session and what muxd's end does, obeys a key,
// and gives the terminal back as it was, however it ends.
func TestTop(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		end  func(s *screen)
	}{
		{"q", func(s *screen) { s.types("q") }},
		{"^C", func(s *screen) { s.types("\x03") }},
		{"INT", func(s *screen) { s.cmd.Process.Signal(syscall.SIGINT) }},
		{"TERM", func(s *screen) { s.cmd.Process.Signal(syscall.SIGTERM) }},
		{"HUP", func(s *screen) { s.cmd.Process.Signal(syscall.SIGHUP) }},
		{"QUIT", func(s *screen) { s.cmd.Process.Signal(syscall.SIGQUIT) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h, _ := startServer(t, sshtest.Options{})
			h.run(h.muxc("box", "echo hi"), nil).is(t, "hi\n", "", 0)
			s := h.onScreen(h.sh("export TERM=xterm; read x; exec " + bin + "/muxd top"))
			s.setModes(odd)
			before := s.modes()
			s.types("go\n")
			s.shows("\x1b[?1049h") // the other screen
			s.shows("box")
			s.shows("ready")
			tt.end(s)
			s.ends(0)
			s.restored(before)
			s.shows("\x1b[?1049l")
		})
	}
}

// TestTopLivesOn when muxd ends and comes back, acts on the host that it shows
// and not on what its name means without -F, and is no use without a terminal.
func TestTopLivesOn(t *testing.T) {
	t.Parallel()
	h, _ := startServer(t, sshtest.Options{})
	h.run(h.command("muxd", "top"), nil).is(t, "", "muxd: top draws on a terminal, and standard output is none that it can draw on: muxd status prints once\n", 1)
	h.run(h.muxc("box", "echo hi"), nil).is(t, "hi\n", "", 0)
	s := h.onScreen(h.sh("export TERM=xterm; exec " + bin + "/muxd top"))
	s.shows("ready")
	s.types("r")
	s.shows("box: ready")
	s.types("s")
	s.shows("y/n")
	s.types("y")
	s.shows("Exit request sent")
	h.eventually("the connection is gone", func() bool { return len(h.status().Hosts[0].Links) == 0 })
	if n := len(h.status().Hosts); n != 1 {
		t.Errorf("%d hosts: something was asked of another one", n)
	}
	h.run(h.command("muxd", "stop", "--force"), nil)
	s.shows("not running")
	h.run(h.muxc("box", "echo hi"), nil).is(t, "hi\n", "", 0)
	s.shows("ready")
	s.resize(12, 40)
	s.types("q")
	s.ends(0)
}
