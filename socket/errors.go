package socket

import (
	"errors"
	"fmt"
)

// ErrNoServer means that nobody listens: there is no socket, or what is there
// is what a dead muxd left. A client may start a muxd.
var ErrNoServer = errors.New("no muxd is running")

// ErrRunning means that another process serves this place. The error that
// matches it is a *RunningError.
var ErrRunning = errors.New("muxd is already running")

// ErrTakenOver means that another process's socket or lock stands where this
// listener's stood. New clients go there, so the daemon stops accepting.
var ErrTakenOver = errors.New("another process has taken over the socket")

// RunningError says which process serves a place; it matches ErrRunning.
type RunningError struct {
	Path string // of the socket
	PID  int    // 0 when unknown; for messages only, since numbers are reused
}

func (e *RunningError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("%v at %s", ErrRunning, e.Path)
	}
	return fmt.Sprintf("%v at %s (pid %d)", ErrRunning, e.Path, e.PID)
}

// Unwrap makes a RunningError match ErrRunning.
func (e *RunningError) Unwrap() error { return ErrRunning }

// UnsoundError says that something is in place but is not to be trusted:
// another owner, a mode open to others, a link, a server of another user.
type UnsoundError struct {
	Path   string
	Reason string // what is wrong, who owns it, and the cure
}

func (e *UnsoundError) Error() string { return e.Path + " " + e.Reason }

func unsound(path, format string, a ...any) *UnsoundError {
	return &UnsoundError{Path: path, Reason: fmt.Sprintf(format, a...)}
}
