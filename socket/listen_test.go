package socket

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestListen(t *testing.T) {
	p := newPlace(t)
	l := listen(t, p)
	ended := greet(t, l)
	for path, want := range map[string]os.FileMode{
		p.Dir: os.ModeDir | 0o700, p.Path(): os.ModeSocket | 0o600, p.LockPath(): 0o600,
	} {
		if fi, err := os.Lstat(path); err != nil || fi.Mode() != want {
			t.Errorf("%s: %v (%v), want %v", path, fi.Mode(), err, want)
		}
	}
	if entries, _ := os.ReadDir(p.Dir); len(entries) != 2 {
		t.Errorf("left behind: %v", entries)
	}
	mustGreet(t, p)
	if pid := dial(t, p).PeerPID(); pid != os.Getpid() {
		t.Errorf("PeerPID %d", pid)
	}
	ok(t, l.Check())
	ok(t, l.Close())
	<-ended
	if _, err := Dial(p); !errors.Is(err, ErrNoServer) {
		t.Errorf("Dial after Close: %v", err)
	}
	if _, err := os.Lstat(p.Path()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Close left the socket: %v", err)
	}
	if err := l.Close(); err != os.ErrClosed {
		t.Errorf("second Close: %v", err)
	}
	if err := l.Check(); err != os.ErrClosed {
		t.Errorf("Check after Close: %v", err)
	}
	listen(t, p) // the lock is free again
}

func TestModeWhateverTheUmask(t *testing.T) {
	old := unix.Umask(0)
	defer unix.Umask(old)
	p := newPlace(t)
	listen(t, p)
	for path, want := range map[string]os.FileMode{p.Dir: 0o700, p.Path(): 0o600, p.LockPath(): 0o600} {
		if fi, err := os.Lstat(path); err != nil || fi.Mode().Perm() != want {
			t.Errorf("%s: %v (%v)", path, fi.Mode(), err)
		}
	}
}

func TestFiftyListenOneServes(t *testing.T) {
	p := newPlace(t)
	var winner *Listener
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			l, err := Listen(p)
			mu.Lock()
			defer mu.Unlock()
			switch running, is := errors.AsType[*RunningError](err); {
			case err == nil && winner == nil:
				winner = l
			case err == nil:
				t.Error("two listeners")
				l.Close()
			case !is || !errors.Is(err, ErrRunning):
				t.Error(err)
			case running.PID != 0 && running.PID != os.Getpid():
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if winner == nil {
		t.Fatal("no listener")
	}
	defer winner.Close()
	ino := inodeOf(t, p.Path())
	if _, err := Listen(p); !strings.Contains(fmt.Sprint(err), fmt.Sprintf("pid %d", os.Getpid())) {
		t.Errorf("a latecomer is told %v", err)
	}
	if inodeOf(t, p.Path()) != ino {
		t.Error("a latecomer replaced the socket")
	}
	greet(t, winner)
	mustGreet(t, p)
}

// TestFiftyClientsStartOne is what fifty first commands do.
func TestFiftyClientsStartOne(t *testing.T) {
	p := newPlace(t)
	var mu sync.Mutex
	var started []*Listener
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			c, err := Dial(p)
			if errors.Is(err, ErrNoServer) {
				unlock, lerr := LockStart(p)
				if lerr != nil {
					t.Error(lerr)
					return
				}
				defer unlock()
				c, err = Dial(p)
			}
			if !errors.Is(err, ErrNoServer) {
				if err != nil {
					t.Error(err)
					return
				}
				c.Close()
				return
			}
			l, err := Listen(p)
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			started = append(started, l)
			mu.Unlock()
		})
	}
	wg.Wait()
	if len(started) != 1 {
		t.Errorf("%d muxds were started", len(started))
	}
	for _, l := range started {
		l.Close()
	}
}

