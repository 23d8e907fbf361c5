package socks

import (
	"errors"
	"io"
)

// Outcome is what became of a request.
type Outcome int

// The outcomes that a client is told apart.
const (
	Granted     Outcome = iota // the connection stands
	NotAllowed                 // a rule forbids it
	Unreachable                // no way to the host, or no such name
	Refused                    // the host is there and refused
	Failed                     // anything else
)

// Request is what a client asked for.
type Request struct {
	Host string // a name, or an address without brackets
	Port int

	version byte
}

// Handshake reads a request.
func Handshake(rw io.ReadWriter) (*Request, error) { return nil, errors.New("not yet") }

// Reply tells the client what became of its request.
func (r *Request) Reply(w io.Writer, o Outcome) error { return nil }
