package fdio

import (
	"bytes"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func wayOf(p port) string {
	switch p := p.(type) {
	case private:
		return "private"
	case plain:
		return "plain"
	case *polled:
		if p.blind != nil {
			return "blind"
		}
		return "polled"
	}
	return "unknown"
}

// TestCopy moves a megabyte in each direction, in pieces of all sizes, and
// holds the kinds to the way they are to be served.
func TestCopy(t *testing.T) {
	data := make([]byte, 1<<20+17)
	for i := range data {
		data[i] = byte(rand.IntN(256))
	}
	perKind(t, unix.O_RDONLY, func(t *testing.T, k kind, r *rig) {
		x := r.reader()
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			for p := data; len(p) > 0; {
				n, err := unix.Write(r.far, p[:min(len(p), 1+rand.IntN(100_000))])
				if err != nil {
					break
				}
				p = p[n:]
			}
		}()
		got := make([]byte, len(data))
		for n := 0; n < len(got); {
			m, err := x.Read(got[n:min(len(got), n+1+rand.IntN(100_000))])
			must(t, err)
			n += m
		}
		soon(t, sent, "the writing")
		if !bytes.Equal(got, data) {
			t.Error("other bytes were read")
		}
		if way := wayOf(x.port); way != k.way {
			t.Errorf("read by %s, want %s", way, k.way)
		}
	})
	perKind(t, unix.O_WRONLY, func(t *testing.T, k kind, r *rig) {
		x := r.writer()
		wrote := make(chan result, 1)
		go func() {
			n, err := x.Write(data)
			wrote <- result{n, err}
		}()
		got := make([]byte, len(data))
		for n := 0; n < len(got); {
			m, err := unix.Read(r.far, got[n:])
			must(t, err)
			n += m
		}
		if w := soon(t, wrote, "Write"); w.n != len(data) || w.err != nil {
			t.Errorf("Write: %d, %v", w.n, w.err)
		}
		if !bytes.Equal(got, data) {
			t.Error("other bytes were written")
		}
		if way := wayOf(x.port); way != k.way {
			t.Errorf("written by %s, want %s", way, k.way)
		}
	})
}

// TestFlags: the flags that the client's description has are the client's.
func TestFlags(t *testing.T) {
	flags := func(r *rig) int {
		f, err := unix.FcntlInt(uintptr(r.near), unix.F_GETFL, 0)
		must(t, err)
		return f
	}
	same := func(t *testing.T, when string, got, want int) {
		t.Helper()
		if got != want {
			t.Errorf("%s: flags %#o, want %#o", when, got, want)
		}
	}
	perKind(t, unix.O_RDONLY, func(t *testing.T, _ kind, r *rig) {
		before := flags(r)
		x := r.reader()
		same(t, "open", flags(r), before)
		done := start(x.Read, make([]byte, 10))
		same(t, "reading", flags(r), before)
		x.Close()
		soon(t, done, "the end of Read")
		same(t, "closed", flags(r), before)
	})
	path := filepath.Join(t.TempDir(), "file")
	file, err := unix.Open(path, unix.O_CREAT|unix.O_RDWR|unix.O_APPEND|unix.O_CLOEXEC, 0o600)
	must(t, err)
	defer unix.Close(file)
	r := &rig{t: t, near: file}
	before := flags(r)
	r.reader().Read(make([]byte, 1))
	r.writer().Write([]byte("x"))
	same(t, "a file", flags(r), before)
	perKind(t, unix.O_WRONLY, func(t *testing.T, _ kind, r *rig) {
		before := flags(r)
		x := r.writer()
		same(t, "open", flags(r), before)
		done := start(x.Write, make([]byte, 1<<20))
		same(t, "writing", flags(r), before)
		x.Close()
		r.closeFar()
		soon(t, done, "the end of Write")
		same(t, "closed", flags(r), before)
	})
}