func TestLockStartIsBounded(t *testing.T) {
	p := newPlace(t)
	before := openFDs()
	unlock, err := LockStart(p)
	ok(t, err)
	_, err = lockStart(p, 20*time.Millisecond)
	if !errors.Is(err, os.ErrDeadlineExceeded) || !strings.Contains(err.Error(), fmt.Sprintf("pid %d", os.Getpid())) {
		t.Fatalf("while it is held: %v", err)
	}
	unlock()
	next := files(t, 4) // one has the lock's number by now
	unlock()
	for _, fd := range next {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil {
			t.Errorf("a second unlock closed another file: %v", err)
		}
	}
	before += len(next)
	again, err := lockStart(p, patience)
	if err != nil {
		t.Fatalf("the one who gave up kept the lock: %v", err)
	}
	again()
	for start := time.Now(); openFDs() != before; time.Sleep(time.Millisecond) {
		if time.Since(start) > patience {
			t.Fatal("the one who gave up keeps the file, and the lock once he gets it")
		}
	}
}

func TestListenReplacesWhatIsDead(t *testing.T) {
	p := newPlace(t)
	c := startChild(t, "serve", p)
	c.expect("serving")
	_, err := Listen(p)
	if r, is := errors.AsType[*RunningError](err); !is || r.PID != c.cmd.Process.Pid {
		t.Fatalf("while the child serves: %v", err)
	}
	dead := filepath.Join(p.Dir, "ctl.0123456789abcdef")
	ok(t, os.Link(p.Path(), dead))
	keep := filepath.Join(p.Dir, "ctl.0123456789abcdeg")
	ok(t, os.Link(p.Path(), keep))

	ok(t, c.cmd.Process.Kill())
	c.cmd.Wait()
	if _, err := os.Lstat(p.Path()); err != nil {
		t.Fatalf("the test needs a stale socket: %v", err)
	}
	if _, err := Dial(p); !errors.Is(err, ErrNoServer) {
		t.Errorf("Dial to a stale socket: %v", err)
	}
	l := listen(t, p)
	greet(t, l)
	mustGreet(t, p)
	if _, err := os.Lstat(dead); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what a dead muxd left half made is still there: %v", err)
	}
	if _, err := os.Lstat(keep); err != nil {
		t.Errorf("something else was removed: %v", err)
	}
}

func serveRole(p Place) error {
	l, err := Listen(p)
	if err != nil {
		return err
	}
	fmt.Println("serving")
	waitParent()
	return l.Close()
}

// TestProcessesRace lets real processes start at once, after a common signal.
func TestProcessesRace(t *testing.T) {
	p := newPlace(t)
	var cs []*child
	for range 6 {
		c := startChild(t, "race", p)
		c.expect("ready")
		cs = append(cs, c)
	}
	for _, c := range cs {
		fmt.Fprintln(c.in)
	}
	count := map[string]int{}
	for _, c := range cs {
		count[c.line()]++
	}
	if count["won"] != 1 || count["lost"] != 5 {
		t.Errorf("results: %v", count)
	}
}

func raceRole(p Place) error {
	fmt.Println("ready")
	if _, err := os.Stdin.Read(make([]byte, 1)); err != nil {
		return err
	}
	_, err := Listen(p)
	switch {
	case err == nil:
		fmt.Println("won")
	case errors.Is(err, ErrRunning):
		fmt.Println("lost")
	default:
		return err
	}
	waitParent()
	return nil
}

func TestListenLeavesAloneWhatIsNotItsOwn(t *testing.T) {
	for _, tt := range []struct {
		name  string
		plant func(p Place) error
		want  string
	}{
		{"file", func(p Place) error { return os.WriteFile(p.Path(), []byte("precious"), 0o600) }, "is a file and not a socket"},
		{"directory", func(p Place) error { return os.Mkdir(p.Path(), 0o700) }, "is a directory"},
		{"link", func(p Place) error { return os.Symlink("/dev/null", p.Path()) }, "is a symbolic link"},
		{"named pipe", func(p Place) error { return unix.Mkfifo(p.Path(), 0o600) }, "is a named pipe"},
		{"hard link to a file", func(p Place) error {
			return errors.Join(os.WriteFile(p.Dir+"/precious", []byte("precious"), 0o600), os.Link(p.Dir+"/precious", p.Path()))
		}, "is a file and not a socket"},
		{"link to a socket", func(p Place) error { return os.Symlink("/dev/log", p.Path()) }, "is a symbolic link"},
		{"lock is a link", func(p Place) error { return os.Symlink("target", p.LockPath()) }, "ctl.lock"},
		{"lock is a hard link", func(p Place) error {
			return errors.Join(os.WriteFile(p.Dir+"/precious", []byte("precious"), 0o600), os.Link(p.Dir+"/precious", p.LockPath()))
		}, "is a hard link to another file"},
		{"lock is a pipe", func(p Place) error { return unix.Mkfifo(p.LockPath(), 0o600) }, "is a named pipe"},
		{"lock is a directory", func(p Place) error { return os.Mkdir(p.LockPath(), 0o700) }, "ctl.lock"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newPlace(t)
			ok(t, p.Prepare())
			ok(t, tt.plant(p))
			planted := picture(t, p.Dir)
			l, err := Listen(p)
			if err == nil {
				l.Close()
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
			if b, err := os.ReadFile(p.Dir + "/precious"); err == nil && string(b) != "precious" {
				t.Errorf("what a link led to became %q", b)
			}
			got := picture(t, p.Dir)
			if !strings.Contains(tt.name, "lock is") {
				got = strings.ReplaceAll(got, "-rw------- "+p.LockPath()+"\n", "")
			}
			if got != planted {
				t.Errorf("before\n%safter\n%s", planted, got)
			}
		})
	}
}

