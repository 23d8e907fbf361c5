package main

import (
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"muxd/internal/sshtest"
)

// odd makes a terminal's modes such that no default equals them.
func odd(m *unix.Termios) {
	m.Cc[unix.VERASE], m.Cc[unix.VMIN], m.Cc[unix.VTIME] = 8, 3, 7
	m.Iflag |= unix.IXANY | unix.ISTRIP
	m.Lflag |= unix.TOSTOP
	m.Lflag &^= unix.ECHOKE
}

// TestTerminalIsRestored however the session ends, and what is said then.
func TestTerminalIsRestored(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		end  func(s *screen, srv *sshtest.Server)
		code int
		says string // regular expression
	}{
		{"exit", func(s *screen, _ *sshtest.Server) { s.types("exit 3\n") }, 3, ``},
		{"killed there", func(s *screen, _ *sshtest.Server) { s.types("kill KILL\n") }, 137,
			`muxc: box: the command was killed by signal KILL\r\n`},
		{"escape", func(s *screen, _ *sshtest.Server) { s.types("~.") }, 255, `~\.\r\nConnection to box closed\.\r\n`},
		{"INT", func(s *screen, _ *sshtest.Server) { s.cmd.Process.Signal(syscall.SIGINT) }, 255, ``},
		{"QUIT", func(s *screen, _ *sshtest.Server) { s.cmd.Process.Signal(syscall.SIGQUIT) }, 255, ``},
		{"TERM", func(s *screen, _ *sshtest.Server) { s.cmd.Process.Signal(syscall.SIGTERM) }, 255, ``},
		{"HUP", func(s *screen, _ *sshtest.Server) { s.cmd.Process.Signal(syscall.SIGHUP) }, 255, ``},
		// A muxd that wrote the terminal took with it where the last line ended.
		{"muxd killed", func(s *screen, _ *sshtest.Server) { syscall.Kill(s.h.pid(), syscall.SIGKILL) }, 255,
			`(?:\r\n)?muxc: box: muxd \(pid \d+\) went away; the command may still be running\r\n`},
		{"muxd ended", func(s *screen, _ *sshtest.Server) { syscall.Kill(s.h.pid(), syscall.SIGTERM) }, 255,
			`muxc: box: [^\r\n]+ may still be running\r\n`},
		{"cut", func(_ *screen, srv *sshtest.Server) { srv.Last().Drop() }, 255,
			`muxc: box: connection lost \([^\r\n]+\); the command may still be running\r\n`},
		{"no status", func(s *screen, _ *sshtest.Server) { s.types("noexit\n") }, 255, `muxc: box: [^\r\n]+\r\n`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h, srv := startServer(t, sshtest.Options{})
			s := h.onScreen(h.sh("read x; exec $muxc -t box"))
			s.setModes(odd)
			before := s.modes()
			s.types("go\n")
			s.becomesRaw()
			s.types("echo up\n")
			s.shows("up\n")
			tt.end(s, srv)
			s.ends(tt.code)
			s.restored(before)
			s.expect(`\A` + tt.says + `\z`)
		})
	}
}

// TestTerminalIsRestoredAtPrompts: by signals that the question itself takes,
// and by the end of its reason.
func TestTerminalIsRestoredAtPrompts(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		end  func(s *screen, srv *sshtest.Server)
		says string
		code int
	}{
		{"^C", func(s *screen, _ *sshtest.Server) { s.types("\x03") }, `\^C\r\n|\r\n`, 130},
		{"^\\", func(s *screen, _ *sshtest.Server) { s.types("\x1c") }, `\^\\\r\n|\r\n`, 255},
		{"^D", func(s *screen, _ *sshtest.Server) { s.types("\x04") }, `\r\n`, 255},
		{"INT", func(s *screen, _ *sshtest.Server) { s.cmd.Process.Signal(syscall.SIGINT) }, `\r\n`, 130},
		{"TERM", func(s *screen, _ *sshtest.Server) { s.cmd.Process.Signal(syscall.SIGTERM) }, `\r\n`, 143},
		{"HUP", func(s *screen, _ *sshtest.Server) { s.cmd.Process.Signal(syscall.SIGHUP) }, `\r\n`, 129},
		{"muxd killed", func(s *screen, _ *sshtest.Server) { syscall.Kill(s.h.pid(), syscall.SIGKILL) },
			`\r\nmuxc: box: muxd \(pid \d+\) went away; [^\r\n]+\r\n`, 255},
		{"cut", func(s *screen, srv *sshtest.Server) { srv.Close() }, `\r\nmuxc: box: [^\r\n]+\r\n`, 255},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h, srv := startServer(t, sshtest.Options{Password: "secret"})
			s := h.onScreen(h.sh("read x; exec $muxc box true"))
			s.setModes(func(m *unix.Termios) { odd(m); m.Lflag &^= unix.TOSTOP })
			before := s.modes()
			s.types("go\n")
			s.shows("password: ")
			s.hidesTyping()
			pid := h.pid()
			tt.end(s, srv)
			s.ends(tt.code)
			s.restored(before)
			s.expect(`\A(` + tt.says + `)\z`)
			if tt.name != "muxd killed" && !isMuxd(pid) {
				t.Error("muxd is gone")
			}
		})
	}
}

// TestHangUp: the terminal goes away under a session, which must end, and must
// not take muxd along.
func TestHangUp(t *testing.T) {
	t.Parallel()
	h := startShellHost(t)
	s := h.onScreen(h.muxc("-t", "box", "echo $$; exec sleep 600"))
	pid, _ := strconv.Atoi(s.expect(`(\d+)\r\n`)[1])
	muxd := h.pid()
	s.ptm.Close()
	s.ends(255)
	h.eventually("the command is gone", func() bool { return syscall.Kill(pid, 0) == syscall.ESRCH })
	if !isMuxd(muxd) {
		t.Error("muxd is gone")
	}
	h.echo()
}

// TestInterruptWithoutATerminalThere: ^C at a command that has no terminal ends
// muxc, and the command hears of it.
func TestInterruptWithoutATerminalThere(t *testing.T) {
	t.Parallel()
	h, _ := startOrdinaryHost(t)
	for _, key := range []string{"\x03", "\x1c"} {
		s := h.onScreen(h.muxc("box", "trap 'exit 9' INT QUIT; echo $$; while :; do sleep 0.02; done"))
		before := s.fresh
		pid, _ := strconv.Atoi(s.expect(`(\d+)\r\n`)[1])
		s.types(key)
		s.ends(255)
		if text := s.unseen(); strings.Contains(text, "goroutine") || strings.Contains(text, "muxc") {
			t.Errorf("%q: %s", key, text)
		}
		s.restored(before)
		h.eventually("the command is gone", func() bool { return syscall.Kill(pid, 0) == syscall.ESRCH })
	}
}
