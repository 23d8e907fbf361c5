package term

import (
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sys/unix"
)

// State is a terminal that Raw took. All methods may be called from any
// goroutine at any time, so that one which waits for signals can give the
// terminal back while another is reading from it.
type State struct {
	fd int // the caller's, who keeps it open

	mu     sync.Mutex
	saved  unix.Termios // guarded by mu; the modes to give back
	active bool         // guarded by mu; raw, and not given back
}

// Raw puts the terminal fd into raw mode, as ssh does: every byte is read as it
// is typed, nothing is echoed and output is not touched. The program must have
// read what it wants of the old modes (Modes). What was typed ahead is kept.
//
// In the background the process is stopped here until it is brought to the
// foreground, unless nobody could do that, which is an error.
func Raw(fd int) (*State, error) {
	s := &State{fd: fd}
	if err := s.Again(); err != nil {
		return nil, err
	}
	return s, nil
}

// Again makes the terminal raw once more: after Restore, or when SIGCONT tells
// that the process was stopped by somebody else and a shell may have set modes
// of its own. Those, if they are not raw, are then the ones to give back.
func (s *State) Again() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	comeForward(s.fd)
	now, err := unix.IoctlGetTermios(s.fd, getTermios)
	if err != nil {
		return fmt.Errorf("cannot read the terminal's modes: %w", err)
	}
	raw := *now
	makeRaw(&raw)
	if !s.active || raw != *now {
		s.saved = *now
	}
	if err := setModes(s.fd, &raw); err != nil {
		return fmt.Errorf("cannot put the terminal into raw mode: %w", err)
	}
	s.active = true
	return nil
}

// Restore gives the terminal back as Raw found it, keeping what was typed. It
// may be called as often as one likes, does nothing when the terminal was given
// back, and never stops or waits: in the background it leaves the terminal to
// the shell, which set its own modes when this process lost the foreground.
func (s *State) Restore() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.active {
		return nil
	}
	if err := giveBack(s.fd, &s.saved); err != nil {
		return fmt.Errorf("cannot restore the terminal (stty sane does): %w", err)
	}
	s.active = false
	return nil
}

// giveBack sets modes unless the terminal is another's. The look before the leap
// is a race: whoever loses the foreground in between is stopped by SIGTTOU
// like any program, and goes on when it is brought forward. Setting the modes
// with SIGTTOU ignored would instead destroy those of the program in front.
func giveBack(fd int, t *unix.Termios) error {
	if inBackground(fd) {
		return nil
	}
	return setModes(fd, t)
}

// inBackground reports that fd is our controlling terminal and another process
// group has it. On a terminal that does not control us there is no job control.
func inBackground(fd int) bool {
	pgrp, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP)
	return err == nil && pgrp != unix.Getpgrp()
}

var errOrphan = errors.New("in the background of a terminal, and no shell can bring this process to the front")

func setModes(fd int, t *unix.Termios) error {
	for {
		switch err := unix.IoctlSetTermios(fd, setTermios, t); err {
		case unix.EINTR:
		case unix.EIO:
			// What the kernel answers instead of stopping a process group
			// that nobody could continue; also after a hang-up.
			if inBackground(fd) {
				return errOrphan
			}
			return err
		default:
			return err
		}
	}
}

// makeRaw changes what ssh changes (sshtty.c, enter_raw_mode): less than
// cfmakeraw, which would also touch parity, character size and breaks.
func makeRaw(t *unix.Termios) {
	t.Iflag |= unix.IGNPAR
	t.Iflag &^= unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IXON | unix.IXANY | unix.IXOFF | flagIUCLC
	t.Lflag &^= unix.ISIG | unix.ICANON | unix.ECHO | unix.ECHOE | unix.ECHOK | unix.ECHONL | unix.IEXTEN
	t.Oflag &^= unix.OPOST
	t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
}