func TestListenBesideAForeignListener(t *testing.T) {
	p := newPlace(t)
	ok(t, p.Prepare())
	foreign := bindRaw(t, p.Path(), unix.SOCK_STREAM)
	ok(t, unix.Listen(foreign, 1))
	ino := inodeOf(t, p.Path())
	if _, err := Listen(p); !errors.Is(err, ErrRunning) {
		t.Errorf("error %v", err)
	}
	if inodeOf(t, p.Path()) != ino {
		t.Error("the foreign socket was replaced")
	}
}

func bindRaw(t *testing.T, path string, typ int) int {
	t.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, typ, 0)
	ok(t, err)
	unix.CloseOnExec(fd)
	t.Cleanup(func() { unix.Close(fd) })
	ok(t, unix.Bind(fd, &unix.SockaddrUnix{Name: path}))
	return fd
}

// TestCloseSparesASuccessor is the trap of Go's own Unix listener, which
// removes the path whoever's it is by then.
func TestCloseSparesASuccessor(t *testing.T) {
	p := newPlace(t)
	l := listen(t, p)
	ok(t, os.Remove(p.Path()))
	bindRaw(t, p.Path(), unix.SOCK_STREAM)
	ok(t, l.Close())
	if _, err := os.Lstat(p.Path()); err != nil {
		t.Errorf("the successor's socket is gone: %v", err)
	}
}

func TestTwoSocketsInOneDirectory(t *testing.T) {
	p := newPlace(t)
	q := At(p.Dir + "/other")
	listen(t, p)
	l := listen(t, q)
	greet(t, l)
	mustGreet(t, q)
}

func TestDialAny(t *testing.T) {
	none, bad, served := newPlace(t), newPlace(t), newPlace(t)
	ok(t, os.Mkdir(bad.Dir, 0o700))
	ok(t, os.Chmod(bad.Dir, 0o755))
	seq := func(ps ...Place) func(func(Place) bool) {
		return func(yield func(Place) bool) {
			for _, p := range ps {
				if !yield(p) {
					return
				}
			}
		}
	}
	if _, _, err := dialAny(seq(none)); err != ErrNoServer {
		t.Errorf("nothing anywhere: %v", err)
	}
	_, _, err := dialAny(seq(none, bad))
	if _, is := errors.AsType[*UnsoundError](err); !is || !errors.Is(err, ErrNoServer) {
		t.Errorf("nothing, and something unsound: %v", err)
	}
	odd := newPlace(t)
	ok(t, odd.Prepare())
	bindRaw(t, odd.Path(), unix.SOCK_DGRAM)
	listen(t, served)
	if _, at, err := dialAny(seq(none, odd, served)); at != odd || err == nil || errors.Is(err, ErrNoServer) {
		t.Errorf("past somebody who does listen: %v, %v", at, err)
	}
	c, at, err := dialAny(seq(none, bad, served))
	ok(t, err)
	defer c.Close()
	if at != served {
		t.Errorf("connected at %v", at)
	}
	c, at, err = DialAny(env("MUXD_SOCKET", served.Path()))
	ok(t, err)
	defer c.Close()
	if at.Path() != served.Path() {
		t.Errorf("connected at %v", at)
	}
}
