package term

import (
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	getTermios = unix.TIOCGETA
	setTermios = unix.TIOCSETA // at once: TIOCSETAW would wait behind a ^S

	charDisabled = 0xff // _POSIX_VDISABLE

	ioctlUnread = 0x4004667f // FIONREAD: the bytes of whole lines, in line mode

	charDSusp  = unix.VDSUSP
	charStatus = unix.VSTATUS

	flagIUCLC = 0 // no such flag
	flagXCASE = 0
	flagOLCUC = 0
)

type modeWord = uint64

// fread is FREAD of <sys/fcntl.h>: the input queue, for TIOCFLUSH.
const fread = 1

func flushInput(fd int) error { return unix.IoctlSetPointerInt(fd, unix.TIOCFLUSH, fread) }

func speeds(t *unix.Termios) (in, out uint32) { return uint32(t.Ispeed), uint32(t.Ospeed) }

// await waits until fd can be read, or written, or until wake is closed. It
// uses select, because poll on macOS reports terminals as invalid.
func await(fd, wake int, write bool) (woken bool, err error) {
	if max(fd, wake) >= unix.FD_SETSIZE {
		return false, unix.EMFILE
	}
	for {
		var r, w unix.FdSet
		r.Set(wake)
		if write {
			w.Set(fd)
		} else {
			r.Set(fd)
		}
		_, err := unix.Select(max(fd, wake)+1, &r, &w, nil, nil)
		if err != unix.EINTR {
			return err == nil && r.IsSet(wake), err
		}
	}
}

// raise sends s to this process; another thread may take it, a little later.
func raise(s syscall.Signal) { _ = unix.Kill(unix.Getpid(), s) }
