package master

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"

	"golang.org/x/crypto/ssh"

	"muxd/control"
	"muxd/internal/reach"
)

// Reasons of our own for ending a connection.
var (
	errStopping = errors.New("muxd is stopping")
	errIdle     = errors.New("closed after being idle")
)

// needsPerson marks an error that another try by itself can only repeat: a
// refused login, a host key, a configuration. The host is blocked by it.
type needsPerson struct{ err error }

func (e *needsPerson) Error() string { return e.err.Error() }
func (e *needsPerson) Unwrap() error { return e.err }

// fault is what a failed dial means for the next one.
type fault int

const (
	faultNetwork fault = iota // may be over in a moment: tried again for as long as somebody wants it
	faultBusy                 // the server is there and sends newcomers away: tried again, later
	faultNoName               // there is no such name: as faultNetwork where there was one before
	faultPerson               // would be repeated by every attempt: a refused login, a host key, a configuration
)

// unoffered adds to a failed agreement what was left out on purpose.
func unoffered(err error, lax bool) error {
	var none *ssh.AlgorithmNegotiationError
	if !lax || !errors.As(err, &none) {
		return err
	}
	return fmt.Errorf("%w (it has no strict key exchange, without which chacha20-poly1305@openssh.com is offered only where Ciphers names nothing else)", err)
}

// classify is the one place that decides it.
func classify(err error) fault {
	var person *needsPerson
	var busy *busyError
	var name *noName
	switch {
	case errors.As(err, &person):
		return faultPerson
	case errors.As(err, &busy):
		return faultBusy
	case errors.As(err, &name):
		return faultNoName
	}
	return faultNetwork
}

// noName marks a name that the resolver knows nothing of.
type noName struct{ err error }

func (e *noName) Error() string { return e.err.Error() }
func (e *noName) Unwrap() error { return e.err }

func isCanceled(err error) bool { return errors.Is(err, context.Canceled) }

// asControl makes err an *control.Error about host, in the phase given unless
// it has one already. The error of a shared login names whoever dialled, and
// is told to each request about the host as that one spelled it.
func asControl(host string, phase control.ErrorPhase, err error) error {
	var e *control.Error
	if errors.As(err, &e) {
		own := *e
		own.Host = host
		return &own
	}
	return &control.Error{Phase: phase, Host: host, Text: err.Error()}
}

// describeConnect is reach.Cause with the address, where that is not what could
// not be found.
func describeConnect(addr string, err error) string {
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return reach.Cause(err).Error()
	}
	return fmt.Sprintf("connect to %s: %v", addr, reach.Cause(err))
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
	case text == "EOF":
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
