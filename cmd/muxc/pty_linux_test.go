package main

import (
	"bytes"
	"errors"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
	"golang.org/x/sys/unix"

	"muxd/internal/sshtest"
)

// screen is a terminal with a process on it, and what a person sees and types.
type screen struct {
	fresh unix.Termios // the terminal as it was made
	h     *host
	t     testing.TB
	ptm   *os.File // the person's side; tells and sets the terminal's modes, too
	out   output
	seen  int // what expect has passed
	cmd   *exec.Cmd
	done  chan struct{} // closed when the process has ended
	idle  chan struct{} // closed when nothing can be shown any more
}

// the size of a screen before anybody changes it: one that no default has.
var screenSize = pty.Winsize{Rows: 33, Cols: 101, X: 808, Y: 528}

// onScreen starts c on a terminal of its own, which controls it. Standard
// descriptors that c has already stay what they are.
func (h *host) onScreen(c *exec.Cmd) *screen {
	h.t.Helper()
	ptm, tty, err := pty.Open()
	if err != nil {
		h.t.Fatal(err)
	}
	defer tty.Close()
	ptm = polled(h.t, ptm)
	if err := pty.Setsize(ptm, &screenSize); err != nil {
		h.t.Fatal(err)
	}
	s := &screen{h: h, t: h.t, ptm: ptm, cmd: c, done: make(chan struct{}), idle: make(chan struct{})}
	// The process' fourth descriptor makes it its controlling terminal.
	c.ExtraFiles = append(c.ExtraFiles, tty)
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 2 + len(c.ExtraFiles)}
	if c.Stdin == nil {
		c.Stdin = tty
	}
	if c.Stdout == nil {
		c.Stdout = tty
	}
	if c.Stderr == nil {
		c.Stderr = tty
	}
	s.fresh = s.modes() // before anybody can change them
	if err := c.Start(); err != nil {
		h.t.Fatal(err)
	}
	go func() { defer close(s.idle); s.read() }()
	go func() { defer close(s.done); c.Wait() }()
	h.t.Cleanup(func() {
		unix.Kill(-c.Process.Pid, unix.SIGKILL)
		<-s.done
		ptm.Close()
		<-s.idle
		if h.t.Failed() {
			h.t.Logf("the screen of %q:\n%s", c.Args, lastOf(strings.ReplaceAll(s.out.String(), "\r\n", "\n")))
		}
	})
	return s
}

// polled makes a file of which a read ends when it is closed.
func polled(t testing.TB, f *os.File) *os.File {
	t.Helper()
	defer f.Close()
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	if err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(fd), f.Name())
}

// read collects what the terminal shows. While no process has the terminal
// open, reading fails; the next one may open it.
func (s *screen) read() {
	b := make([]byte, 4096)
	for {
		n, err := s.ptm.Read(b)
		s.out.Write(b[:n])
		if err != nil && !strings.Contains(err.Error(), "input/output error") {
			return
		}
		if err != nil {
			select {
			case <-s.done:
				return
			case <-time.After(time.Millisecond):
			}
		}
	}
}

// types sends keys.
func (s *screen) types(keys string) {
	s.t.Helper()
	if _, err := s.ptm.WriteString(keys); err != nil {
		s.t.Fatal(err)
	}
}

// expect waits until the terminal shows a match behind what was expected
// before, and returns it with its groups. (?s) is on. Before what is expected at
// once, or behind the end of a line that was typed unseen, there may be the line that
// a login on a busy machine has after a second.
func (s *screen) expect(pattern string) []string {
	s.t.Helper()
	if rest, ok := strings.CutPrefix(pattern, `\A`); ok {
		const late = `(?:\r?muxc: \S+: (?:connecting|waiting)[^\r\n]*(?:\r\n|\r\x1b\[K)?)*`
		if behind, ok := strings.CutPrefix(rest, `\r\n`); ok {
			rest = `\r\n` + late + behind
		}
		pattern = `\A` + late + rest
	}
	re := regexp.MustCompile("(?s)" + pattern)
	var m []int
	var text string
	if !until(long, func() bool {
		text = s.out.String()[s.seen:]
		m = re.FindStringSubmatchIndex(text)
		return m != nil
	}) {
		s.t.Fatalf("not within %v: %q on the terminal; behind what was expected before there is\n%q", long, pattern, lastOf(text))
	}
	s.seen += m[1]
	var groups []string
	for i := 0; i < len(m); i += 2 {
		groups = append(groups, text[m[i]:m[i+1]])
	}
	return groups
}

func lastOf(text string) string { return text[max(0, len(text)-2000):] }

// shows waits for text behind what was expected before.
func (s *screen) shows(text string) {
	s.t.Helper()
	s.expect(regexp.QuoteMeta(text))
}

// unseen is what the terminal shows behind what was expected.
func (s *screen) unseen() string { return s.out.String()[s.seen:] }

