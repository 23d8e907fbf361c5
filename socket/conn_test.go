package socket

import (
	"bytes"
	"errors"
	"io"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func pair(t testing.TB) (*Conn, *Conn) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	ok(t, err)
	var cs [2]*Conn
	for i, fd := range fds {
		unix.CloseOnExec(fd)
		ok(t, unix.SetNonblock(fd, true))
		cs[i], err = newConn(fd, "pair", peer{pid: os.Getpid()})
		ok(t, err)
		t.Cleanup(func() { cs[i].Close() })
	}
	return cs[0], cs[1]
}

func files(t *testing.T, n int) (fds []int) {
	t.Helper()
	for range n {
		f, err := os.CreateTemp(t.TempDir(), "")
		ok(t, err)
		t.Cleanup(func() { f.Close() })
		fds = append(fds, int(f.Fd()))
	}
	return fds
}

func idOf(t *testing.T, fd int) inode {
	t.Helper()
	var st unix.Stat_t
	ok(t, unix.Fstat(fd, &st))
	return inode{uint64(st.Dev), uint64(st.Ino)}
}

// openFDs counts this process's descriptors.
func openFDs() (n int) {
	for fd := range 1024 {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil {
			n++
		}
	}
	return n
}

// TestFDs sends two messages, the descriptors with the second, and reads them
// by their exact lengths: nothing may be read ahead, or descriptors and bytes
// that belong to the next reader are gone.
func TestFDs(t *testing.T) {
	for _, tt := range []struct{ send, max, want int }{
		{0, 3, 0}, {1, 1, 1}, {3, 3, 3}, {3, 4, 3}, {3, 2, 2}, {3, 0, 0}, {maxFDs, maxFDs, maxFDs},
	} {
		a, b := pair(t)
		sent := files(t, tt.send)
		_, err := a.Write([]byte("first"))
		ok(t, err)
		n, err := a.WriteFDs([]byte("second"), sent...)
		if n != 6 || err != nil {
			t.Fatal(n, err)
		}
		_, err = a.Write([]byte("third"))
		ok(t, err)
		before := openFDs()

		buf := make([]byte, 100)
		n, fds, err := b.ReadFDs(buf[:5], tt.max)
		if string(buf[:n]) != "first" || len(fds) != 0 || err != nil {
			t.Fatalf("first: %q, %v, %v", buf[:n], fds, err)
		}
		n, fds, err = b.ReadFDs(buf[:6], tt.max)
		if string(buf[:n]) != "second" || len(fds) != tt.want || err != nil {
			t.Fatalf("%+v: %q, %d descriptors, %v", tt, buf[:n], len(fds), err)
		}
		if got := openFDs() - before; got != tt.want {
			t.Errorf("%+v: %d descriptors are open, so %d leaked", tt, got, got-tt.want)
		}
		for i, fd := range fds {
			if idOf(t, fd) != idOf(t, sent[i]) {
				t.Errorf("%+v: descriptor %d is another file", tt, i)
			}
			if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
				t.Errorf("descriptor %d would leak into children (%v)", fd, err)
			}
		}
		closeAll(fds)
		n, err = b.Read(buf)
		if string(buf[:n]) != "third" || err != nil {
			t.Errorf("third: %q, %v", buf[:n], err)
		}
	}
}

// TestWriteFDsWhole writes more than the socket holds: all of it arrives, and
// the descriptor once, with the beginning.
func TestWriteFDsWhole(t *testing.T) {
	a, b := pair(t)
	data := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	sent := files(t, 1)
	var wg sync.WaitGroup
	wg.Go(func() {
		if n, err := a.WriteFDs(data, sent...); n != len(data) || err != nil {
			t.Error(n, err)
		}
		a.Close()
	})
	var got []byte
	buf, seen := make([]byte, 1000), 0
	for {
		n, fds, err := b.ReadFDs(buf, 1)
		seen += len(fds)
		closeAll(fds)
		got = append(got, buf[:n]...)
		if err == io.EOF {
			break
		}
		ok(t, err)
		if seen != 1 {
			t.Fatalf("%d descriptors by byte %d", seen, len(got))
		}
	}
	wg.Wait()
	if !bytes.Equal(got, data) {
		t.Errorf("%d of %d bytes, or others", len(got), len(data))
	}
}

