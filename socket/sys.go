package socket

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// peer is the process at the other end, as the kernel knows it.
type peer struct {
	uid uint32
	pid int // 0 when it lives in another pid namespace
}

// check refuses everybody but this very user. Root is refused too: "sudo
// muxc" must not use this user's keys by accident, and a muxd of root must not
// be told this user's passwords.
func (p peer) check() error {
	if me := uint32(os.Geteuid()); p.uid != me {
		return fmt.Errorf("the peer is uid %d (pid %d) and not uid %d", p.uid, p.pid, me)
	}
	return named()
}

// inode is a file's identity. That of a bound socket stays taken while the
// socket is open, unlinked or not, since the kernel holds on to its path.
type inode struct{ dev, ino uint64 }

// statAt looks at name in the open directory without following a link.
func statAt(dir int, name string) (inode, uint32, error) {
	var st unix.Stat_t
	if err := unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return inode{}, 0, &os.PathError{Op: "stat", Path: name, Err: err}
	}
	return inode{uint64(st.Dev), uint64(st.Ino)}, uint32(st.Mode), nil
}

// openAt opens without following a link in the last element.
func openAt(dir int, name string, flags int, mode uint32) (fd int, err error) {
	err = again(func() error {
		fd, err = unix.Openat(dir, name, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC, mode)
		return err
	})
	return fd, err
}

// again repeats a call that a signal interrupted; the Go runtime sends itself
// signals, and calls with a timeout are not restarted by the kernel.
func again(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}
