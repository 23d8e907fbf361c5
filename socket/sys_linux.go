package socket

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"

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

// overflowUID is what the kernel calls every user that a user namespace has no
// number for (/proc/sys/kernel/overflowuid, which nobody changes).
const overflowUID = 65534

// named fails where this process has no number of its own: in a user namespace
// that does not map it, it and all strangers are the same one, and neither the
// owner of a file nor a peer's uid tells anything.
var named = sync.OnceValue(func() error {
	if os.Geteuid() != overflowUID {
		return nil
	}
	b, err := os.ReadFile("/proc/self/uid_map")
	if errors.Is(err, os.ErrNotExist) || err == nil && maps(string(b), overflowUID) {
		return nil // no user namespaces here; or a user of that number
	}
	return fmt.Errorf("this user namespace has no number for its user, so nobody can be told from others (uid_map: %q, %v)", b, err)
})

// maps reports whether a uid_map has the number in a range of it: lines of
// first inside, first outside, how many (user_namespaces(7)).
func maps(table string, uid uint64) bool {
	for line := range strings.Lines(table) {
		f := strings.Fields(line)
		if len(f) != 3 {
			continue
		}
		first, err := strconv.ParseUint(f[0], 10, 32)
		n, err2 := strconv.ParseUint(f[2], 10, 32)
		if err == nil && err2 == nil && first <= uid && uid-first < n {
			return true
		}
	}
	return false
}
