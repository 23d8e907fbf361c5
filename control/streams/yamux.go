package streams

import (
	"fmt"
	"io"
	"time"

	"github.com/hashicorp/yamux"

	"muxd/control"
)

// never is longer than anybody waits for a client that was stopped with ^Z.
const never = 1 << 62 * time.Nanosecond

// config is yamux's configuration for a Unix socket. Three of the library's
// defaults lose data there: keepalive closes the session of a client that was
// stopped for 40 s, the write timeout fails a write to a client whose output is
// blocked for 10 s, and the close timeout cuts what arrives five minutes after
// a half-close, as a clean end. The kernel reports a dead peer on a Unix
// socket at once, so none of them is needed.
func config() *yamux.Config {
	c := yamux.DefaultConfig()
	c.EnableKeepAlive = false
	c.ConnectionWriteTimeout = never
	c.StreamCloseTimeout = 0
	c.StreamOpenTimeout = 0
	c.AcceptBacklog = 64
	c.LogOutput = io.Discard
	return c
}

// Session is one end of a connection that carries many operations. Its methods
// are safe for concurrent use.
type Session struct{ y *yamux.Session }

// Dial greets muxd on a fresh connection and starts streams on it.
func Dial(c control.Conn) (*Session, error) {
	if _, err := control.Greet(c); err != nil {
		return nil, err
	}
	y, err := yamux.Client(c, config())
	if err != nil {
		return nil, fmt.Errorf("start streams: %w", err)
	}
	return &Session{y}, nil
}

// Serve starts streams on a connection whose preface asked for them. It is the
// Many of a control.Server.
func Serve(c control.Conn) (control.Streams, error) {
	y, err := yamux.Server(&guard{Conn: c}, config())
	if err != nil {
		return nil, err
	}
	return &Session{y}, nil
}

// Open returns a new stream, for control.RunStream.
func (s *Session) Open() (control.Conn, error) { return s.y.OpenStream() }

// Accept returns the next stream that the peer opened. It fails when the peer has
// more of them than it may: those that we closed count until it has closed them too,
// because the library keeps, and fills, each until then.
func (s *Session) Accept() (control.Conn, error) {
	st, err := s.y.AcceptStream()
	if err != nil {
		return nil, err
	}
	if n := s.y.NumStreams(); n > control.MaxStreams {
		return nil, fmt.Errorf("the client has %d streams, more than %d", n, control.MaxStreams)
	}
	return st, nil
}

// Close ends every stream and the connection.
func (s *Session) Close() error { return s.y.Close() }