func TestFDsNeedAByte(t *testing.T) {
	a, b := pair(t)
	if _, err := a.WriteFDs(nil, files(t, 1)...); !errors.Is(err, unix.EINVAL) {
		t.Errorf("descriptors without a byte: %v", err)
	}
	_, err := a.Write([]byte("x"))
	ok(t, err)
	if n, fds, err := b.ReadFDs(nil, 1); n != 0 || fds != nil || err != nil {
		t.Errorf("an empty read: %v %v %v", n, fds, err)
	}
	buf := make([]byte, 2)
	if n, err := b.Read(buf); n != 1 || err != nil {
		t.Errorf("the empty read took the byte: %d, %v", n, err)
	}
	if _, err := a.WriteFDs([]byte("x"), -1); !errors.Is(err, unix.EBADF) {
		t.Errorf("a bad descriptor: %v", err)
	}
}

// ops are the calls that can wait; fill makes writes wait too.
var ops = map[string]func(c *Conn) error{
	"Read":     func(c *Conn) error { _, err := c.Read(make([]byte, 1)); return err },
	"ReadFDs":  func(c *Conn) error { _, _, err := c.ReadFDs(make([]byte, 1), 1); return err },
	"Write":    func(c *Conn) error { _, err := c.Write(make([]byte, 8<<20)); return err },
	"WriteFDs": func(c *Conn) error { _, err := c.WriteFDs(make([]byte, 8<<20), 0); return err },
}

func TestDeadline(t *testing.T) {
	for name, op := range ops {
		a, _ := pair(t)
		ok(t, a.SetDeadline(time.Now().Add(10*time.Millisecond)))
		if err := op(a); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: %v", name, err)
		}
	}
	a, b := pair(t)
	ok(t, a.SetReadDeadline(time.Unix(1, 0)))
	if _, err := a.Write([]byte("x")); err != nil {
		t.Errorf("a read's deadline failed the write: %v", err)
	}
	ok(t, b.SetWriteDeadline(time.Unix(1, 0)))
	if err := ops["ReadFDs"](b); err != nil {
		t.Errorf("a write's deadline failed the read: %v", err)
	}
	ok(t, a.SetReadDeadline(time.Time{}))
	ok(t, b.SetWriteDeadline(time.Time{}))
	_, err := b.Write([]byte("x"))
	ok(t, err)
	if err := ops["Read"](a); err != nil {
		t.Errorf("the deadline was not lifted: %v", err)
	}
}

// TestCloseUnblocks closes while a call waits, or just before or after: which
// of them it is no test can know, and all must end the same.
func TestCloseUnblocks(t *testing.T) {
	for name, op := range ops {
		a, _ := pair(t)
		got := make(chan error)
		go func() { got <- op(a) }()
		time.Sleep(time.Millisecond) // to make the waiting case the common one
		ok(t, a.Close())
		select {
		case err := <-got:
			if !errors.Is(err, os.ErrClosed) {
				t.Errorf("%s: %v", name, err)
			}
		case <-time.After(patience):
			t.Fatalf("%s still waits after Close", name)
		}
		if err := op(a); !errors.Is(err, os.ErrClosed) {
			t.Errorf("%s after Close: %v", name, err)
		}
	}
}

func TestPeerGone(t *testing.T) {
	for name, op := range ops {
		a, b := pair(t)
		b.Close()
		want := error(unix.EPIPE)
		if name == "Read" || name == "ReadFDs" {
			want = io.EOF
		}
		if err := op(a); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
	}
}
