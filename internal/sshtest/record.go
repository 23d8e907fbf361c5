package sshtest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// Kind says what an Event reports.
type Kind string

// The kinds, in the order of a connection's life, each with what its event
// carries besides Peer.
const (
	Dialled         Kind = "dialled"          // Dial was called: Name is the address, if any; no Peer
	Connected       Kind = "connected"        // Serve has begun
	KeyOffered      Kind = "key offered"      // Name is the user, Text the SHA256 fingerprint, OK
	AuthTried       Kind = "auth tried"       // Name is the method, OK; a partial success is not OK
	LoggedIn        Kind = "logged in"        // Name is the user
	GlobalRequest   Kind = "global request"   // Name, Payload, WantReply
	ChannelOpen     Kind = "channel open"     // Name is the type, Payload, Channel
	ChannelRefused  Kind = "channel refused"  // Name, Text is the message, Channel
	ChannelRequest  Kind = "channel request"  // Name, Payload, WantReply, Channel
	ChannelFinished Kind = "channel finished" // Name, Channel: the server has no more to do with it
	Disconnected    Kind = "disconnected"     // Text is the cause
)

// Event is one thing that a client did or that befell it.
type Event struct {
	At        time.Time
	Peer      int // index in Server.Peers; -1: none
	Channel   int // from 1, in the order of opening at this server; 0: none
	Kind      Kind
	Name      string
	Text      string
	Payload   []byte
	WantReply bool
	OK        bool
}

// String is made for the message of a failed test.
func (e Event) String() string {
	return fmt.Sprintf("peer %d channel %d %s %s %s %q ok=%t", e.Peer, e.Channel, e.Kind, e.Name, e.Text, e.Payload, e.OK)
}

// journal is the list of events, and the means to wait for one.
type journal struct {
	mu      sync.Mutex
	events  []Event       // guarded by mu
	changed chan struct{} // guarded by mu; closed and replaced at each event
}

func newJournal() *journal { return &journal{changed: make(chan struct{})} }

func (j *journal) note(e Event) {
	e.At = time.Now()
	j.mu.Lock()
	defer j.mu.Unlock()
	j.events = append(j.events, e)
	close(j.changed)
	j.changed = make(chan struct{})
}

func (j *journal) snapshot() ([]Event, <-chan struct{}) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.events), j.changed
}

// Events returns what happened so far, in order: the given kinds, or all.
func (s *Server) Events(kinds ...Kind) []Event {
	events, _ := s.journal.snapshot()
	return slices.DeleteFunc(events, func(e Event) bool {
		return len(kinds) > 0 && !slices.Contains(kinds, e.Kind)
	})
}

// Count returns how many events of a kind there were; an empty name counts
// all names.
func (s *Server) Count(kind Kind, name string) int {
	return count(s.Events(kind), name)
}

func count(events []Event, name string) int {
	n := 0
	for _, e := range events {
		if name == "" || e.Name == name {
			n++
		}
	}
	return n
}

// Logins returns how many connections passed authentication.
func (s *Server) Logins() int { return s.Count(LoggedIn, "") }

// Dump returns all events, one per line, for the message of a failed test.
func (s *Server) Dump() string {
	var b strings.Builder
	for _, e := range s.Events() {
		fmt.Fprintln(&b, e)
	}
	return b.String()
}

// Wait returns when there have been n events of the kind and name (empty: any
// name), or with the context's error.
func (s *Server) Wait(ctx context.Context, n int, kind Kind, name string) error {
	for {
		// The channel is taken with the count, so that an event between the
		// two cannot be missed.
		events, changed := s.journal.snapshot()
		events = slices.DeleteFunc(events, func(e Event) bool { return e.Kind != kind })
		if count(events, name) >= n {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("wait for %d × %s %s: %w", n, kind, name, ctx.Err())
		}
	}
}
