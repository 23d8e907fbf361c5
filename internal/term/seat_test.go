package term

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// patience is how long a test waits for what must happen. It is only ever spent
// when the test fails.
const patience = time.Minute

// seat is a person at a terminal with a helper program on it.
type seat struct {
	t       *testing.T
	master  *os.File
	cmd     *exec.Cmd
	order   *os.File // to the program
	shell   *os.File // to the shell
	reports chan string

	mu    sync.Mutex
	shown strings.Builder // guarded by mu; all that the terminal showed
	more  chan struct{}   // capacity 1: something was shown
}

// sit starts the helper name as the leader of a session on a new terminal.
func sit(t *testing.T, name string, env ...string) *seat {
	t.Helper()
	s := start(t, name, env...)
	var err error
	if s.master, err = pty.Start(s.cmd); err != nil {
		t.Fatal(err)
	}
	go s.watch()
	s.finish()
	return s
}

// sitAtShell starts the helper name as the only job of a shell.
func sitAtShell(t *testing.T, name string, env ...string) *seat {
	t.Helper()
	return sit(t, "shell", append(env, "TERM_JOB="+name)...)
}

// standUp starts the helper name without a terminal.
func standUp(t *testing.T, name string, env ...string) *seat {
	t.Helper()
	s := start(t, name, env...)
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.finish()
	return s
}

func start(t *testing.T, name string, env ...string) *seat {
	t.Helper()
	s := &seat{t: t, reports: make(chan string, 100), more: make(chan struct{}, 1), cmd: exec.Command(os.Args[0])}
	s.cmd.Env = append([]string{"TERM_HELPER=" + name, "PATH=" + os.Getenv("PATH"), "HOME=/nonexistent"}, env...)
	var theirs [3]*os.File
	var reports *os.File
	for i, ours := range []**os.File{&reports, &s.order, &s.shell} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		theirs[i], *ours = r, w
		if i == 0 {
			theirs[i], *ours = w, r
		}
		t.Cleanup(func() { r.Close(); w.Close() })
	}
	s.cmd.ExtraFiles = theirs[:]
	go func() {
		defer close(s.reports)
		for lines := bufio.NewScanner(reports); lines.Scan(); {
			s.reports <- lines.Text()
		}
	}()
	return s
}

// finish closes our copies of the program's ends, and has it killed at the end.
func (s *seat) finish() {
	for _, f := range s.cmd.ExtraFiles {
		f.Close()
	}
	s.t.Cleanup(func() {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
		if s.master != nil {
			s.master.Close() // hangs up on whatever is left
		}
	})
}

func (s *seat) watch() {
	var b [4096]byte
	for {
		n, err := s.master.Read(b[:])
		s.mu.Lock()
		s.shown.Write(b[:n])
		s.mu.Unlock()
		select {
		case s.more <- struct{}{}:
		default:
		}
		if err != nil {
			return
		}
	}
}

func (s *seat) screen() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shown.String()
}

// sees waits until text was shown n times.
func (s *seat) sees(text string, n int) {
	s.t.Helper()
	late := time.After(patience)
	for strings.Count(s.screen(), text) < n {
		select {
		case <-s.more:
		case <-late:
			s.t.Fatalf("%q was not shown %d times: %q", text, n, s.screen())
		}
	}
}

func (s *seat) types(text string) { s.say(s.master, text) }

func (s *seat) orders(word string) { s.say(s.order, word+"\n") }

func (s *seat) tells(word string) { s.say(s.shell, word+"\n") }

func (s *seat) say(w io.Writer, text string) {
	s.t.Helper()
	if _, err := io.WriteString(w, text); err != nil {
		s.t.Fatal(err)
	}
}

// hears waits for the next report, which must be want.
func (s *seat) hears(want string) {
	s.t.Helper()
	select {
	case got := <-s.reports:
		if got != want {
			s.t.Fatalf("reported %q, want %q; shown %q", got, want, s.screen())
		}
	case <-time.After(patience):
		s.t.Fatalf("no report, want %q; shown %q", want, s.screen())
	}
}

// signals sends sig to whatever is in the foreground, which is not the terminal's
// doing.
func (s *seat) signals(sig unix.Signal) {
	s.t.Helper()
	pgrp, err := unix.IoctlGetInt(int(s.master.Fd()), unix.TIOCGPGRP)
	if err != nil {
		s.t.Skip("cannot ask who has the foreground: ", err)
	}
	if err := unix.Kill(-pgrp, sig); err != nil {
		s.t.Fatal(err)
	}
}

// until waits for what cannot be waited for otherwise.
func (s *seat) until(what string, is func() bool) {
	s.t.Helper()
	for late := time.Now().Add(patience); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(late) {
			s.t.Fatalf("waited in vain until %s; shown %q", what, s.screen())
		}
	}
}

// modes describes the terminal, seen from the other side.
func (s *seat) modes() unix.Termios { return modesOf(s.t, int(s.master.Fd())) }
