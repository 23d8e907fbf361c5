package master

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"muxd/control"
	"muxd/internal/gate"
	"muxd/internal/login"
	"muxd/internal/reach"
)

// Reasons of our own for ending a connection.
var (
	errStopping = errors.New("muxd is stopping")
	errIdle     = errors.New("closed after being idle")
)

// fault is what a failed dial means for the next one.
type fault int

const (
	faultNetwork fault = iota // may be over in a moment: tried again for as long as somebody wants it
	faultBusy                 // the server is there and sends newcomers away: tried again, later
	faultNoName               // there is no such name: as faultNetwork where there was one before
	faultPerson               // would be repeated by every attempt: a refused login, a host key, a configuration
)

// classify is the one place that decides it.
func classify(err error) fault {
	var person *login.NeedsPerson
	var busy *login.Busy
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
// is told to each request about the host as that one spelled it, once: a refused
// login begins with user@host in any case.
func asControl(host string, phase control.ErrorPhase, err error) error {
	var e *control.Error
	if errors.As(err, &e) {
		own := *e
		own.Host, own.Text = host, strings.TrimPrefix(own.Text, host+": ")
		return &own
	}
	return &control.Error{Phase: phase, Host: host, Text: err.Error(), Elsewhere: gate.Elsewhere(err)}
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
