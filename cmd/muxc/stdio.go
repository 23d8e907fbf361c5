package main

import (
	"runtime"

	"golang.org/x/sys/unix"

	"muxd/control"
)

// passing says that muxd can wait for another process's descriptors without a
// thread for each, and without ever taking what came after the end.
const passing = runtime.GOOS == "linux"

// Pass implements control.Passer.
//
// A terminal stays ours, but for Terminal. So does a pipe of another user: muxd
// could not open it again, which is what makes it cheap to wait for.
func (u *ui) Pass(stdin bool) control.Stdio {
	var st [3]unix.Stat_t
	s := control.Stdio{0, 1, 2}
	for fd := range s {
		if stdin != (fd == 0) || !passing || unix.Fstat(fd, &st[fd]) != nil || !passable(&st[fd]) {
			s[fd] = control.NotPassed
		}
	}
	if a, b := &st[1], &st[2]; s[1] == 1 && s[2] == 2 && a.Mode&unix.S_IFMT != unix.S_IFREG && a.Ino == b.Ino && a.Dev == b.Dev {
		s[2] = 1
	}
	return s
}

// passable reports a file, a socket, our own pipe, or /dev/null.
func passable(st *unix.Stat_t) bool {
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG, unix.S_IFSOCK:
		return true
	case unix.S_IFIFO:
		return int(st.Uid) == unix.Geteuid()
	case unix.S_IFCHR:
		return null(st)
	}
	return false
}

// isNull reports a descriptor of /dev/null; false also where that is not known.
func isNull(fd int) bool {
	var st unix.Stat_t
	return passing && unix.Fstat(fd, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFCHR && null(&st)
}

// null is for a character device of Linux.
func null(st *unix.Stat_t) bool {
	return unix.Major(uint64(st.Rdev)) == 1 && unix.Minor(uint64(st.Rdev)) == 3
}

// Terminal implements control.TerminalPasser. A terminal of another user stays
// ours: muxd could not open it again.
func (u *ui) Terminal() int {
	u.mu.Lock()
	raw := u.state != nil
	u.mu.Unlock()
	var st [3]unix.Stat_t
	for fd := range st {
		if !passing || !raw || unix.Fstat(fd, &st[fd]) != nil || st[fd].Mode&unix.S_IFMT != unix.S_IFCHR ||
			st[fd].Rdev != st[0].Rdev || int(st[fd].Uid) != unix.Geteuid() {
			return control.NotPassed
		}
	}
	u.midLine.Store(true) // for all that we know
	return 0
}

// TerminalBack implements control.TerminalPasser.
func (u *ui) TerminalBack(midLine bool) { u.midLine.Store(midLine) }