// TestEnd: Read waits, the last writer goes, Read returns io.EOF; then again.
func TestEnd(t *testing.T) {
	perKind(t, unix.O_RDONLY, func(t *testing.T, k kind, r *rig) {
		x := r.reader()
		if terminal := k.name == "terminal" || k.name == "terminal of another" || k.name == "master's side"; x.Terminal() != terminal {
			t.Error("Terminal:", !terminal)
		}
		done := start(x.Read, make([]byte, 10))
		r.closeFar()
		if d := soon(t, done, "the end of Read"); d.n != 0 || d.err != io.EOF {
			t.Errorf("Read: %d, %v", d.n, d.err)
		}
		if n, err := x.Read(make([]byte, 10)); n != 0 || err != io.EOF {
			t.Errorf("Read after the end: %d, %v", n, err)
		}
		if n, err := x.Read(nil); n != 0 || err != nil {
			t.Errorf("Read of nothing: %d, %v", n, err)
		}
		if n, err := r.reader().Read(make([]byte, 10)); n != 0 || err != io.EOF {
			t.Errorf("Read of what had ended: %d, %v", n, err)
		}
	})
}

// TestNobodyReads: EPIPE, at once and while Write waits, and also for what was
// passed when its reader had gone.
func TestNobodyReads(t *testing.T) {
	perKind(t, unix.O_WRONLY, func(t *testing.T, k kind, r *rig) {
		want := error(unix.EPIPE)
		switch k.name {
		case "terminal", "terminal of another":
			want = unix.EIO
		case "master's side":
			t.Skip("a master may write ahead")
		}
		x := r.writer()
		done := start(x.Write, make([]byte, 1<<20))
		r.closeFar()
		if d := soon(t, done, "the end of Write"); d.err != want {
			t.Errorf("Write that waits: %d, %v", d.n, d.err)
		}
		if n, err := x.Write([]byte("x")); n != 0 || err != want {
			t.Errorf("Write: %d, %v", n, err)
		}
		if n, err := r.writer().Write([]byte("x")); n != 0 || err != want {
			t.Errorf("Write to what had ended: %d, %v", n, err)
		}
	})
}

// TestHalfOpen: the end of one direction of a socket is not that of the other.
func TestHalfOpen(t *testing.T) {
	r := newRig(t, kinds[3], unix.O_RDWR)
	x, w := r.reader(), r.writer()
	done := start(x.Read, make([]byte, 10))
	must(t, unix.Shutdown(r.far, unix.SHUT_WR))
	if d := soon(t, done, "the end of Read"); d.err != io.EOF {
		t.Error(d.n, d.err)
	}
	if n, err := w.Write([]byte("still")); n != 5 || err != nil {
		t.Error(n, err)
	}
	p := make([]byte, 10)
	if n, err := unix.Read(r.far, p); n != 5 || err != nil {
		t.Error(n, err)
	}
}

// TestTypedEnd: ^D ends one Read, and the terminal goes on.
func TestTypedEnd(t *testing.T) {
	r := newRig(t, kinds[2], unix.O_RDONLY)
	modes, err := unix.IoctlGetTermios(r.near, unix.TCGETS)
	must(t, err)
	modes.Lflag |= unix.ICANON
	modes.Cc[unix.VEOF] = 4
	must(t, unix.IoctlSetTermios(r.near, unix.TCSETS, modes))
	x := r.reader()
	for _, line := range []string{"one\n", "", "two\n"} {
		typed := line
		if line == "" {
			typed = "\x04"
		}
		unix.Write(r.far, []byte(typed))
		p := make([]byte, 10)
		n, err := x.Read(p)
		if string(p[:n]) != line || (err == io.EOF) != (line == "") {
			t.Errorf("%q, %v, want %q", p[:n], err, line)
		}
	}
}

