package forward

import (
	"context"
	"errors"
	"fmt"

	"muxd/control"
)

// ErrRefused is Server.Listen's error where the server said no.
var ErrRefused = errors.New("the server refused it (in use there, or not allowed)")

// OpenError is Config.Open's error where the server said no.
type OpenError struct {
	Code uint32 // RFC 4254 section 5.1: 1 prohibited, 2 connect failed, 3 unknown type, 4 resource shortage
	Text string
}

// Error implements error.
func (e *OpenError) Error() string {
	if e.Text == "" {
		return fmt.Sprintf("the server refused it (reason %d)", e.Code)
	}
	return e.Text
}

// Owner is who wants a forward: a client, or the one who asked for forwards that
// stay. Two owners are the same if they are one Owner.
type Owner struct {
	PID    int  // of the client; 0 where there is none
	Sticky bool // its forwards stay without a client
	// Tell is told what becomes of its forwards later; nil: nobody listens. It is
	// called without locks held and must not block.
	Tell func(text string)
}

// Set is the forwards of one destination. Its methods are safe for concurrent
// use, and none but Add and Probe waits.
type Set struct{}

// New returns an empty Set.
func New(cfg Config) *Set { return &Set{} }

// Close ends every forward and every connection.
func (s *Set) Close() {}

// Add makes f stand for o.
func (s *Set) Add(ctx context.Context, f control.Forward, how control.ForwardOptions, o *Owner, keep bool) (port int, err error) {
	return 0, errors.New("not yet")
}

// Release drops o everywhere.
func (s *Set) Release(o *Owner) {}

// Cancel ends f, whoever wants it, and reports whether it was there.
func (s *Set) Cancel(f control.Forward) bool { return false }

// CancelAll ends every forward.
func (s *Set) CancelAll() {}

// DropSticky drops every owner that is sticky.
func (s *Set) DropSticky() {}

// Serve says which connection is in service; nil is none.
func (s *Set) Serve(srv Server) {}

// Incoming takes a channel that srv opens for a listener of ours.
func (s *Set) Incoming(srv Server, at control.Endpoint, from string, c Incoming) {}

// Status is every forward, in the order of Add.
func (s *Set) Status() []control.ForwardStatus { return nil }

// Probe is Status, having opened each fixed far side once.
func (s *Set) Probe(ctx context.Context) []control.ForwardStatus { return nil }

// Standing is how many forwards are wanted.
func (s *Set) Standing() int { return 0 }

// Open is how many connections go through the forwards.
func (s *Set) Open() int { return 0 }
