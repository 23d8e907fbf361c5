package control

import (
	"context"
	"sync"
	"time"
)

// What one connection for many may cost, so that its client has no more than its
// share: others keep room for their operations, and muxd its memory.
const (
	// MaxStreams bounds the streams of one connection, those included that muxd
	// has closed and the client has not: each of them can hold a window of bytes
	// that nobody will read. A client that has more is cut.
	MaxStreams = 1024
	// MaxPings bounds the answers to yamux's pings that the client does not read,
	// each of which waits in a goroutine. A client that has more is cut.
	MaxPings = 64
)

// Streams is the server's side of a connection for many operations.
type Streams interface {
	// Accept returns the next stream; an error ends the connection.
	Accept() (Conn, error)
	Close() error
}

// crowd counts the operations of one connection, so that its end can wait for
// theirs.
type crowd struct {
	mu     sync.Mutex
	closed bool           // guarded by mu; nobody joins any more
	wg     sync.WaitGroup // Add only with mu held and closed false
}

func (w *crowd) join() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.closed {
		w.wg.Add(1)
	}
	return !w.closed
}

// leave waits until everybody left, but no longer than the grace.
func (w *crowd) leave(grace time.Duration) {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	done := make(chan struct{})
	go func() { w.wg.Wait(); close(done) }()
	t := time.NewTimer(grace)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
	}
}

// serveMany serves a connection's streams until the client closes it. When ctx
// ends, the operations write their last frames before the streams go.
func (s *Server) serveMany(ctx context.Context, c ServerConn) {
	m, err := s.Many(c)
	if err != nil {
		s.Log.Warn("streams did not start", "pid", c.PeerPID(), "err", err)
		return
	}
	var w crowd
	defer w.wg.Wait() // after m.Close, which ends what is left
	defer m.Close()
	defer context.AfterFunc(ctx, func() { w.leave(stopGrace); m.Close() })()
	silent := make(chan struct{}, maxGreeting)
	for {
		silent <- struct{}{} // which each of them leaves within prefaceTimeout
		st, err := m.Accept()
		if err != nil {
			s.Log.Debug("streams end", "pid", c.PeerPID(), "err", err)
			return
		}
		if !w.join() {
			<-silent
			st.Close()
			continue
		}
		go func() {
			defer w.wg.Done()
			s.serveStream(ctx, st, c.PeerPID(), func() { <-silent })
		}()
	}
}

// serveStream serves one stream, whose first frame is the request; it has spoken
// when that has come. A stream that is silent is no operation yet: streams of one
// client must not be able to fill up the number that all clients share.
func (s *Server) serveStream(ctx context.Context, c Conn, pid int, spoken func()) {
	defer c.Close()
	o := newOperation(s, c, pid)
	c.SetReadDeadline(time.Now().Add(prefaceTimeout))
	t, request, err := o.r.next()
	c.SetReadDeadline(time.Time{})
	spoken()
	if err != nil || t != frameRequest {
		return
	}
	defer s.clients.Add(-1)
	if s.clients.Add(1) > maxClients {
		o.w.finish(frameError, (&Error{Phase: NotDialled, Text: "muxd serves too many clients"}).encode())
		return
	}
	o.run(ctx, append([]byte(nil), request...))
}
