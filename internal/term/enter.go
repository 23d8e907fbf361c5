package term

import (
	"errors"

	"golang.org/x/sys/unix"
)

// Enter hears the Enter key at the terminal on stdin, and takes nothing that a
// person typed for somebody else. Used by one goroutine at a time.
type Enter struct {
	fd int // our own opening of /dev/tty, so O_NONBLOCK on it is nobody else's
}

// OpenEnter fails where stdin is not the terminal that controls this process:
// then its input is not a person's to us.
func OpenEnter() (*Enter, error) {
	if _, err := unix.IoctlGetInt(0, unix.TIOCGPGRP); err != nil {
		return nil, err
	}
	fd, err := openTerminal()
	if err != nil {
		return nil, err
	}
	return &Enter{fd}, nil
}

// Close ends it.
func (e *Enter) Close() { unix.Close(e.fd) }

// errNotOurs: another process has the terminal.
var errNotOurs = errors.New("the terminal is another's")

// Heard reports whether the terminal is ours to listen to, in line mode and in
// the foreground. It may stop being so at any time, and Pressed looks again.
func (e *Enter) Heard() bool {
	_, err := e.modes()
	return err == nil
}

func (e *Enter) modes() (*unix.Termios, error) {
	pgrp, err := unix.IoctlGetInt(e.fd, unix.TIOCGPGRP)
	if err != nil {
		return nil, err
	}
	m, err := unix.IoctlGetTermios(e.fd, getTermios)
	if err == nil && (pgrp != unix.Getpgrp() || m.Lflag&unix.ICANON == 0) {
		return nil, errNotOurs
	}
	return m, err
}

// Pressed reports whether Enter alone was typed, and takes it; echoed says that
// the terminal went to its next line for it. It never waits. A line with
// something in it is typed ahead for the session and stays, and with it
// whatever is typed after it. The one other line of a single byte, one that ^D
// or another second end of line ends, cannot be told from Enter unread: that
// byte is returned, and to be sent before everything else.
func (e *Enter) Pressed() (pressed, echoed bool, other []byte) {
	m, err := e.modes()
	if err != nil {
		return false, false, nil
	}
	if n, err := unix.IoctlGetInt(e.fd, ioctlUnread); err != nil || n != 1 {
		return false, false, nil
	}
	var b [1]byte
	if n, err := unix.Read(e.fd, b[:]); n != 1 || err != nil {
		return false, false, nil // another process was faster
	}
	if b[0] != '\n' {
		return false, false, b[:]
	}
	return true, m.Lflag&(unix.ECHO|unix.ECHONL) != 0, nil
}

// WaitInput waits until fd can be read or wake ends, and reports which. An
// error of the kernel's counts as input: reading says what is wrong.
func WaitInput(fd, wake int) (woken bool) {
	woken, _ = await(fd, wake, false)
	return woken
}
