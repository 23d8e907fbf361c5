package socket

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

const (
	// maxPath is sun_path less its NUL: 107 bytes bind, 108 do not.
	maxPath = 107
	// maxBind is the longest path that bind takes.
	maxBind = maxPath
	runUser = "/run/user/"
)

// cmsgCloexec makes descriptors arrive close-on-exec, so that none leaks into
// a process started at that moment.
const cmsgCloexec = unix.MSG_CMSG_CLOEXEC

func newSocket() (int, error) {
	return unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
}

// accept takes a connection that is close-on-exec and non-blocking from birth.
func accept(fd int) (int, error) {
	nfd, _, err := unix.Accept4(fd, unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
	return nfd, err
}

// peerOf is who opened the other end: of a client its user at connect, of a
// server its user at listen. A descriptor handed on keeps them.
func peerOf(fd int) (peer, error) {
	u, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return peer{}, os.NewSyscallError("getsockopt SO_PEERCRED", err)
	}
	return peer{uid: u.Uid, pid: int(u.Pid)}, nil
}

// viaFD names the open directory in few bytes, for a bind whose full path
// would not fit.
func viaFD(dir int) (string, bool) {
	return "/proc/self/fd/" + strconv.Itoa(dir), true
}
