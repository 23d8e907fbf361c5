package term

import (
	"sync"
	"testing"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

const (
	cooked = "echo lines post susp"
	asking = "noecho lines post nosusp"
	isRaw  = "noecho nolines nopost susp"
)

func TestRawAndRestore(t *testing.T) {
	master, tty := open(t)
	fd := int(tty.Fd())
	before := modesOf(t, fd)
	if _, err := master.WriteString("typed ahead\n"); err != nil {
		t.Fatal(err)
	}
	s, err := Raw(fd)
	if err != nil {
		t.Fatal(err)
	}
	raw := modesOf(t, fd)
	if raw.Lflag&(unix.ECHO|unix.ICANON|unix.ISIG|unix.IEXTEN) != 0 || raw.Oflag&unix.OPOST != 0 ||
		raw.Iflag&(unix.ICRNL|unix.IXON) != 0 || raw.Cc[unix.VMIN] != 1 || raw.Cc[unix.VTIME] != 0 {
		t.Errorf("not raw: %+v", raw)
	}
	if raw.Cflag != before.Cflag {
		t.Errorf("the line's own settings changed from %o to %o", before.Cflag, raw.Cflag)
	}
	for range 2 {
		if err := s.Restore(); err != nil || modesOf(t, fd) != before {
			t.Errorf("restored to %+v, %v; want %+v", modesOf(t, fd), err, before)
		}
	}
	var b [100]byte
	if n, err := tty.Read(b[:]); string(b[:n]) != "typed ahead\n" {
		t.Errorf("what was typed ahead reads as %q, %v", b[:n], err)
	}
}

// TestRestoreOnce: who changes the modes after Restore keeps them.
func TestRestoreOnce(t *testing.T) {
	_, tty := open(t)
	fd := int(tty.Fd())
	s, err := Raw(fd)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Restore(); err != nil {
		t.Fatal(err)
	}
	m := modesOf(t, fd)
	m.Lflag &^= unix.ECHO
	if err := unix.IoctlSetTermios(fd, setTermios, &m); err != nil {
		t.Fatal(err)
	}
	if err := s.Restore(); err != nil || modesOf(t, fd) != m {
		t.Errorf("a second Restore changed the modes, %v", err)
	}
	// The modes of now, and not those of the first time, are given back.
	if err := s.Again(); err != nil {
		t.Fatal(err)
	}
	if err := s.Again(); err != nil {
		t.Fatal(err)
	}
	if err := s.Restore(); err != nil || modesOf(t, fd) != m {
		t.Errorf("Restore after Again: %v, modes %+v, want %+v", err, modesOf(t, fd), m)
	}
}

func TestRestoreFromEverywhere(t *testing.T) {
	_, tty := open(t)
	fd := int(tty.Fd())
	before := modesOf(t, fd)
	s, err := Raw(fd)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 20 {
				if err := s.Again(); err != nil {
					t.Error(err)
				}
				if err := s.Restore(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if modesOf(t, fd) != before {
		t.Errorf("left as %+v, want %+v", modesOf(t, fd), before)
	}
}

func TestSuspend(t *testing.T) {
	s := sitAtShell(t, "raw")
	s.hears("raw <nil> " + isRaw)
	s.orders("suspend")
	s.hears("stopped stopped " + cooked)
	if err := pty.Setsize(s.master, &pty.Winsize{Rows: 30, Cols: 100}); err != nil {
		t.Fatal(err)
	}
	s.tells("fg")
	s.hears("suspend {100 30 0 0} <nil> " + isRaw)
	s.orders("restore")
	s.hears("restore <nil>")
	s.order.Close()
	s.hears("ended 0 signal -1 " + cooked)
}

// TestSuspendToBackground: bg does not let the session take the terminal from
// the shell; it stops until it has the foreground.
func TestSuspendToBackground(t *testing.T) {
	s := sitAtShell(t, "raw")
	s.hears("raw <nil> " + isRaw)
	s.orders("suspend")
	s.hears("stopped stopped " + cooked)
	s.tells("bg")
	s.hears("stopped stopped (tty output) " + cooked)
	s.tells("fg")
	s.hears("suspend {0 0 0 0} <nil> " + isRaw)
}

// TestSuspendForbidden: a session leader's group is one that no shell could
// continue, so it is not stopped, and goes on as if nothing had been.
func TestSuspendForbidden(t *testing.T) {
	s := sit(t, "raw")
	s.hears("raw <nil> " + isRaw)
	s.orders("suspend")
	s.hears("suspend {0 0 0 0} <nil> " + isRaw)
}

func TestRawInBackground(t *testing.T) {
	s := sitAtShell(t, "raw", "TERM_BG=1")
	s.hears("stopped stopped (tty output) " + cooked)
	s.tells("fg")
	s.hears("raw <nil> " + isRaw)
	s.orders("restore")
	s.hears("restore <nil>")
	if m := s.modes(); m.Lflag&unix.ICANON == 0 {
		t.Error("the terminal was not given back")
	}
}

// TestRestoreInBackground: who was stopped from outside and continued in the
// background neither touches the terminal any more nor is stopped for trying.
func TestRestoreInBackground(t *testing.T) {
	s := sitAtShell(t, "raw")
	s.hears("raw <nil> " + isRaw)
	s.signals(unix.SIGSTOP)
	s.hears("stopped stopped (signal) " + isRaw)
	s.tells("bg")
	s.orders("restore")
	s.hears("restore <nil>")
	s.order.Close()
	s.hears("ended 0 signal -1 " + isRaw)
}

// TestContinuedAfterShell: after a stop from outside a shell has set its modes;
// Again takes the terminal once more and gives those back.
func TestContinuedAfterShell(t *testing.T) {
	s := sitAtShell(t, "raw")
	s.hears("raw <nil> " + isRaw)
	s.signals(unix.SIGSTOP)
	s.hears("stopped stopped (signal) " + isRaw)
	s.tells("sane")
	s.tells("fg")
	s.orders("again")
	s.hears("again <nil> " + isRaw)
	s.orders("restore")
	s.hears("restore <nil>")
	if m := s.modes(); m.Lflag&unix.ICANON == 0 {
		t.Error("the terminal was not given back")
	}
}

// TestOrphanInBackground: where the kernel would not even stop the process, both
// ways of taking the terminal fail at once.
func TestOrphanInBackground(t *testing.T) {
	s := sit(t, "shell", "TERM_JOB=orphan", "TERM_BG=1")
	s.hears("left <nil>")
	s.hears("ended 0 signal -1 " + cooked)
	s.orders("go")
	s.hears("orphan cannot put the terminal into raw mode: " + errOrphan.Error() + `; "" nobody ` + cooked)
}