// ends waits for the process' end, by an exit status or by a signal n as 128+n,
// and for everything that was shown until then.
func (s *screen) ends(code int) {
	s.t.Helper()
	if !until(long, func() bool { return closed(s.done) && closed(s.idle) }) {
		s.t.Fatalf("%q still runs after %v; the terminal shows\n%q", s.cmd.Args, long, lastOf(s.out.String()))
	}
	got := s.cmd.ProcessState.ExitCode()
	if ws := s.cmd.ProcessState.Sys().(syscall.WaitStatus); ws.Signaled() {
		got = 128 + int(ws.Signal())
	}
	if got != code {
		s.t.Fatalf("%q: %v, want exit status %d; the terminal shows\n%q", s.cmd.Args, s.cmd.ProcessState, code, lastOf(s.out.String()))
	}
}

// modes are the terminal's. Linux gives the person's side those of the other.
func (s *screen) modes() (m unix.Termios) {
	s.t.Helper()
	s.ioctl(func(fd int) error {
		now, err := unix.IoctlGetTermios(fd, unix.TCGETS)
		if err == nil {
			m = *now
		}
		return err
	})
	return m
}

func (s *screen) setModes(change func(*unix.Termios)) {
	s.t.Helper()
	m := s.modes()
	change(&m)
	s.ioctl(func(fd int) error { return unix.IoctlSetTermios(fd, unix.TCSETS, &m) })
}

// ioctl leaves the descriptor non-blocking, which os.File.Fd does not.
func (s *screen) ioctl(f func(fd int) error) {
	s.t.Helper()
	raw, err := s.ptm.SyscallConn()
	if err == nil {
		raw.Control(func(fd uintptr) { err = f(int(fd)) })
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// becomesRaw waits for a muxc that passes on every key.
func (s *screen) becomesRaw() {
	s.t.Helper()
	s.h.eventually("the terminal is raw", func() bool { return s.modes().Lflag&(unix.ISIG|unix.ICANON|unix.ECHO) == 0 })
}

// hidesTyping waits for a question whose answer is not shown.
func (s *screen) hidesTyping() {
	s.t.Helper()
	s.h.eventually("the echo is off", func() bool { return s.modes().Lflag&(unix.ICANON|unix.ECHO) == unix.ICANON })
}

// restored fails unless the modes are those from before.
func (s *screen) restored(before unix.Termios) {
	s.t.Helper()
	if now := s.modes(); now != before {
		s.t.Errorf("the terminal's modes are not restored:\n before %+v\n now    %+v", before, now)
	}
}

func (s *screen) resize(rows, cols uint16) {
	s.t.Helper()
	if err := pty.Setsize(s.ptm, &pty.Winsize{Rows: rows, Cols: cols}); err != nil {
		s.t.Fatal(err)
	}
}

// count is how often the terminal showed text so far.
func (s *screen) count(text string) int {
	return bytes.Count([]byte(s.out.String()), []byte(text))
}

// startShellHost is startHost with a remote shell that is the same everywhere:
// the prompt is "R> ", and no file of the tester is read. A command runs as
// given.
func startShellHost(t testing.TB, lines ...string) *host {
	t.Helper()
	requireTerminals(t)
	return startHost(t, append(lines,
		`ForceCommand if test -n "$SSH_ORIGINAL_COMMAND"; then eval "$SSH_ORIGINAL_COMMAND"; else unset ENV; PS1='R> ' exec /bin/sh -i; fi`)...)
}

// requireTerminals skips where a sshd of an ordinary user cannot give terminals:
// it may not change their group, so the kernel has to make them with the group
// tty (devpts mounted with gid=5, as distributions do and some containers do
// not).
func requireTerminals(t testing.TB) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	ptm, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer ptm.Close()
	defer tty.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(tty.Fd()), &st); err != nil {
		t.Fatal(err)
	}
	g, err := user.LookupGroup("tty")
	if err == nil && g.Gid != strconv.Itoa(int(st.Gid)) {
		sshtest.Lacks(t, "root", errors.New("terminals are made without the group tty here, and sshd cannot change that"))
	}
}

// startServer makes a host whose server is in this process, and told how to behave.
// Its key is known, and stderr of a login without a key can be asked for: no
// identity is configured.
func startServer(t testing.TB, opts sshtest.Options, lines ...string) (*host, *sshtest.Server) {
	t.Helper()
	srv := sshtest.NewServer(opts)
	t.Cleanup(srv.Close)
	addr, err := srv.Listen()
	if err != nil {
		t.Fatal(err)
	}
	h := newHost(t)
	h.configure(addr, srv.HostKey(), lines...)
	return h, srv
}

// configure makes the box of the host's configuration the server at addr; the
// lines win over what stands there otherwise.
func (h *host) configure(addr string, key ssh.PublicKey, lines ...string) {
	h.t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		h.t.Fatal(err)
	}
	known := filepath.Join(h.dir, "known_hosts")
	if key != nil {
		line := knownhosts.Line([]string{knownhosts.Normalize(addr)}, key)
		if err := os.WriteFile(known, []byte(line+"\n"), 0o600); err != nil {
			h.t.Fatal(err)
		}
	}
	h.cfg = filepath.Join(h.dir, "config")
	text := strings.Join(append(append([]string{"Host box"}, lines...), "HostName "+host, "Port "+port, "User somebody",
		"IdentityFile none", "IdentityAgent none", "UserKnownHostsFile "+known, "GlobalKnownHostsFile "+os.DevNull), "\n  ")
	if err := os.WriteFile(h.cfg, []byte(text+"\n"), 0o600); err != nil {
		h.t.Fatal(err)
	}
}
