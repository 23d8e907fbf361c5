package sshmux

import (
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// maxProc bounds what is read of another process, in bytes: the kernel lets a
// command line and an environment together have a quarter of the stack.
const maxProc = 2 << 20

func environOf(pid int) []string { return words(pid, "environ") }
func argsOf(pid int) []string    { return words(pid, "cmdline") }

// dirOf is the working directory of a process, "" if it is not to be seen.
func dirOf(pid int) string {
	b := make([]byte, unix.PathMax)
	n, err := unix.Readlink("/proc/"+strconv.Itoa(pid)+"/cwd", b)
	if err != nil || pid <= 0 {
		return ""
	}
	return string(b[:n])
}

// words reads a file of zero-terminated words; nil if it cannot be read. It is
// on the way of every session, and package os would have the poller look at the
// file first.
func words(pid int, name string) []string {
	fd, err := unix.Open("/proc/"+strconv.Itoa(pid)+"/"+name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer unix.Close(fd)
	b := make([]byte, 0, 8<<10)
	for len(b) < maxProc {
		n, err := unix.Read(fd, b[len(b):cap(b)])
		switch {
		case err == unix.EINTR:
		case err != nil:
			return nil
		case n == 0:
			return strings.Split(strings.TrimSuffix(string(b), "\x00"), "\x00")
		}
		if b = b[:len(b)+max(n, 0)]; len(b) == cap(b) {
			b = append(b, make([]byte, cap(b))...)[:len(b)]
		}
	}
	return nil
}
