package control

import (
	"context"
	"io"
	"sync/atomic"
)

// Stream is an open session. Read, Write, Stderr and Wait may be used from one
// goroutine each; the other methods from any. CloseRead, Resize, Signal and
// Close are called where a client's frames are read and so never wait for the
// network.
type Stream interface {
	// Read returns standard output. Its end says nothing about success: only
	// Wait does.
	Read(p []byte) (int, error)
	// Write sends standard input, and blocks while the other side takes none.
	Write(p []byte) (int, error)
	// CloseWrite ends standard input.
	CloseWrite() error
	// CloseRead says that nobody reads standard output any more: a remote
	// command sees a broken pipe. What still comes is to be read all the same.
	CloseRead() error
	// Stderr is the command's standard error.
	Stderr() io.Reader
	// TTY reports whether the terminal that was asked for was granted.
	TTY() bool
	// Resize reports a new terminal size (RFC 4254 section 6.7).
	Resize(w Window) error
	// Signal sends a signal by its name without SIG (section 6.9), or Break.
	Signal(name string) error
	// Wait returns how the command ended, once output and stderr are read to
	// their end. Without an exit it returns an *Error in phase Running.
	Wait() (Exit, error)
	// Close abandons the session. Whoever was given it calls it in the end, also
	// where it has ended: until then it counts as one that muxd must not end under.
	// It is safe to call more than once. Read, Write, Stderr and Wait may return only
	// when the server agrees, or the connection ends.
	Close() error
}

// Break is the name by which Stream.Signal and Op.Signal send a BREAK (RFC
// 4335) in place of a signal.
const Break = "break"

// Meter counts the bytes of a session. Safe for concurrent use.
type Meter struct{ In, Out atomic.Int64 }

// Backend carries out what clients ask for; master.Master is the real one and
// controltest.Backend the scripted one. Its methods are called from one
// goroutine per operation and return errors of type *Error where a phase is
// known.
type Backend interface {
	// Resolve finds out what an invocation means, by ssh's rules.
	Resolve(ctx context.Context, v *Invocation, p Prompter) (*Plan, error)
	// Session opens a session and returns once the command runs.
	Session(ctx context.Context, r *SessionRequest, p Prompter) (Stream, error)
	// Forward has forwards wanted, in their order, and returns once they are
	// there, or, without Strict, once each of them was tried. Release ends the
	// request's own claim to them and may be called more than once; those that are
	// sticky, and those that others want, stay. P is told of the forwards, where
	// the request says so, until then.
	Forward(ctx context.Context, r *ForwardRequest, p Prompter) (release func(), err error)
	// Direct opens a connection on the server's side. The end of its Read is the
	// other side's end of sending; both ends together are a success. Where the
	// connection was lost Read returns another error than io.EOF, so that half of
	// an end is never taken for one. Ctx bounds the opening alone.
	Direct(ctx context.Context, r *DirectRequest, p Prompter) (Stream, error)
	// Hold returns once there is a connection, and keeps one until the stream is
	// closed. Its Wait returns only when none can be had any more.
	Hold(ctx context.Context, r *HoldRequest, p Prompter) (Stream, error)
	// Manage answers ssh -O.
	Manage(ctx context.Context, r *ManageRequest) (*Managed, error)
	// Admin carries out what muxd's own commands ask for.
	Admin(ctx context.Context, r *AdminRequest) (*Managed, error)
	// Events calls f with what happened since the request says; then, where it
	// does not want that only, with the state of every destination, or of the one
	// that it names, and with each change, until ctx ends or f returns an error. f
	// may block; a reader that is far behind loses events and is told how many.
	Events(ctx context.Context, r *EventsRequest, f func(Event) error) error
	// Status describes muxd and every connection.
	Status(ctx context.Context, r *StatusRequest) (*Status, error)
	// Stop ends muxd after the answer was sent.
	Stop(ctx context.Context, r *StopRequest) (*Stopped, error)
}
