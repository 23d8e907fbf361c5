package socket

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	// maxBind is sun_path less its NUL: 103 bytes bind, 104 do not.
	maxBind = 103
	// maxPath leaves room for the "." and 16 digits of the name under which
	// the socket is bound, since no /proc can shorten that here.
	maxPath = maxBind - 17
	runUser = "" // there is no such directory
)

// cmsgCloexec does not exist here: receive marks descriptors afterwards,
// under the fork lock.
const cmsgCloexec = 0

func newSocket() (int, error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err == nil {
		unix.CloseOnExec(fd)
	}
	return fd, err
}

// accept never blocks under the fork lock: the listening socket does not.
func accept(fd int) (int, error) {
	syscall.ForkLock.RLock()
	nfd, _, err := unix.Accept(fd)
	if err == nil {
		unix.CloseOnExec(nfd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return -1, err
	}
	if err := unix.SetNonblock(nfd, true); err != nil {
		unix.Close(nfd)
		return -1, err
	}
	return nfd, nil
}

// peerOf is who opened the other end: of a client its user at connect, of a
// server its user at listen.
func peerOf(fd int) (peer, error) {
	x, err := unix.GetsockoptXucred(fd, unix.SOL_LOCAL, unix.LOCAL_PEERCRED)
	if err != nil {
		return peer{}, os.NewSyscallError("getsockopt LOCAL_PEERCRED", err)
	}
	pid, err := unix.GetsockoptInt(fd, unix.SOL_LOCAL, unix.LOCAL_PEERPID)
	if err != nil {
		pid = 0 // it is for messages only
	}
	return peer{uid: x.Uid, pid: pid}, nil
}

func viaFD(int) (string, bool) { return "", false }

// named has nothing to say here: there are no user namespaces.
func named() error { return nil }
