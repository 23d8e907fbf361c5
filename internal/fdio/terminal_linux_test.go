package fdio

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestInFront: what the kernel may say of a process, and what it never says.
func TestInFront(t *testing.T) {
	for stat, want := range map[string]bool{
		"7 (muxc) S 1 7 7 34816 7 4194304 1":           true,
		"7 (muxc) R 1 7 7 34816 7 4194304 1":           true,
		"7 (a) T (b)) S 1 7 7 34816 7 4194304 1":       true,
		"7 (muxc) T 1 7 7 34816 7 4194304 1":           false, // stopped
		"7 (muxc) t 1 7 7 34816 7 4194304 1":           false, // traced: who knows
		"7 (muxc) Z 1 7 7 34816 7 4194304 1":           false, // gone
		"7 (muxc) S 1 7 7 34816 9 4194304 1":           false, // in the background
		"7 (muxc) S 1 7 7 34817 7 4194304 1":           false, // on another terminal
		"7 (muxc) S 1 7 7 0 -1 4194304 1":              false, // on none
		"7 (muxc) S 1 7 7 34816 7":                     false, // cut
		"7 (muxc) ":                                    false,
		"7 (muxc) T 1 7 7 34816 7 (muxc) S 1 7 7 0 -1": false,
		"": false,
	} {
		if inFront([]byte(stat), "34816") != want {
			t.Errorf("%q: not %v", stat, want)
		}
	}
}

// TestTerminalOfAnother: what is no terminal, and one that is not in front of the
// process that is said to have passed it, are refused, and no descriptor stays.
func TestTerminalOfAnother(t *testing.T) {
	before := entries(t, "fd")
	near, far := openTerminal(t, unix.O_RDWR)
	file, err := os.Open("/dev/null")
	must(t, err)
	for fd, want := range map[int]error{near: ErrAway, far: unix.ENOTTY, int(file.Fd()): unix.ENOTTY} {
		own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		must(t, err)
		if _, err := NewTerminal(own, os.Getpid()); !errors.Is(err, want) {
			t.Errorf("%v, not %v", err, want)
		}
	}
	if _, err := NewTerminal(1<<20, os.Getpid()); !errors.Is(err, unix.EBADF) {
		t.Error(err)
	}
	file.Close()
	unix.Close(near)
	unix.Close(far)
	settles(t, before, "descriptors", func() int { return entries(t, "fd") })
}

// inFrontOf starts a process of which the terminal is the controlling one, and
// that does nothing with it.
func inFrontOf(t *testing.T, near int) *exec.Cmd {
	t.Helper()
	own, err := unix.FcntlInt(uintptr(near), unix.F_DUPFD_CLOEXEC, 0)
	must(t, err)
	tty := os.NewFile(uintptr(own), "tty")
	defer tty.Close()
	c := exec.Command("sleep", "600")
	c.Stdin = tty
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	must(t, c.Start())
	t.Cleanup(func() { c.Process.Kill(); c.Wait() })
	return c
}

// becomes sends a signal, and waits for the process to come to a state.
func becomes(t *testing.T, c *exec.Cmd, s unix.Signal, states string) {
	t.Helper()
	must(t, unix.Kill(c.Process.Pid, s))
	settles(t, 0, "another state than "+states, func() int {
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(c.Process.Pid) + "/stat")
		must(t, err)
		if i := bytes.LastIndexByte(stat, ')') + 2; bytes.IndexByte([]byte(states), stat[i]) >= 0 {
			return 0
		}
		return 1
	})
}

// lent is a terminal that a process of its own has in front, and what muxd makes
// of it.
func lent(t *testing.T) (near, far int, c *exec.Cmd, x *Terminal) {
	t.Helper()
	near, far = openTerminal(t, unix.O_RDWR)
	c = inFrontOf(t, near)
	own, err := unix.FcntlInt(uintptr(near), unix.F_DUPFD_CLOEXEC, 0)
	must(t, err)
	x, err = NewTerminal(own, c.Process.Pid)
	must(t, err)
	t.Cleanup(func() { x.Close(); unix.Close(near); unix.Close(far) })
	return near, far, c, x
}

func put(t *testing.T, fd int, text string) {
	t.Helper()
	_, err := unix.Write(fd, []byte(text))
	must(t, err)
}

