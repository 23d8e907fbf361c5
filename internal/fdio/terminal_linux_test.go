package fdio

import (
	"errors"
	"os"
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
