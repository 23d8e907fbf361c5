package main

import "golang.org/x/sys/unix"

// writeAll writes b to a descriptor that others may share and may have set
// non-blocking: then it waits, and changes no flag. Writing below os.File keeps
// a closed pipe an error instead of a signal.
func writeAll(fd int, b []byte) error {
	for len(b) > 0 {
		n, err := unix.Write(fd, b)
		switch err {
		case nil:
			b = b[n:]
		case unix.EINTR:
		case unix.EAGAIN:
			wait(fd, unix.POLLOUT)
		default:
			return err
		}
	}
	return nil
}

// readSome reads once, waiting if the descriptor is non-blocking. 0 is the end.
func readSome(fd int, b []byte) (int, error) {
	for {
		n, err := unix.Read(fd, b)
		switch err {
		case nil:
			return n, nil
		case unix.EINTR:
		case unix.EAGAIN:
			wait(fd, unix.POLLIN)
		default:
			return 0, err
		}
	}
}

// unread reports a pipe or socket that nobody reads any more.
func unread(fd int) bool {
	p := []unix.PollFd{{Fd: int32(fd)}}
	n, err := unix.Poll(p, 0)
	return err == nil && n > 0 && p[0].Revents&(unix.POLLERR|unix.POLLHUP) != 0
}

func wait(fd int, events int16) {
	unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: events}}, -1)
}
