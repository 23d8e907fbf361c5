package reach

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// mostKept is how many of this process's descriptors connections to servers leave
// to others, or an eighth of them where there are few: a configuration may have
// more hosts stand than there are descriptors, and who asks how they do must get
// in. It is fewer than clients leave (package socket): what they want is
// connections.
const mostKept = 8

var errScarce = errors.New("too many open files: as many connections as muxd's limit allows (ulimit -n, where muxd is started)")

// scarce reports that what was just opened took one of the descriptors that are
// kept for others. The lowest free number is given, so all below it are in use.
// The limit is asked each time: it can be set from outside.
func scarce(opened any) bool {
	found := false
	if sc, ok := opened.(syscall.Conn); ok {
		if raw, err := sc.SyscallConn(); err == nil {
			raw.Control(func(fd uintptr) {
				var r unix.Rlimit
				if unix.Getrlimit(unix.RLIMIT_NOFILE, &r) == nil {
					limit := uint64(r.Cur)
					found = uint64(fd) >= limit-min(mostKept, limit/8)
				}
			})
		}
	}
	return found
}
