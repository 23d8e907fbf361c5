package main

import (
	"io"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestNonBlockingDescriptors: stdin and stdout may be shared with a program
// that reads and writes without waiting. Then muxc waits, loses nothing, and
// leaves the flag as it is.
func TestNonBlockingDescriptors(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	in, feed := pipe(t)
	drain, out := pipe(t)
	c := h.muxc("box", "read x; seq 100000; echo $x; cat")
	c.Stdout = out
	p := h.start(c, in)
	setNonblock(t, in, true) // start passes every file on as a blocking one
	setNonblock(t, out, true)
	io.WriteString(feed, "go\n")
	h.eventually("stdout is full", func() bool { return queued(t, drain) >= 60<<10 })
	io.WriteString(feed, "more\n") // it waited for this, and did not take the pause for the end
	feed.Close()
	done := make(chan string)
	go func() {
		b, _ := io.ReadAll(drain)
		done <- string(b)
	}()
	r := p.wait()
	for _, f := range []*os.File{in, out} {
		if !isNonblock(t, f) {
			t.Errorf("%s was made blocking", f.Name())
		}
	}
	out.Close()
	got := <-done
	if r.code != 0 || r.err != "" || !strings.HasPrefix(got, "1\n2\n") || !strings.HasSuffix(got, "\n99999\n100000\ngo\nmore\n") || len(got) != 588903 {
		t.Errorf("%+v, %d bytes, the last %q", r, len(got), got[max(0, len(got)-20):])
	}
}

// TestBlockingDescriptorsStay: their flags belong to everybody who shares them.
func TestBlockingDescriptorsStay(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	in, feed := pipe(t)
	_, out := pipe(t)
	c := h.muxc("box", "echo up >&2; cat")
	c.Stdout, c.Stderr = out, nil
	p := h.start(c, in)
	h.eventually("the session is open", func() bool { return strings.Contains(p.err.String(), "up\n") })
	setNonblock(t, in, false)
	setNonblock(t, out, false)
	io.WriteString(feed, "x")
	feed.Close()
	p.wait()
	for _, f := range []*os.File{in, out} {
		if isNonblock(t, f) {
			t.Errorf("%s was made non-blocking", f.Name())
		}
	}
}

// onFD runs f below os.File, whose own Fd changes the flag.
func onFD(t *testing.T, file *os.File, f func(fd int) error) {
	t.Helper()
	rc, err := file.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var ferr error
	if err := rc.Control(func(fd uintptr) { ferr = f(int(fd)) }); err != nil || ferr != nil {
		t.Fatal(err, ferr)
	}
}

func setNonblock(t *testing.T, file *os.File, on bool) {
	t.Helper()
	onFD(t, file, func(fd int) error { return unix.SetNonblock(fd, on) })
}

func isNonblock(t *testing.T, file *os.File) (on bool) {
	t.Helper()
	onFD(t, file, func(fd int) error {
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
		on = flags&unix.O_NONBLOCK != 0
		return err
	})
	return on
}

// queued is how many bytes wait in a pipe.
func queued(t *testing.T, file *os.File) (n int) {
	t.Helper()
	onFD(t, file, func(fd int) (err error) {
		n, err = unix.IoctlGetInt(fd, unix.TIOCINQ)
		return err
	})
	return n
}

// TestStdioForwardLeavesDescriptors: -W waits on a descriptor that does not
// wait, loses nothing, and leaves the flag as it is, either way.
func TestStdioForwardLeavesDescriptors(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	port := service(t)
	for _, nonblock := range []bool{true, false} {
		in, feed := pipe(t)
		_, out := pipe(t)
		c := h.muxc("-W", "127.0.0.1:"+port, "box")
		c.Stdout = out
		p := h.start(c, in)
		setNonblock(t, in, nonblock)
		setNonblock(t, out, nonblock)
		io.WriteString(feed, "some")
		h.eventually("it is read", func() bool { return queued(t, in) == 0 })
		io.WriteString(feed, "thing")
		feed.Close()
		p.wait().is(t, "", "", 0)
		for _, f := range []*os.File{in, out} {
			if isNonblock(t, f) != nonblock {
				t.Errorf("%s is non-blocking: %v", f.Name(), !nonblock)
			}
		}
	}
}
