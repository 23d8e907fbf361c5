package fdio

import (
	"bytes"
	"errors"
	"os"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Terminals says that this system shows who is in the foreground of another
// process's terminal.
const Terminals = true

// ErrAway: the process that passed its terminal is stopped, gone, or not in the
// foreground of it any more.
var ErrAway = errors.New("the terminal's process is not in its foreground")

// Terminal is a terminal that another process passed, and that stays its own: it
// is read and written only while that process runs in its foreground. A process
// that is none of the terminal's session is stopped by no kernel when it reads
// what was typed for the shell, so each read and each write looks first.
//
// What is read was there before the look. So it was typed while the process was
// in front; or the process was stopped, and somebody else took those very bytes
// and had others typed, in the microseconds between the look and the read.
type Terminal struct {
	f    *os.File // a description of our own
	raw  syscall.RawConn
	stat *os.File // of the process, and never of one that has its number later
	tty  string   // the device, as stat names it
}

// NewTerminal becomes the owner of fd, also when it fails: because it is no
// terminal, or none of the process's own, or one that may not be opened again.
func NewTerminal(fd, pid int) (*Terminal, error) {
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFCHR || !isTerminalItself(fd, &st) {
		return nil, unix.ENOTTY
	}
	// The order of bits that the kernel shows in stat is that of new_encode_dev.
	major, minor := unix.Major(st.Rdev), unix.Minor(st.Rdev)
	t := &Terminal{tty: strconv.Itoa(int(minor&0xff | major<<8 | minor&^0xff<<12))}
	file, err := retry(func() (int, error) {
		return unix.Open("/proc/"+strconv.Itoa(pid)+"/stat", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return nil, err
	}
	t.stat = os.NewFile(uintptr(file), "")
	if t.f = reopen(fd, unix.O_RDWR); t.f == nil {
		t.stat.Close()
		return nil, unix.EACCES
	}
	if t.raw, err = t.f.SyscallConn(); err == nil && !t.front() {
		err = ErrAway
	}
	if err != nil {
		t.Close()
		return nil, err
	}
	return t, nil
}

// front looks whether the process runs in the foreground of its terminal.
func (t *Terminal) front() bool {
	var b [512]byte
	n, _ := t.stat.ReadAt(b[:], 0)
	return inFront(b[:max(n, 0)], t.tty)
}

// inFront reads proc_pid_stat(5): behind the name, which may have anything in it,
// stand the state, the parent, the process group, the session, the terminal, and
// the terminal's foreground group.
func inFront(stat []byte, tty string) bool {
	var f [6][]byte
	rest := stat[bytes.LastIndexByte(stat, ')')+1:]
	for i := range f {
		rest = bytes.TrimLeft(rest, " ")
		end := bytes.IndexByte(rest, ' ')
		if end < 0 {
			return false
		}
		f[i], rest = rest[:end], rest[end:]
	}
	runs := len(f[0]) == 1 && bytes.IndexByte([]byte("RSDI"), f[0][0]) >= 0
	return runs && string(f[4]) == tty && bytes.Equal(f[2], f[5])
}

// Read is for one goroutine at a time. It returns what was typed, ErrAway where
// that is not the process's, the terminal is hung up or Read was interrupted, and
// os.ErrClosed after Close.
func (t *Terminal) Read(p []byte) (n int, err error) {
	closed := t.raw.Read(func(fd uintptr) bool {
		var there int
		if there, err = unix.IoctlGetInt(int(fd), unix.TIOCINQ); err == nil && there == 0 {
			return false
		}
		if err != nil || !t.front() {
			n, err = 0, ErrAway
			return true
		}
		n, err = retry(func() (int, error) { return unix.Read(int(fd), p[:min(there, len(p))]) })
		return err != unix.EAGAIN
	})
	switch {
	case closed != nil && !errors.Is(closed, os.ErrDeadlineExceeded):
		return 0, os.ErrClosed
	case closed != nil || err != nil || n == 0:
		return 0, ErrAway
	}
	return n, nil
}

// Interrupt has Read end with ErrAway, now and until Resume.
func (t *Terminal) Interrupt() { t.f.SetReadDeadline(time.Unix(1, 0)) }

// Resume ends Interrupt.
func (t *Terminal) Resume() { t.f.SetReadDeadline(time.Time{}) }

// Write is for one goroutine at a time. It writes all of p, or returns how much
// it wrote and ErrAway, or os.ErrClosed after Close.
func (t *Terminal) Write(p []byte) (done int, err error) {
	closed := t.raw.Write(func(fd uintptr) bool {
		for done < len(p) {
			if !t.front() {
				err = ErrAway
				return true
			}
			var n int
			n, err = retry(func() (int, error) { return unix.Write(int(fd), p[done:]) })
			done += n
			if err != nil {
				return err != unix.EAGAIN
			}
		}
		return true
	})
	switch {
	case closed != nil:
		return done, os.ErrClosed
	case err != nil:
		return done, ErrAway // of a terminal that is hung up its process will hear
	}
	return done, nil
}

// Close wakes a Read and a Write. After it returned, no byte is taken or written
// any more. It may be called from any goroutine, and more than once.
func (t *Terminal) Close() error {
	err := t.f.Close() // waits for those who look into stat
	t.stat.Close()
	return err
}