// TestTerminalIsLeft: what is typed while its process is stopped, or when it has
// gone, stays for whoever reads next; and nothing is written there.
func TestTerminalIsLeft(t *testing.T) {
	near, far, c, x := lent(t)
	b := make([]byte, 100)
	put(t, far, "mine")
	if n, err := x.Read(b); string(b[:n]) != "mine" || err != nil {
		t.Errorf("%q, %v", b[:n], err)
	}
	left := func(why string) {
		t.Helper()
		waits := start(x.Read, b)
		put(t, far, "theirs")
		if r := soon(t, waits, "the look"); r.err != ErrAway || r.n != 0 {
			t.Errorf("%s: %d bytes were read, %v", why, r.n, r.err)
		}
		if n, err := x.Write([]byte("text")); n != 0 || err != ErrAway {
			t.Errorf("%s: %d bytes were written, %v", why, n, err)
		}
		if n, err := unix.IoctlGetInt(near, unix.TIOCINQ); n != len("theirs") {
			t.Fatalf("%s: %d bytes are left, %v", why, n, err)
		}
		unix.Read(near, b)
	}
	becomes(t, c, unix.SIGSTOP, "T")
	left("stopped")
	becomes(t, c, unix.SIGCONT, "RS")
	put(t, far, "again")
	if n, err := x.Read(b); string(b[:n]) != "again" || err != nil {
		t.Errorf("%q, %v", b[:n], err)
	}
	c.Process.Kill()
	c.Wait()
	left("gone")
}

// TestTerminalThatTakesNothing: a terminal that is full, or stopped by ^S, has its
// Write wait and nothing else; Close ends that, and so does its process' losing it.
func TestTerminalThatTakesNothing(t *testing.T) {
	const size = 1 << 20
	text := bytes.Repeat([]byte("0123456789abcdef"), size/16)
	for name, block := range map[string]func(near int) (unblock func()){
		"full": func(int) func() { return func() {} },
		"stopped": func(near int) func() {
			must(t, unix.IoctlSetInt(near, unix.TCXONC, unix.TCOOFF))
			return func() { must(t, unix.IoctlSetInt(near, unix.TCXONC, unix.TCOON)) }
		},
	} {
		t.Run(name+", closed", func(t *testing.T) {
			near, _, _, x := lent(t)
			block(near)
			waits := start(x.Write, text)
			x.Close()
			if r := soon(t, waits, "the end of Write"); r.err != os.ErrClosed || r.n == size {
				t.Errorf("%d bytes, %v", r.n, r.err)
			}
		})
		t.Run(name+", away", func(t *testing.T) {
			near, far, c, x := lent(t)
			unblock := block(near)
			waits := start(x.Write, text)
			becomes(t, c, unix.SIGSTOP, "T")
			unblock()
			got := make(chan []byte, 1)
			// Read on and on: the kernel wakes who writes while what it has for the
			// reader is on its way still, and then there may be no room yet.
			go func() {
				var shown []byte
				for b := make([]byte, size); !bytes.HasSuffix(shown, []byte("!")); {
					n, err := unix.Read(far, b)
					if err != nil {
						break
					}
					shown = append(shown, b[:n]...)
				}
				got <- shown
			}()
			r := soon(t, waits, "the end of Write")
			if r.err != ErrAway || r.n == size {
				t.Errorf("%d bytes, %v", r.n, r.err)
			}
			put(t, near, "!")
			shown := soon(t, got, "what was written")
			if want := string(text[:r.n]) + "!"; string(shown) != want {
				t.Errorf("%d bytes were shown, and %d said to be", len(shown)-1, r.n)
			}
		})
		t.Run(name+", goes on", func(t *testing.T) {
			near, far, _, x := lent(t)
			unblock := block(near)
			waits := start(x.Write, text)
			unblock()
			var shown []byte
			for b := make([]byte, 1<<16); len(shown) < size; {
				n, err := unix.Read(far, b)
				must(t, err)
				shown = append(shown, b[:n]...)
			}
			if r := soon(t, waits, "the end of Write"); r.err != nil || !bytes.Equal(shown, text) {
				t.Errorf("%d bytes, %v", r.n, r.err)
			}
		})
	}
}

// TestTerminalHungUp: neither Read nor Write waits any longer.
func TestTerminalHungUp(t *testing.T) {
	_, far, _, x := lent(t)
	reads := start(x.Read, make([]byte, 1))
	writes := start(x.Write, make([]byte, 1<<20))
	null, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	must(t, err)
	defer unix.Close(null)
	must(t, unix.Dup3(null, far, unix.O_CLOEXEC)) // closes the master's side
	for what, c := range map[string]<-chan result{"Read": reads, "Write": writes} {
		if r := soon(t, c, "the end of "+what); r.err != ErrAway {
			t.Errorf("%s: %v", what, r.err)
		}
	}
	if n, err := x.Write([]byte("x")); n != 0 || err != ErrAway {
		t.Errorf("%d bytes were written, %v", n, err)
	}
}
