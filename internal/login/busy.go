package login

import (
	"errors"
	"io"
	"strings"
	"syscall"

	"muxd/control"
)

// Busy marks a server that turned a newcomer away before its SSH version:
// too many logins are under way, or it does not want this address for a while.
// Another try soon makes that worse (PerSourcePenalties count it). It wraps the
// *control.Error that requests are told.
type Busy struct {
	Err error
	// Silent: the server closed without a word, which may have other reasons.
	Silent bool
}

func (e *Busy) Error() string { return e.Err.Error() }
func (e *Busy) Unwrap() error { return e.Err }

// markBusy marks e, the line about the failed handshake err, if it is a server
// that is busy, and adds to it what may be the matter. Sniffed is what the
// server said before its version, and heard whether it said anything at all.
func markBusy(e *control.Error, err error, sniffed string, heard bool) error {
	if why, busy := busyWords(sniffed, err.Error()); busy {
		e.Text += why
		return &Busy{Err: e}
	}
	// Whoever closes while our version is unread makes the system reset the
	// connection, and sshd does not read before it drops.
	closed := errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
	if !heard && closed {
		e.Text += "; it had not said a word: it may have too many logins under way, or not want this address"
		return &Busy{Err: e, Silent: true}
	}
	return e
}

// busyWords knows the words of a server that is busy, said in the place of its
// version or, by the SSH library, as the reason of a disconnect; and what they
// mean where they do not say so.
func busyWords(sniffed, failure string) (why string, busy bool) {
	said := strings.ToLower(control.CleanLine(sniffed))
	has := func(words ...string) bool {
		for _, w := range words {
			if strings.Contains(said, w) {
				return true
			}
		}
		return false
	}
	switch {
	case has("exceeded maxstartups"):
		// sshd 8.2 to 9.7 (sshd.c, drop_connection). Before that it closed
		// without a word.
		return " (too many logins are under way there)", true
	case has("not allowed at this time"):
		// sshd since 9.8 (sshd.c, drop_connection), which says the same for
		// MaxStartups, PerSourceMaxStartups and PerSourcePenalties.
		return " (too many logins are under way there, or it penalises this address for failed ones)", true
	case has("too many connections", "too many users", "too many sessions", "too many clients", "server busy", "server is busy", "try again later"):
		// Servers of network devices, and of file transfer.
		return "", true
	case has("connection refused by"):
		// What an administrator writes for those that hosts.deny names (twist
		// in hosts_options(5)).
		return "", true
	case strings.Contains(failure, "ssh: disconnect, reason 12:"):
		// RFC 4253, section 11.1: SSH_DISCONNECT_TOO_MANY_CONNECTIONS, in the
		// SSH library's form (messages.go, disconnectMsg). Apache MINA sends it.
		return "", true
	}
	return "", false
}

// StillBusy passes the mark of err on to wrapped, which tells of it.
func StillBusy(err, wrapped error) error {
	var busy *Busy
	if errors.As(err, &busy) {
		return &Busy{Err: wrapped, Silent: busy.Silent}
	}
	return wrapped
}
