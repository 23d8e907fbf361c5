package sshauth

import (
	"errors"
	"fmt"
	"io"
	"strings"
)

// Error is a login that came to its end without success.
type Error struct {
	Host    string   // user@host
	Methods []string // what the server would have taken
	Reasons []string // why ways were left out
	Nobody  bool     // one of them for want of a person
}

// Error is ssh's line, and the reasons.
func (e *Error) Error() string {
	methods := strings.Join(e.Methods, ",")
	if methods == "" { // or its answer was none that a server gives here
		methods = "the server named no way to log in"
	}
	s := fmt.Sprintf("%s: Permission denied (%s)", e.Host, methods)
	if len(e.Reasons) > 0 {
		s += ": " + strings.Join(e.Reasons, "; ")
	}
	return s
}

// Is makes the error ErrNobody where a person might have helped, else
// ErrDenied.
func (e *Error) Is(target error) bool {
	if e.Nobody {
		return target == ErrNobody
	}
	return target == ErrDenied
}

// lostError is the connection's end, as Lost told it.
type lostError struct{ err error }

func (e *lostError) Error() string {
	if errors.Is(e.err, io.EOF) {
		return "the server closed the connection during the login"
	}
	return fmt.Sprintf("the connection was lost during the login: %v", e.err)
}

func (e *lostError) Unwrap() error { return e.err }

func (l *Login) denied() error {
	return &Error{Host: l.who(), Methods: l.allowed, Reasons: l.reasons, Nobody: l.nobody}
}

// Explain makes the one line of a handshake's error that concerns the login l:
// an *Error for a refusal, the context's error unchanged, and what Ask said
// under the login's name. An error of a handshake that never came to the
// login is returned as it is.
func Explain(err error, l *Login) error {
	var denied *Error
	switch {
	case err == nil || !l.began:
		return err
	case errors.As(err, &denied):
		return denied
	}
	// A server that has had enough says so and then hangs up; the hanging up is
	// the lesser news.
	if tooMany(err) {
		l.skip("the server counted too many attempts (IdentitiesOnly yes would offer fewer keys)")
		return l.denied()
	}
	if cause := l.failure(); cause != nil && cause != errClosed {
		if l.ctx.Err() != nil && l.fatal == nil && !isLost(cause) {
			return cause
		}
		return fmt.Errorf("%s: %w", l.who(), cause)
	}
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: %w", l.who(), &lostError{err})
	}
	return fmt.Errorf("%s: %w", l.who(), &trimmed{err})
}

func isLost(err error) bool {
	var e *lostError
	return errors.As(err, &e)
}

// trimmed is an x/crypto error without the words that it begins with in every
// case (client.go: "ssh: handshake failed: %w").
type trimmed struct{ err error }

func (t *trimmed) Error() string {
	s := strings.TrimPrefix(t.err.Error(), "ssh: handshake failed: ")
	return strings.TrimPrefix(s, "ssh: ")
}

func (t *trimmed) Unwrap() error { return t.err }

// tooMany recognises a server's MaxAuthTries. OpenSSH's auth_maxtries_exceeded
// (auth.c) sends the disconnect "Too many authentication failures", x/crypto's
// server.go "too many authentication failures"; the client's type for it is
// not exported and reads `ssh: disconnect, reason 2: "…"`. Its own bound on
// tries (client_auth.go) reads "ssh: too many authentication attempts (n),
// aborting".
func tooMany(err error) bool {
	s := strings.ToLower(err.Error())
	return strings.Contains(s, "ssh: disconnect, reason") && strings.Contains(s, "too many authentication failures") ||
		strings.Contains(s, "ssh: too many authentication attempts")
}