// TestSharedOffset: the loop that reads lines of a file and the command in it
// take turns, and two writers append.
func TestSharedOffset(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(path, []byte("one\ntwo\nthree\n"), 0o600))
	near, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	must(t, err)
	r := &rig{t: t, near: near, far: -1}
	defer unix.Close(near)
	p := make([]byte, 4)
	next := func(read func([]byte) (int, error), want string) {
		t.Helper()
		n, err := read(p)
		if got := string(p[:max(n, 0)]); got != want {
			t.Errorf("%q, %v, want %q", got, err, want)
		}
	}
	shell := func(p []byte) (int, error) { return unix.Read(near, p) }
	x := r.reader()
	next(shell, "one\n")
	next(x.Read, "two\n")
	next(shell, "thre")
	x.Close()
	y := r.reader()
	next(y.Read, "e\n")
	if n, err := y.Read(p); n != 0 || err != io.EOF {
		t.Error(n, err)
	}
	if wayOf(y.port) != "plain" {
		t.Error(wayOf(y.port))
	}

	end, err := unix.Open(path, unix.O_WRONLY|unix.O_APPEND|unix.O_CLOEXEC, 0)
	must(t, err)
	defer unix.Close(end)
	w := (&rig{t: t, near: end}).writer()
	for _, write := range []func([]byte) (int, error){w.Write, func(p []byte) (int, error) { return unix.Write(end, p) }, w.Write} {
		if n, err := write([]byte("x\n")); n != 2 || err != nil {
			t.Error(n, err)
		}
	}
	w.Close()
	for range 20 { // of two ways out, select takes either
		if n, err := w.Write([]byte("x")); n != 0 || err != os.ErrClosed {
			t.Fatal(n, err)
		}
	}
	if got, _ := os.ReadFile(path); string(got) != "one\ntwo\nthree\nx\nx\nx\n" {
		t.Errorf("%q", got)
	}
}

// TestDevices: what epoll refuses is used as it is, a large buffer at once.
func TestDevices(t *testing.T) {
	open := func(path string) int {
		fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0)
		must(t, err)
		return fd
	}
	for _, c := range []struct {
		path     string
		n        int
		readErr  error
		writeErr error
	}{
		{"/dev/null", 0, io.EOF, nil},
		{"/dev/zero", 1 << 20, nil, nil},
		{"/dev/full", 1 << 20, nil, unix.ENOSPC},
	} {
		x, err := NewReader(open(c.path))
		must(t, err)
		if n, err := x.Read(make([]byte, 1<<20)); n != c.n || err != c.readErr {
			t.Errorf("%s: Read: %d, %v", c.path, n, err)
		}
		x.Close()
		w, err := NewWriter(open(c.path))
		must(t, err)
		if _, err := w.Write(make([]byte, 1<<20)); err != c.writeErr {
			t.Errorf("%s: Write: %v", c.path, err)
		}
		w.Close()
		if x.Terminal() || w.Terminal() {
			t.Error(c.path, "is no terminal")
		}
	}
}

// TestWrongWay: a descriptor gives nothing that its opening did not, even if
// its file would.
func TestWrongWay(t *testing.T) {
	for _, k := range kinds[:2] {
		x := newRig(t, k, unix.O_WRONLY).reader()
		if n, err := x.Read(make([]byte, 1)); n != 0 || err != unix.EBADF {
			t.Errorf("%s: Read of what is open for writing: %d, %v", k.name, n, err)
		}
		w := newRig(t, k, unix.O_RDONLY).writer()
		if n, err := w.Write(make([]byte, 1)); n != 0 || err != unix.EBADF {
			t.Errorf("%s: Write to what is open for reading: %d, %v", k.name, n, err)
		}
	}
	path := filepath.Join(t.TempDir(), "fifo")
	must(t, unix.Mkfifo(path, 0o600))
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	must(t, err)
	x, err := NewReader(fd)
	must(t, err)
	defer x.Close()
	if n, err := x.Read(make([]byte, 1)); n != 0 || err != unix.EBADF {
		t.Errorf("Read of what is not open: %d, %v", n, err)
	}
}

// TestNoControllingTerminal: a session leader that is handed a terminal, as
// muxd is, does not come to be controlled by it.
func TestNoControllingTerminal(t *testing.T) {
	const again = "FDIO_TEST_LEADER"
	if os.Getenv(again) == "" {
		cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v")
		cmd.Env = append(os.Environ(), again+"=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		out, err := cmd.CombinedOutput()
		if err != nil || !bytes.Contains(out, []byte("--- PASS: "+t.Name())) {
			t.Errorf("as a session leader: %v\n%s", err, out)
		}
		return
	}
	r := newRig(t, kinds[2], unix.O_RDONLY)
	r.reader()
	if fd, err := unix.Open("/dev/tty", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0); err != unix.ENXIO {
		unix.Close(fd)
		t.Error("a controlling terminal:", err)
	}
}
