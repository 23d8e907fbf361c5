package socket

import (
	"errors"
	"io"
	"syscall"

	"golang.org/x/sys/unix"
)

// maxFDs is how many descriptors one message can carry (SCM_MAX_FD in Linux).
// Room is made for all of them whatever the caller wants, because what does
// not fit is lost in ways that differ between kernels; and so "some were lost"
// can only mean that this process may open no more.
const maxFDs = 253

// errLostFDs is for a process at its limit of open files.
var errLostFDs = errors.New("descriptors were lost: too many open files")

// ReadFDs reads up to len(p) bytes and takes up to max of the descriptors that
// came with them; further ones are closed. It reads nothing ahead, so bytes
// beyond p and descriptors behind them are left for the next call. The caller
// owns the descriptors. They are close-on-exec, and they are in whatever mode
// the sender uses them in: O_NONBLOCK is shared with him and must not be set.
//
// Descriptors arrive with the first byte of the message they were sent with,
// and that may be merged with bytes sent before it. Errors are as of Read;
// with an error there are no descriptors.
func (c *Conn) ReadFDs(p []byte, max int) (n int, fds []int, err error) {
	if len(p) == 0 {
		return 0, nil, nil // recvmsg would take a byte to have one
	}
	var flags int
	rerr := c.raw.Read(func(fd uintptr) bool {
		n, fds, flags, err = receive(int(fd), p)
		return err != unix.EAGAIN
	})
	if rerr != nil {
		err = rerr // nothing was received: either the wait failed or it never began
	}
	switch {
	case err != nil:
		return 0, nil, c.fault("recvmsg", err)
	case flags&unix.MSG_CTRUNC != 0:
		closeAll(fds)
		return n, nil, c.fault("recvmsg", errLostFDs)
	case n == 0:
		closeAll(fds)
		return 0, nil, io.EOF
	case len(fds) > max:
		closeAll(fds[max:])
		fds = fds[:max]
	}
	return n, fds, nil
}

// receive is one recvmsg, with the descriptors taken out and close-on-exec.
func receive(fd int, p []byte) (n int, fds []int, flags int, err error) {
	if cmsgCloexec == 0 {
		syscall.ForkLock.RLock()
		defer syscall.ForkLock.RUnlock()
	}
	oob := make([]byte, unix.CmsgSpace(4*maxFDs))
	var oobn int
	err = again(func() error {
		n, oobn, flags, _, err = unix.Recvmsg(fd, p, oob, cmsgCloexec)
		return err
	})
	if err != nil {
		return 0, nil, 0, err
	}
	fds = rights(oob[:oobn])
	if cmsgCloexec == 0 {
		for _, fd := range fds {
			unix.CloseOnExec(fd)
		}
	}
	return n, fds, flags, nil
}

// rights takes the descriptors out of a control buffer that the kernel wrote.
func rights(oob []byte) (fds []int) {
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil
	}
	for i := range msgs {
		if got, err := unix.ParseUnixRights(&msgs[i]); err == nil {
			fds = append(fds, got...)
		}
	}
	return fds
}

func closeAll(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}

// WriteFDs writes all of p and with its first byte hands over fds, at most 253
// of them. They stay open here and remain the caller's. A stream has no place
// for descriptors without a byte, so with an empty p that is an error. Errors
// are as of Write; if any byte was written, the descriptors are on their way.
func (c *Conn) WriteFDs(p []byte, fds ...int) (int, error) {
	if len(fds) == 0 {
		return c.Write(p)
	}
	if len(p) == 0 || len(fds) > maxFDs {
		return 0, c.fault("sendmsg", unix.EINVAL)
	}
	oob := unix.UnixRights(fds...)
	var n int
	var err error
	werr := c.raw.Write(func(fd uintptr) bool {
		err = again(func() error {
			n, err = unix.SendmsgN(int(fd), p, oob, nil, 0)
			return err
		})
		return err != unix.EAGAIN
	})
	if werr != nil {
		err = werr
	}
	if err != nil {
		return 0, c.fault("sendmsg", err)
	}
	if n == len(p) {
		return n, nil
	}
	m, err := c.Write(p[n:])
	return n + m, err
}
