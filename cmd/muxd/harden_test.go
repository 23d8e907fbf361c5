package main

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestKeptEnvironment(t *testing.T) {
	for name, want := range map[string]bool{
		"HOME": true, "PATH": true, "LC_ALL": true, "XDG_STATE_HOME": true, "MUXD_SOCKET": true,
		"SSH_AUTH_SOCK": false, "DISPLAY": false, "SECRET": false, "MUXD_READY_FD": false, "LISTEN_FDS": false,
		"SSH_ASKPASS": false, "LD_PRELOAD": false, "": false, "HOMEX": false,
	} {
		if isKept(name) != want {
			t.Errorf("%s: kept %v, want %v", name, !want, want)
		}
	}
	for _, kv := range os.Environ() {
		name, value, _ := strings.Cut(kv, "=")
		t.Setenv(name, value) // to have it back after the test
	}
	t.Setenv("SECRET", "x")
	t.Setenv("LC_ALL", "C")
	scrubEnv()
	if os.Getenv("SECRET") != "" || os.Getenv("LC_ALL") != "C" {
		t.Errorf("left: %q", os.Environ())
	}
}

func TestInheritedDescriptorsAreClosed(t *testing.T) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	var fds [2]int // without close-on-exec, as a shell leaves them
	for i := range fds {
		if fds[i], err = unix.Dup(int(null.Fd())); err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fds[i])
	}
	// Only the first is ours to close: the test binary has others.
	closeInherited(func(fd int) bool { return fd != fds[0] })
	for fd, want := range map[int]bool{fds[0]: false, fds[1]: true, int(null.Fd()): true} {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); (err == nil) != want {
			t.Errorf("descriptor %d: open %v, want %v", fd, err == nil, want)
		}
	}
	closeInherited(func(fd int) bool { return fd != int(null.Fd()) })
	if _, err := unix.FcntlInt(null.Fd(), unix.F_GETFD, 0); err != nil {
		t.Error("a descriptor of our own, which is close-on-exec, was closed")
	}
}

func TestIdleTime(t *testing.T) {
	for text, want := range map[string]string{"": "10m0s", "300ms": "300ms", "-1s": "10m0s", "soon": "10m0s", "0": "10m0s"} {
		t.Setenv("MUXD_IDLE_EXIT", text)
		if got := idleTime().String(); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

func TestActivatedDescriptors(t *testing.T) {
	t.Setenv("LISTEN_FDS", "2")
	for _, tt := range []struct {
		pid  int
		fd   int
		want bool
	}{{os.Getpid(), 2, false}, {os.Getpid(), 3, true}, {os.Getpid(), 4, true}, {os.Getpid(), 5, false}, {1, 3, false}} {
		t.Setenv("LISTEN_PID", strconv.Itoa(tt.pid))
		if got := isActivated(tt.fd); got != tt.want {
			t.Errorf("%+v: %v", tt, got)
		}
	}
}
