package fdio

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// Even a call that is left behind ends when the other side moves.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds what must happen at once.
const patience = time.Minute

// rig is what stands on both sides of a descriptor: near is the client's, on
// the description that it shares, and far is the other end's.
type rig struct {
	t         *testing.T
	near, far int
	locked    bool // near cannot be opened again
}

// kind is a sort of descriptor and the way it must be served.
type kind struct {
	name   string
	way    string
	locked bool
	open   func(t *testing.T, mode int) (near, far int)
}

var kinds = []kind{
	{"pipe", "private", false, openPipe},
	{"FIFO", "private", false, openFIFO},
	{"terminal", "private", false, openTerminal},
	{"socket", "polled", false, openSocket},
	{"pipe of another", "polled", true, openPipe},
	{"FIFO of another", "blind", true, openFIFO},
	{"terminal of another", "blind", true, openTerminal},
	{"master's side", "blind", false, func(t *testing.T, mode int) (int, int) {
		slave, master := openTerminal(t, mode)
		return master, slave
	}},
}

// perKind runs a test for every kind, of which the client has the reading or
// the writing end.
func perKind(t *testing.T, mode int, test func(t *testing.T, k kind, r *rig)) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) { test(t, k, newRig(t, k, mode)) })
	}
}

func newRig(t *testing.T, k kind, mode int) *rig {
	t.Helper()
	r := &rig{t: t, locked: k.locked}
	r.near, r.far = k.open(t, mode)
	if k.locked {
		must(t, unix.Fchmod(r.near, 0)) // root needs more: see pass
	}
	t.Cleanup(func() {
		r.closeFar()
		unix.Close(r.near)
	})
	return r
}

func (r *rig) closeFar() {
	if r.far >= 0 {
		unix.Close(r.far)
	}
	r.far = -1
}

// pass hands over a descriptor on the client's description.
func (r *rig) pass() int {
	fd, err := unix.FcntlInt(uintptr(r.near), unix.F_DUPFD_CLOEXEC, 0)
	must(r.t, err)
	return fd
}

// unprivileged runs f as somebody who may not open what is another's.
func unprivileged(t *testing.T, f func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		f()
		return
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		err := unix.Setfsuid(65534)
		if err == nil {
			f()
		}
		done <- err
	}()
	must(t, <-done)
}

func (r *rig) reader() (x *Reader) {
	r.t.Helper()
	r.as(func() (err error) { x, err = NewReader(r.pass()); return err })
	r.t.Cleanup(func() { x.Close() })
	return x
}

func (r *rig) writer() (x *Writer) {
	r.t.Helper()
	r.as(func() (err error) { x, err = NewWriter(r.pass()); return err })
	r.t.Cleanup(func() { x.Close() })
	return x
}

func (r *rig) as(f func() error) {
	r.t.Helper()
	var err error
	if r.locked {
		unprivileged(r.t, func() { err = f() })
	} else {
		err = f()
	}
	must(r.t, err)
}

func openPipe(t *testing.T, mode int) (near, far int) {
	var p [2]int
	must(t, unix.Pipe2(p[:], unix.O_CLOEXEC))
	if mode == unix.O_WRONLY {
		return p[1], p[0]
	}
	return p[0], p[1]
}

func openFIFO(t *testing.T, mode int) (near, far int) {
	path := filepath.Join(t.TempDir(), "fifo")
	must(t, unix.Mkfifo(path, 0o600))
	hold, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0) // so that no opening waits
	must(t, err)
	defer unix.Close(hold)
	near, err = unix.Open(path, mode|unix.O_CLOEXEC, 0)
	must(t, err)
	far, err = unix.Open(path, unix.O_RDONLY+unix.O_WRONLY-mode|unix.O_CLOEXEC, 0)
	must(t, err)
	return near, far
}

func openSocket(t *testing.T, _ int) (near, far int) {
	s, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	return s[0], s[1]
}

// openTerminal returns the slave's and the master's side of a terminal in raw
// mode, without echo.
func openTerminal(t *testing.T, _ int) (near, far int) {
	far, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	must(t, err)
	must(t, unix.IoctlSetPointerInt(far, unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(far, unix.TIOCGPTN)
	must(t, err)
	near, err = unix.Open(fmt.Sprintf("/dev/pts/%d", n), unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	must(t, err)
	modes, err := unix.IoctlGetTermios(near, unix.TCGETS)
	must(t, err)
	modes.Iflag, modes.Oflag, modes.Lflag = 0, 0, 0
	modes.Cc[unix.VMIN], modes.Cc[unix.VTIME] = 1, 0
	must(t, unix.IoctlSetTermios(near, unix.TCSETS, modes))
	return near, far
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// soon waits for a value that must come.
func soon[T any](t *testing.T, c <-chan T, what string) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(patience):
		t.Fatal(what, "did not happen")
	}
	return v
}

type result struct {
	n   int
	err error
}

// start begins a Read or Write, and returns when it has most likely come to
// wait. The tests hold, if weaker, where it has not.
func start(call func([]byte) (int, error), p []byte) <-chan result {
	c := make(chan result, 1)
	go func() {
		n, err := call(p)
		c <- result{n, err}
	}()
	time.Sleep(5 * time.Millisecond)
	return c
}

// entries counts the entries of a directory in /proc/self.
func entries(t *testing.T, dir string) int {
	list, err := os.ReadDir("/proc/self/" + dir)
	must(t, err)
	return len(list)
}

// settles waits until the count has come back to no more than want.
func settles(t *testing.T, want int, what string, count func() int) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		n := count()
		if n <= want {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s: %d, want %d", what, n, want)
		}
	}
}
