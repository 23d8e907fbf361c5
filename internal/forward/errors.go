package forward

import (
	"errors"
	"fmt"
	"strings"

	"muxd/control"
	"muxd/internal/socks"
)

// ErrRefused is Server.Listen's error where the server said no. It does not say
// why (RFC 4254 section 7.1).
var ErrRefused = errors.New("the server refused it (in use there, or not allowed)")

// OpenError is Config.Open's error where the server said no.
type OpenError struct {
	Code uint32 // RFC 4254 section 5.1: 1 prohibited, 2 connect failed, 3 unknown type, 4 resource shortage
	Text string // the server's
}

// Error implements error.
//
// The reason stands before the text, as in ssh's own line, because sshd's text
// for all that it does not allow is "open failed". Of a connect that failed the
// text says how, and what failed goes without saying.
func (e *OpenError) Error() string {
	reason := map[uint32]string{1: "administratively prohibited", 2: "connect failed", 3: "unknown channel type", 4: "resource shortage"}[e.Code]
	switch {
	case reason == "":
		reason = fmt.Sprintf("refused for reason %d", e.Code)
	case e.Code == 2 && e.Text == "open failed": // of a Unix socket, whatever is wrong (serverloop.c, server_request_direct_streamlocal)
		return e.Text + " (not there, or not allowed)"
	case e.Code == 2 && e.Text != "":
		return e.Text
	}
	if e.Text == "" {
		return reason
	}
	return reason + ": " + e.Text
}

// refused is a remote forward's failure, in ssh's words (mux.c,
// mux_confirm_remote_forward).
func refused(at control.Endpoint, why error) error {
	if at.Path != "" {
		return fmt.Errorf("remote port forwarding failed for listen path %s: %w", at.Path, why)
	}
	return fmt.Errorf("remote port forwarding failed for listen port %d: %w", at.Port, why)
}

// outcome is what a SOCKS client is told of a connection that could not be had
// on the server's side. sshd's text is strerror's of connect, or gai_strerror's.
func outcome(err error) socks.Outcome {
	var e *OpenError
	if !errors.As(err, &e) {
		return socks.Failed
	}
	switch {
	case e.Code == 1:
		return socks.NotAllowed
	case e.Code == 2 && strings.Contains(strings.ToLower(e.Text), "refused"):
		return socks.Refused
	case e.Code == 2:
		return socks.Unreachable
	}
	return socks.Failed
}
