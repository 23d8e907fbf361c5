package main

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// harden comes before anything else: no file that others may read, no memory
// that another process of this user may read (prctl, where there is one), and
// no core file, because keys and passwords pass through this process.
func harden() {
	unix.Umask(0o077)
	undumpable()
	unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
}

// leaveTerminal lets go of the terminal that muxd was started from: the kernel
// stops who reads it from the background, and muxd, with all its clients, would be
// stopped by that of one (`muxd &`, and muxc beside it). ^C and ^Z still come, which
// go to the process group in front, whatever it calls its terminal. The leader of
// a session keeps it, because all others would lose theirs.
func leaveTerminal() {
	if sid, err := unix.Getsid(0); err != nil || sid == unix.Getpid() {
		return
	}
	tty, err := unix.Open("/dev/tty", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return // there is none
	}
	unix.IoctlSetInt(tty, unix.TIOCNOTTY, 0)
	unix.Close(tty)
}

// kept are the variables the daemon keeps. What belongs to a request (the
// agent, the terminal, SendEnv) comes with the request; what was around muxd by
// accident of who started it must not leak into proxies and hooks.
var kept = []string{"HOME", "USER", "LOGNAME", "PATH", "SHELL", "LANG", "TZ", "TMPDIR", "TMP"}

// scrubEnv drops every variable that is not kept.
func scrubEnv() {
	for _, kv := range os.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		if !isKept(name) {
			os.Unsetenv(name)
		}
	}
}

func isKept(name string) bool {
	for _, k := range kept {
		if name == k {
			return true
		}
	}
	return strings.HasPrefix(name, "LC_") || strings.HasPrefix(name, "XDG_") || name == "MUXD_SOCKET"
}

// closeInherited closes what the parent left open: a lock file's descriptor in
// a shell would otherwise stay locked for as long as muxd lives. Everything
// this process opened itself is close-on-exec, so what is not was inherited.
func closeInherited(keep func(fd int) bool) {
	for _, fd := range openFDs() {
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if fd > 2 && err == nil && flags&unix.FD_CLOEXEC == 0 && !keep(fd) {
			unix.Close(fd)
		}
	}
}

func openFDs() []int {
	entries, err := os.ReadDir(fdDir)
	if err != nil {
		return nil
	}
	var fds []int
	for _, e := range entries {
		if fd, err := strconv.Atoi(e.Name()); err == nil {
			fds = append(fds, fd)
		}
	}
	return fds
}
