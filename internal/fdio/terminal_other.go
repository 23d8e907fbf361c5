//go:build !linux

package fdio

import (
	"errors"

	"golang.org/x/sys/unix"
)

// Terminals says that this system shows who is in the foreground of another
// process's terminal.
const Terminals = false

// ErrAway: the process that passed its terminal does not have it any more.
var ErrAway = errors.New("the terminal's process is not in its foreground")

// Terminal is a terminal that another process passed. There is none here.
type Terminal struct{}

// NewTerminal closes fd and fails.
func NewTerminal(fd, _ int) (*Terminal, error) {
	unix.Close(fd)
	return nil, unix.ENOTSUP
}

// Read fails.
func (*Terminal) Read([]byte) (int, error) { return 0, ErrAway }

// Interrupt does nothing.
func (*Terminal) Interrupt() {}

// Resume does nothing.
func (*Terminal) Resume() {}

// Write fails.
func (*Terminal) Write([]byte) (int, error) { return 0, ErrAway }

// Close does nothing.
func (*Terminal) Close() error { return nil }
