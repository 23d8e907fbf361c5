package sshconf

import (
	"fmt"
	"strings"
)

// Error is a configuration that ssh would refuse too. Lines holds the messages
// in the order and wording in which ssh prints them, file and line included.
type Error struct {
	Lines []string
}

// Error joins the lines with newlines.
func (e *Error) Error() string { return strings.Join(e.Lines, "\n") }

func fatalf(format string, args ...any) *Error {
	return &Error{Lines: []string{fmt.Sprintf(format, args...)}}
}

// badLine is a fault of one line. The rest of the file is still read, so that
// a person sees every fault at once.
type badLine struct {
	msgs []string
}

func (b *badLine) Error() string { return strings.Join(b.msgs, "\n") }

// abort is a fault of one line that ends the reading there and then, as ssh's
// own fatal() does for a handful of keywords.
type abort struct {
	msg string
}

func (a *abort) Error() string { return a.msg }

// openError is a file that cannot be opened, which the reader of it judges. It
// is a type of its own, and not *os.PathError, because the caller's Exec may
// fail with one of those.
type openError struct {
	err error
}

func (o *openError) Error() string { return o.err.Error() }
