package term

import (
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	getTermios = unix.TCGETS
	setTermios = unix.TCSETS // at once: TCSETSW would wait behind a ^S

	charDisabled = 0 // _POSIX_VDISABLE

	ioctlUnread = unix.TIOCINQ // FIONREAD: the bytes of whole lines, in line mode

	charDSusp  = -1 // no such character
	charStatus = -1

	flagIUCLC = unix.IUCLC
	flagXCASE = unix.XCASE
	flagOLCUC = unix.OLCUC
)

type modeWord = uint32

func flushInput(fd int) error { return unix.IoctlSetInt(fd, unix.TCFLSH, unix.TCIFLUSH) }

// bauds are the speeds behind the kernel's codes. A terminal emulator's is
// 38400, and means nothing; those that OpenSSH does not know either are 9600.
var bauds = [...]struct{ code, baud uint32 }{
	{unix.B0, 0}, {unix.B50, 50}, {unix.B75, 75}, {unix.B110, 110}, {unix.B134, 134},
	{unix.B150, 150}, {unix.B200, 200}, {unix.B300, 300}, {unix.B600, 600},
	{unix.B1200, 1200}, {unix.B1800, 1800}, {unix.B2400, 2400}, {unix.B4800, 4800},
	{unix.B9600, 9600}, {unix.B19200, 19200}, {unix.B38400, 38400},
	{unix.B57600, 57600}, {unix.B115200, 115200}, {unix.B230400, 230400},
}

// speeds decodes the speeds from c_cflag, where TCGETS leaves them. An input
// speed of zero there means that of the output.
func speeds(t *unix.Termios) (in, out uint32) {
	out = speed(t.Cflag & unix.CBAUD)
	if code := t.Cflag & unix.CIBAUD / (unix.CIBAUD / unix.CBAUD); code != 0 {
		return speed(code), out
	}
	return out, out
}

func speed(code uint32) uint32 {
	for _, b := range bauds {
		if b.code == code {
			return b.baud
		}
	}
	return 9600
}

// await waits until fd can be read, or written, or until wake is closed.
func await(fd, wake int, write bool) (woken bool, err error) {
	events := int16(unix.POLLIN)
	if write {
		events = unix.POLLOUT
	}
	fds := []unix.PollFd{{Fd: int32(fd), Events: events}, {Fd: int32(wake), Events: unix.POLLIN}}
	for {
		_, err := unix.Poll(fds, -1)
		if err != unix.EINTR {
			return fds[1].Revents != 0, err
		}
	}
}

// raise sends s to this very thread, so that it has had its effect on return:
// of kill(getpid()) another thread would take it, a little later.
func raise(s syscall.Signal) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	_ = unix.Tgkill(unix.Getpid(), unix.Gettid(), s)
}
