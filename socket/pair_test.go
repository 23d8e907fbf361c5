package socket

import (
	"errors"
	"io"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// ends returns an End and the descriptor at the other side of it.
func ends(t testing.TB) (*End, int) {
	t.Helper()
	ours, theirs := pairFDs(t)
	e, err := TakeEnd(theirs)
	ok(t, err)
	t.Cleanup(func() { e.Close() })
	return e, ours
}

// pairFDs are the descriptors of a Pair.
func pairFDs(t testing.TB) (ours, theirs int) {
	t.Helper()
	a, b, err := Pair()
	ok(t, err)
	var fds [2]int
	for i, f := range []*os.File{a, b} {
		fds[i], err = unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
		ok(t, err)
		f.Close()
	}
	return fds[0], fds[1]
}

// The two ends are file descriptions of their own: what TakeEnd sets at one
// cannot be seen at the other.
func TestTakeEndChangesOneEnd(t *testing.T) {
	e, fd := ends(t)
	defer unix.Close(fd)
	if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK != 0 {
		t.Errorf("flags %#x, %v", flags, err)
	}
	e.raw.Control(func(fd uintptr) {
		if flags, err := unix.FcntlInt(fd, unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK == 0 {
			t.Errorf("flags %#x, %v", flags, err)
		}
	})
	for _, f := range []int{fd, int(fdOf(e))} {
		if flags, err := unix.FcntlInt(uintptr(f), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("children inherit an end: %#x, %v", flags, err)
		}
	}
}

func fdOf(e *End) (fd uintptr) {
	e.raw.Control(func(f uintptr) { fd = f })
	return fd
}

// Receive gives what there is, then io.EOF at the end of sending, while the
// other direction goes on; Gone is the leaving of the last who has the other end.
func TestEndsOfAnEnd(t *testing.T) {
	e, fd := ends(t)
	unix.Write(fd, []byte("abc"))
	unix.Shutdown(fd, unix.SHUT_WR)
	var got []byte
	take := func(b []byte) error { got = append(got, b...); return nil }
	if err := e.Receive(take); err != nil || string(got) != "abc" {
		t.Fatalf("%q, %v", got, err)
	}
	if err := e.Receive(take); err != io.EOF {
		t.Fatal(err)
	}
	if e.Gone() {
		t.Error("a half-close is taken for the end")
	}
	_, err := e.Write([]byte("back"))
	ok(t, err)
	b := make([]byte, 9)
	if n, err := unix.Read(fd, b); string(b[:n]) != "back" || err != nil {
		t.Errorf("%q, %v", b[:n], err)
	}
	gone := make(chan struct{})
	go func() { e.WaitGone(); close(gone) }()
	copied, err := unix.Dup(fd)
	ok(t, err)
	unix.Close(fd)
	select {
	case <-gone:
		t.Error("somebody still has the other end")
	case <-time.After(20 * time.Millisecond):
	}
	unix.Close(copied)
	select {
	case <-gone:
	case <-time.After(patience):
		t.Error("the other end is gone, and that is not noticed")
	}
	if !e.Gone() {
		t.Error("not gone")
	}
}

// Close wakes who waits, and the other side reads its end and no reset, though
// there was something left to receive.
func TestCloseOfAnEnd(t *testing.T) {
	for _, wait := range []func(e *End){func(e *End) {
		if err := e.Receive(func([]byte) error { return nil }); !errors.Is(err, os.ErrClosed) {
			t.Error(err)
		}
	}, (*End).WaitGone} {
		e, fd := ends(t)
		woken := make(chan struct{})
		go func() { wait(e); close(woken) }()
		time.Sleep(5 * time.Millisecond)
		e.Close()
		select {
		case <-woken:
		case <-time.After(patience):
			t.Fatal("still waits")
		}
		unix.Close(fd)
	}
	e, fd := ends(t)
	defer unix.Close(fd)
	unix.Write(fd, []byte("never received"))
	e.Write([]byte("last"))
	e.Close()
	b := make([]byte, 9)
	if n, err := unix.Read(fd, b); n != 4 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if n, err := unix.Read(fd, b); n != 0 || err != nil {
		t.Errorf("the end is %d, %v", n, err)
	}
	if _, err := unix.Write(fd, []byte("x")); err != unix.EPIPE {
		t.Errorf("a write is %v", err)
	}
}

// A writer that waits for room learns of CloseRead, though the room that it waits
// for was full of what nobody received: Linux wakes it for nothing but room.
func TestCloseReadWakesAWriter(t *testing.T) {
	e, fd := ends(t)
	ok(t, unix.SetNonblock(fd, true))
	f := os.NewFile(uintptr(fd), "the other end") // its writes wait in the poller
	defer f.Close()
	failed := make(chan error, 1)
	go func() {
		b := make([]byte, 64<<10)
		for err := error(nil); ; {
			if _, err = f.Write(b); err != nil {
				failed <- err
				return
			}
		}
	}()
	select {
	case err := <-failed:
		t.Fatalf("a full socket fails with %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	ok(t, e.CloseRead())
	select {
	case err := <-failed:
		if !errors.Is(err, unix.EPIPE) {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Fatal("the writer still waits")
	}
	// The other direction goes on.
	_, err := e.Write([]byte("back"))
	ok(t, err)
	b := make([]byte, 9)
	if n, err := f.Read(b); string(b[:n]) != "back" || err != nil {
		t.Errorf("%q, %v", b[:n], err)
	}
}

// An error of who takes the bytes is passed on as it is.
func TestReceivePassesErrorsOn(t *testing.T) {
	e, fd := ends(t)
	defer unix.Close(fd)
	unix.Write(fd, []byte("x"))
	want := errors.New("mine")
	if err := e.Receive(func([]byte) error { return want }); err != want {
		t.Error(err)
	}
}

// Pass sends the message that monitor_fdpass.c, mm_receive_fd, expects: one
// byte, one control message of one descriptor.
func TestPass(t *testing.T) {
	on, far := pairFDs(t)
	defer unix.Close(on)
	defer unix.Close(far)
	ok(t, unix.SetNonblock(on, true))
	for err := error(nil); err == nil; { // full, so that it has to be waited for
		_, err = unix.Write(on, make([]byte, 4096))
	}
	f := files(t, 1)[0]
	passed := make(chan error, 1)
	go func() { passed <- Pass(on, f) }()
	select {
	case err := <-passed:
		t.Fatalf("passed on a full socket: %v", err)
	case <-time.After(20 * time.Millisecond):
	}
	b := make([]byte, 1)
	for {
		oob := make([]byte, unix.CmsgSpace(4))
		n, oobn, flags, _, err := unix.Recvmsg(far, b, oob, 0)
		if n != 1 || err != nil || flags&unix.MSG_CTRUNC != 0 {
			t.Fatalf("%d, %v, flags %#x", n, err, flags)
		}
		if oobn == 0 {
			continue // what filled it
		}
		got := rights(oob[:oobn])
		if b[0] != 0 || len(got) != 1 || idOf(t, got[0]) != idOf(t, f) {
			t.Errorf("byte %d, descriptors %v", b[0], got)
		}
		closeAll(got)
		break
	}
	ok(t, <-passed)
	if flags, _ := unix.FcntlInt(uintptr(on), unix.F_GETFL, 0); flags&unix.O_NONBLOCK == 0 {
		t.Error("the flag was changed")
	}
	if err := Pass(files(t, 1)[0], f); !errors.Is(err, unix.ENOTSOCK) {
		t.Errorf("on a file: %v", err)
	}
}
