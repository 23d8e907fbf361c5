package socket

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// firstFD is where descriptors passed by systemd begin (SD_LISTEN_FDS_START
// in sd_listen_fds(3)).
const firstFD = 3

// ListenFDs serves the socket that systemd passed, or returns nil and no error
// when it passed none to this process. The variables are removed from the
// environment either way, so that no child takes them for its own. Exactly one
// listening Unix stream socket is accepted, bound in a directory that passes
// Check, since clients would not dial it elsewhere.
//
// The lock is taken here too, although systemd has bound the socket. Without
// it a muxd started by hand at the same place would find the lock free. And if
// such a muxd is running, systemd has just put its own socket in the other's
// place: refusing with ErrRunning lets that one see it is taken over and
// leave, whereas going on would leave two daemons each with half the user's
// connections.
//
// Close leaves the path alone: it is systemd's. If the path vanishes, Check
// makes a socket of this process's own, which Close does remove.
func ListenFDs() (*Listener, error) {
	n, err := passed()
	if n == 0 || err != nil {
		return nil, err
	}
	if n != 1 {
		return nil, fmt.Errorf("socket activation passed %d descriptors and muxd takes one: give its socket unit one ListenStream", n)
	}
	unix.CloseOnExec(firstFD)
	path, err := listening(firstFD)
	if err != nil {
		return nil, fmt.Errorf("socket activation passed something that muxd cannot serve: %w", err)
	}
	return adopt(firstFD, At(path))
}

// passed is how many descriptors were meant for this process.
func passed() (int, error) {
	pid, fds := os.Getenv("LISTEN_PID"), os.Getenv("LISTEN_FDS")
	for _, name := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID"} {
		os.Unsetenv(name)
	}
	if pid != strconv.Itoa(os.Getpid()) || fds == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(fds)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("LISTEN_FDS=%q is not a number of descriptors", fds)
	}
	return n, nil
}

// listening is the path on which fd listens. On failure fd is left open: it
// may be anything, the runtime's own poller included.
func listening(fd int) (string, error) {
	typ, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil {
		return "", os.NewSyscallError("getsockopt SO_TYPE", err)
	}
	on, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	if err != nil {
		return "", os.NewSyscallError("getsockopt SO_ACCEPTCONN", err)
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return "", os.NewSyscallError("getsockname", err)
	}
	addr, ok := sa.(*unix.SockaddrUnix)
	switch {
	case !ok:
		return "", errors.New("it is not a Unix socket")
	case typ != unix.SOCK_STREAM || on == 0:
		return "", errors.New("it is not a listening stream socket: use ListenStream and Accept=no")
	case addr.Name == "" || addr.Name[0] == '@':
		return "", errors.New("it has no path, so no directory guards it: use ListenStream with a path")
	}
	return addr.Name, nil
}

func adopt(fd int, p Place) (*Listener, error) {
	if err := p.Check(); err != nil {
		return nil, err // before the claim, which would make what is missing
	}
	c, err := claimPlace(p)
	if err != nil {
		return nil, err
	}
	id, _, err := statAt(c.dir, p.Name)
	if err == nil || errors.Is(err, os.ErrNotExist) { // if gone, Check will see to it
		err = unix.SetNonblock(fd, true)
	}
	if err != nil {
		c.release()
		return nil, err
	}
	b, err := newBound(fd, p.Path(), id, false)
	if err != nil {
		c.release()
		return nil, err
	}
	return newListener(p, c, b), nil
}
