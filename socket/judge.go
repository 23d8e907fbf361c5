package socket

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// judge decides whether a directory is private to this user. Access lists of
// the POSIX kind show in the group bits; those of NFSv4 and macOS do not, and
// against them stands the check of the peer's uid on every connection.
//
// The result is a plain error so that a nil one compares equal to nil.
func judge(dir string, st *unix.Stat_t) error {
	mode, me := uint32(st.Mode), uint32(os.Geteuid())
	switch {
	case mode&unix.S_IFMT != unix.S_IFDIR:
		return unsound(dir, "is %s of %s and not a directory: remove it if it was made for muxd, else %s", kind(mode), owner(st.Uid), cure)
	case st.Uid != me:
		return unsound(dir, "is owned by %s and not by uid %d: have it removed, or %s", owner(st.Uid), me, cure)
	case mode&0o077 != 0:
		// Not mended by chmod: whoever could write there may have left
		// something, or still hold it open.
		return unsound(dir, "is open to others (owner %s, mode %04o): remove it if it was made for muxd, else %s", owner(st.Uid), mode&0o7777, cure)
	}
	return nil
}

const cure = "set MUXD_SOCKET to a path in a directory of mode 0700 of your own"

// judgeParent decides whether somebody else could move the directory away and
// put another there. A parent that a group may write to passes: homes are
// commonly 0775 with a group of one's own, and the most a group's member can
// do is move our directory aside, since he cannot make one that we own.
func judgeParent(dir string, st *unix.Stat_t) error {
	mode := uint32(st.Mode)
	switch {
	case st.Uid != uint32(os.Geteuid()) && st.Uid != 0:
		return unsound(dir, "is owned by %s, who could replace the socket's directory: %s", owner(st.Uid), cure)
	case mode&0o002 != 0 && mode&unix.S_ISVTX == 0:
		return unsound(dir, "is writable by everyone and not sticky (owner %s, mode %04o), so anybody could replace the socket's directory: %s", owner(st.Uid), mode&0o7777, cure)
	}
	return nil
}

func kind(mode uint32) string {
	switch mode & unix.S_IFMT {
	case unix.S_IFLNK:
		return "a symbolic link"
	case unix.S_IFREG:
		return "a file"
	case unix.S_IFIFO:
		return "a named pipe"
	case unix.S_IFSOCK:
		return "a socket"
	case unix.S_IFDIR:
		return "a directory"
	}
	return "a device"
}

func owner(uid uint32) string {
	if name := nameOf(uid); name != "" {
		return fmt.Sprintf("%s (uid %d)", name, uid)
	}
	return fmt.Sprintf("uid %d", uid)
}
