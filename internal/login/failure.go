package login

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"golang.org/x/crypto/ssh"

	"muxd/control"
)

// NeedsPerson marks an error that another try by itself can only repeat: a
// refused login, a host key, a configuration.
type NeedsPerson struct{ Err error }

func (e *NeedsPerson) Error() string { return e.Err.Error() }

func (e *NeedsPerson) Unwrap() error { return e.Err }

// unoffered adds to a failed agreement what was left out on purpose.
func unoffered(err error, lax bool) error {
	var none *ssh.AlgorithmNegotiationError
	if !lax || !errors.As(err, &none) {
		return err
	}
	return fmt.Errorf("%w (it has no strict key exchange, without which chacha20-poly1305@openssh.com is offered only where Ciphers names nothing else)", err)
}

// describeHandshake turns the SSH library's errors of a handshake into one
// line. The library wraps everything as "ssh: handshake failed: …"
// (client.go) and a connection closed by the server before its version reads
// as a plain EOF; what such a server said is in sniffed.
func describeHandshake(err error, sniffed string) error {
	text := strings.TrimPrefix(err.Error(), "ssh: handshake failed: ")
	text = strings.TrimPrefix(text, "ssh: ")
	late := errors.Is(err, os.ErrDeadlineExceeded) || strings.Contains(text, "i/o timeout")
	// A server cut off in the middle of its version said nothing of its own.
	said := control.CleanLine(sniffed)
	own := !strings.HasPrefix(said, "SSH-") && !strings.HasPrefix("SSH-", said)
	switch {
	case own && late:
		return fmt.Errorf("the server did not begin SSH in time: it said %q", said)
	case own && text == "overflow reading version string":
		return fmt.Errorf("the peer is not an SSH server: it said %q", said)
	case own:
		return fmt.Errorf("the server refused the connection: %q", said)
	case late:
		return errors.New("the server did not finish the SSH handshake in time")
	// Where a write fails first the library closes the connection under its reader.
	case text == "EOF", errors.Is(err, os.ErrClosed), errors.Is(err, net.ErrClosed):
		return errors.New("the server closed the connection during the SSH handshake")
	case text == "overflow reading version string":
		return errors.New("the peer is not an SSH server")
	}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errors.New(errno.Error() + " during the SSH handshake")
	}
	return errors.New(text)
}

// Unrunnable says why a shell could not run the ProxyCommand that ended with err,
// by the exit status that POSIX gives that (2.8.2); else "". No network mends it.
func Unrunnable(err error) string {
	var ended *exec.ExitError
	if !errors.As(err, &ended) {
		return ""
	}
	switch ended.ExitCode() {
	case 126:
		return "the shell may not run it"
	case 127:
		return "the shell found no such program"
	}
	return ""
}

// ErrUnanswered ends a prompt that nobody answered in time.
var ErrUnanswered = fmt.Errorf("nobody answered within %v", control.PromptTimeout)
