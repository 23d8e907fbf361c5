package socket

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// startActivated starts a child as systemd would: the descriptors from 3 on,
// and a LISTEN_PID that can be known only after the fork, hence the shell.
func startActivated(t *testing.T, p Place, script string, fds ...int) *child {
	t.Helper()
	cmd := exec.Command("sh", "-c", script+` exec "$0"`, os.Args[0])
	for _, fd := range fds {
		dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		ok(t, err)
		f := os.NewFile(uintptr(dup), "passed")
		t.Cleanup(func() { f.Close() })
		cmd.ExtraFiles = append(cmd.ExtraFiles, f)
	}
	return startCmd(t, cmd, "activate", p)
}

const (
	oneFD  = "LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=muxd.socket"
	twoFDs = "LISTEN_PID=$$ LISTEN_FDS=2"
)

func activateRole(p Place) error {
	l, err := ListenFDs()
	for _, v := range os.Environ() {
		if strings.HasPrefix(v, "LISTEN_") {
			return errors.New("still set: " + v)
		}
	}
	if l == nil {
		fmt.Println("none:", err)
		return nil
	}
	if flags, err := unix.FcntlInt(firstFD, unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		return fmt.Errorf("the socket would leak into children (%v)", err)
	}
	fmt.Println("serving", l.Place().Path())
	go func() {
		waitParent()
		l.Close()
	}()
	for {
		c, err := l.Accept()
		if err != nil {
			fmt.Println("closed:", err == os.ErrClosed)
			return nil
		}
		c.Write([]byte("x"))
		if err := l.Check(); err != nil {
			return err
		}
		c.Close()
	}
}

func TestActivation(t *testing.T) {
	p := newPlace(t)
	ok(t, p.Prepare())
	fd := bindRaw(t, p.Path(), unix.SOCK_STREAM)
	ok(t, unix.Listen(fd, 5))
	c := startActivated(t, p, oneFD, fd)
	c.expect("serving " + p.Path())
	mustGreet(t, p)
	if _, err := Listen(p); !errors.Is(err, ErrRunning) {
		t.Errorf("a muxd started by hand beside it: %v", err)
	}

	ino := inodeOf(t, p.Path())
	c.in.Close()
	c.expect("closed: true")
	if inodeOf(t, p.Path()) != ino {
		t.Error("the socket is systemd's and was touched")
	}
}

// TestActivationMends has the path vanish under an activated muxd: it makes
// one of its own, and that one it removes.
func TestActivationMends(t *testing.T) {
	p := newPlace(t)
	ok(t, p.Prepare())
	fd := bindRaw(t, p.Path(), unix.SOCK_STREAM)
	ok(t, unix.Listen(fd, 5))
	l, err := adopt(fd, p)
	ok(t, err)
	greet(t, l)
	ok(t, os.Remove(p.Path()))
	ok(t, l.Check())
	mustGreet(t, p)
	ok(t, l.Close())
	if _, err := os.Lstat(p.Path()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its own socket is left: %v", err)
	}
}

func TestActivationRefused(t *testing.T) {
	p := newPlace(t)
	ok(t, p.Prepare())
	good := bindRaw(t, p.Path(), unix.SOCK_STREAM)
	ok(t, unix.Listen(good, 5))
	deaf := bindRaw(t, p.Dir+"/deaf", unix.SOCK_STREAM)
	dgram := bindRaw(t, p.Dir+"/dgram", unix.SOCK_DGRAM)
	abstract, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	ok(t, err)
	defer unix.Close(abstract)
	ok(t, unix.Bind(abstract, &unix.SockaddrUnix{Name: fmt.Sprintf("@muxd-test-%d", os.Getpid())}))
	ok(t, unix.Listen(abstract, 1))
	inet, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	ok(t, err)
	defer unix.Close(inet)
	ok(t, unix.Listen(inet, 1))
	open := newPlace(t)
	ok(t, open.Prepare())
	exposed := bindRaw(t, open.Path(), unix.SOCK_STREAM)
	ok(t, unix.Listen(exposed, 1))
	ok(t, os.Chmod(open.Dir, 0o755))
	file := files(t, 1)[0]

	for _, tt := range []struct {
		name, script string
		fds          []int
		want         string
	}{
		{"not activated", "", []int{good}, "none: <nil>"},
		{"meant for another process", "LISTEN_PID=1 LISTEN_FDS=1", []int{good}, "none: <nil>"},
		{"none passed", "LISTEN_PID=$$ LISTEN_FDS=0", nil, "none: <nil>"},
		{"nonsense", "LISTEN_PID=$$ LISTEN_FDS=one", nil, "not a number"},
		{"two", twoFDs, []int{good, good}, "passed 2 descriptors"},
		{"a file", oneFD, []int{file}, "SO_TYPE"},
		{"not listening", oneFD, []int{deaf}, "not a listening stream socket"},
		{"datagrams", oneFD, []int{dgram}, "not a listening stream socket"},
		{"no path", oneFD, []int{abstract}, "no path"},
		{"the network", oneFD, []int{inet}, "not a Unix socket"},
		{"in an open directory", oneFD, []int{exposed}, "open to others"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := startActivated(t, p, tt.script, tt.fds...).line(); !strings.Contains(got, tt.want) {
				t.Errorf("child says %q, want %q", got, tt.want)
			}
		})
	}
	t.Run("directory is gone", func(t *testing.T) {
		p := newPlace(t)
		if _, err := adopt(good, p); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("adopt: %v", err)
		}
		if _, err := os.Lstat(p.Dir); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("made the directory: %v", err)
		}
	})
	t.Run("place is served", func(t *testing.T) {
		lock := startChild(t, "hold", p)
		lock.expect("holding")
		want := fmt.Sprintf("none: muxd is already running at %s (pid %d)", p.Path(), lock.cmd.Process.Pid)
		startActivated(t, p, oneFD, good).expect(want)
	})
}

// holdRole is a muxd whose socket systemd has since replaced.
func holdRole(p Place) error {
	if _, err := claimPlace(p); err != nil {
		return err
	}
	fmt.Println("holding")
	waitParent()
	return nil
}
