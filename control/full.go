package control

import (
	"errors"
	"syscall"
)

// full reports an output for which there was no room, as opposed to a reader that
// went away, which is no news to anybody.
func full(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG)
}

// cutOff is the end of an operation whose standard output failed with err: what
// is lost must not look whole, whatever became of the command.
func cutOff(host string, err error) *Error {
	return &Error{Phase: Running, Host: host, Text: "standard output: " + err.Error() + "; some of the output is missing"}
}
