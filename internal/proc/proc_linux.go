package proc

import (
	"bytes"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// maxProc bounds what is read of another process, in bytes: the kernel lets a
// command line and an environment together have a quarter of the stack.
const maxProc = 2 << 20

// Environ is the environment of a process, nil if it is not to be seen.
func Environ(pid int) []string { return words(pid, "environ") }

// Args is its command line, nil if that is not to be seen.
func Args(pid int) []string { return words(pid, "cmdline") }

// Dir is the working directory of a process, "" if it is not to be seen.
func Dir(pid int) string {
	b := make([]byte, unix.PathMax)
	n, err := unix.Readlink("/proc/"+strconv.Itoa(pid)+"/cwd", b)
	if err != nil || pid <= 0 {
		return ""
	}
	return string(b[:n])
}

// Parent is the process that started another one, 0 if that is not to be seen.
func Parent(pid int) int {
	b := read(pid, "stat")
	// The name stands in parentheses and may have any in it (proc_pid_stat(5)).
	fields := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(fields) < 2 {
		return 0
	}
	n, _ := strconv.Atoi(string(fields[1]))
	return n
}

// words are those of a file, each of which ends with a zero; nil if it cannot be
// read.
func words(pid int, name string) []string {
	b := read(pid, name)
	if b == nil {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(b), "\x00"), "\x00")
}

// read is a whole file, nil if it cannot be read. It is on the way of every
// session, and package os would have the poller look at the file first.
func read(pid int, name string) []byte {
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
			return b
		}
		if b = b[:len(b)+max(n, 0)]; len(b) == cap(b) {
			b = append(b, make([]byte, cap(b))...)[:len(b)]
		}
	}
	return nil
}
