package client

import (
	"errors"
	"fmt"

	"muxd/control"
)

// ExitError is a command that ended, and not with status 0. What is known of
// that is the server's: Code where it exited, and Signal, without SIG, where a
// signal ended it.
type ExitError struct {
	control.Exit
	Host string // as given to New
	// Stderr is the beginning of standard error, at most 32 KiB, from Output where
	// Cmd.Stderr was nil.
	Stderr []byte
}

// Error names the host and how the command ended.
func (e *ExitError) Error() string {
	if e.Signal == "" {
		return fmt.Sprintf("%s: exit status %d", e.Host, e.Code)
	}
	text := e.Host + ": killed by signal " + e.Signal
	if e.Core {
		text += " (core dumped)"
	}
	if e.Message != "" {
		text += ": " + e.Message
	}
	return text
}

// ExitCode is the exit status, or -1 for a command that a signal ended, as of
// os.ProcessState.
func (e *ExitError) ExitCode() int {
	if e.Signal != "" {
		return -1
	}
	return int(e.Code)
}

// MayHaveRun reports whether the command whose Start, Run, Output or Wait
// returned err may have had an effect on the host. False is certain: nothing ran,
// and the command may be given again. It is true for nil.
func MayHaveRun(err error) bool {
	var e *control.Error
	return !errors.As(err, &e) || e.Phase.MayHaveRun()
}

// failure is an error with a phase, which keeps what it comes from.
type failure struct {
	told  *control.Error
	cause error
}

// Error implements error.
func (f *failure) Error() string { return f.told.Error() }

// Unwrap finds both.
func (f *failure) Unwrap() []error { return []error{f.told, f.cause} }

// both is how a command ended badly, and what went wrong here before.
type both struct{ there, here error }

// Error implements error.
func (b *both) Error() string { return b.there.Error() + "; " + b.here.Error() }

// Unwrap finds both.
func (b *both) Unwrap() []error { return []error{b.there, b.here} }
