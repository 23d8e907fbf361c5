package sshlink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"muxd/control"
	"muxd/internal/reach"
)

// ErrAsked ends a link by request.
var ErrAsked = errors.New("closed by request (-O exit)")

// ErrReplaced ends a link that carries nothing any more, after another one took
// its place.
var ErrReplaced = errors.New("replaced")

// NoAnswer ends a link on which a question was not answered for so long.
type NoAnswer time.Duration

func (d NoAnswer) Error() string {
	return "no answer: nothing was received for " + time.Duration(d).Round(time.Second).String()
}

// Failure describes a session that did not start, where it is not described
// already: then the channel open failed. Nothing was handed over, so a dead or
// doubted link makes it Lost, which is tried again.
func (l *Link) Failure(host string, err error) error {
	var ce *control.Error
	var oe *ssh.OpenChannelError
	switch {
	case errors.As(err, &ce):
		return err
	case errors.As(err, &oe):
		text := fmt.Sprintf("the server refused a session: %s", oe.Message)
		if oe.Reason == ssh.ConnectionFailed {
			text += " (its MaxSessions may be reached)"
		}
		return &control.Error{Phase: control.Refused, Host: host, Text: text}
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return &control.Error{Phase: control.Lost, Host: host, Text: err.Error()}
	case errors.Is(err, ErrDoubted):
		return lostError(host, control.Lost, l, err)
	}
	if lerr := l.Died(); lerr != nil {
		return lostError(host, control.Lost, l, lerr)
	}
	return &control.Error{Phase: control.Refused, Host: host, Text: err.Error()}
}

// lostError is the one line about a connection that died under a request.
func lostError(host string, phase control.ErrorPhase, l *Link, why error) error {
	text := fmt.Sprintf("connection lost (%v)", why)
	if s := l.Silence(); s > time.Second && !strings.Contains(text, "received for") {
		text += fmt.Sprintf(" after %v of silence", s.Round(time.Second))
	}
	switch phase {
	case control.Sent:
		text += "; the command was sent and may have run"
	case control.Running:
		text += "; the command may still be running"
	}
	return &control.Error{Phase: phase, Host: host, Text: text, Silence: l.Silence(), Ended: errors.Is(why, ErrAsked)}
}

// describeEnd says in words why a connection ended by itself.
func describeEnd(err error) error {
	switch {
	case err == nil, errors.Is(err, io.EOF):
		return errors.New("the server closed the connection")
	case errors.Is(err, net.ErrClosed):
		return errors.New("closed")
	}
	return reach.Cause(err)
}

// RefusesMore reports that the server refused a channel for want of a place.
// OpenSSH's sshd says "open failed" with the reason connect failed, also for
// other causes (session.c, session_open).
func RefusesMore(err error) bool {
	var oe *ssh.OpenChannelError
	return errors.As(err, &oe) && (oe.Reason == ssh.ConnectionFailed || oe.Reason == ssh.ResourceShortage)
}
