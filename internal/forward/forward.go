package forward

import (
	"context"
	"io"
	"log/slog"
	"net"

	"muxd/control"
)

// Channel is a connection that goes through the server: one that it opened for
// us, or one that came to it. Read and Write may be used from one goroutine
// each, the rest from any.
type Channel interface {
	io.ReadWriteCloser
	// CloseWrite ends our direction (RFC 4254 section 5.3).
	CloseWrite() error
	// Lost returns why the SSH connection under the channel ended, nil if it
	// lives. It is asked once Read or Write failed, because a channel that was
	// lost and one that the server closed end alike, and may wait a moment.
	Lost() error
}

// ended is a Channel that says when it ended in both directions, by the server
// or with the connection; it need not. Without it, a connection of which only
// our direction is open hears of neither before it writes.
type ended interface{ Done() <-chan struct{} }

// Incoming is a channel that the server asks to open. Exactly one of its methods
// is called, once.
type Incoming interface {
	Accept() (Channel, error)
	// Reject says no. busy means that it is for want of room (RFC 4254 section
	// 5.1, SSH_OPEN_RESOURCE_SHORTAGE); else text says what could not be
	// connected to.
	Reject(busy bool, text string)
}

// Server is the far end of one SSH connection, as far as it listens for us (RFC
// 4254 section 7.1; PROTOCOL, streamlocal-forward@openssh.com). Its methods may
// be called from any goroutine and return when ctx ends or the connection does.
type Server interface {
	// Listen asks the server to listen, and returns the port if that was its to
	// choose. A server that says no is ErrRefused; any other error is the
	// connection's.
	Listen(ctx context.Context, at control.Endpoint) (port int, err error)
	// Unlisten takes that back.
	Unlisten(ctx context.Context, at control.Endpoint) error
	// Done is closed when the connection ended.
	Done() <-chan struct{}
}

// Config is what a Set needs from outside. Fields that are not marked as
// required may be nil.
type Config struct {
	Log *slog.Logger // required
	// Open opens a connection on the server's side, for one that came from an
	// address here. It waits for the SSH connection as long as it thinks right,
	// and calls on it may be many at once. Required. An *OpenError says what the
	// server said.
	Open func(ctx context.Context, to control.Endpoint, from net.Addr) (Channel, error)
	// Dial connects to where a remote forward leads; nil is the system's.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Listen listens here, for each address of an endpoint; nil is the system's.
	Listen func(at control.Endpoint, how control.ForwardOptions) ([]net.Listener, error)
	// Rand draws the jitter of attempts, from [0,1); nil is math/rand.
	Rand func() float64
	// Changed is told of a forward whose state changed, of its coming and, with
	// an empty state, of its going. It is called without locks held and must not
	// block.
	Changed func(control.ForwardStatus)
}
