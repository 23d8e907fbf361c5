package forward

import (
	"errors"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// mostKept is how many of this process's descriptors forwards leave to others, or
// half of them where there are few: connections through forwards come as fast as
// anybody likes, and those who ask how things stand, or want a session, must still
// get in.
const mostKept = 64

var errScarce = errors.New("too many open files: as many connections as muxd's limit allows (ulimit -n, where muxd is started)")

// scarce reports that a connection's descriptor is one of those that are kept for
// others. The lowest free number is given, so all below it are in use. The limit
// is asked each time: it can be set from outside.
func scarce(nc net.Conn) bool {
	found := false
	onFD(nc, func(fd int) { found = kept(fd) })
	return found
}

func onFD(nc net.Conn, f func(fd int)) {
	if sc, ok := nc.(syscall.Conn); ok {
		if raw, err := sc.SyscallConn(); err == nil {
			raw.Control(func(fd uintptr) { f(int(fd)) })
		}
	}
}

func kept(fd int) bool {
	var r unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &r) != nil {
		return false
	}
	limit := uint64(r.Cur)
	return uint64(fd) >= limit-min(mostKept, limit/2)
}

// roomAgain reports that what is free by now is not kept.
func roomAgain(nc net.Conn) bool {
	room := false
	onFD(nc, func(fd int) {
		if free, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0); err == nil {
			room = !kept(free)
			unix.Close(free)
		}
	})
	return room
}

// admit waits until there is room for an accepted connection, and reports whether
// the forward still stands then. While it waits nothing else is accepted: who
// comes waits in the backlog, where nobody pays for him.
func (w *forward) admit(nc net.Conn) bool {
	if !scarce(nc) {
		return true
	}
	w.remember(errScarce)
	for rest := firstAcceptPause; ; rest = min(2*rest, mostAcceptPause) {
		select {
		case <-time.After(rest):
		case <-w.ctx.Done():
			reset(nc)
			return false
		}
		if roomAgain(nc) {
			return true
		}
	}
}
