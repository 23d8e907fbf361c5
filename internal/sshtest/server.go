package sshtest

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
)

// Server is an SSH server in this process. Its methods may be called from any
// goroutine. Close it before the test, or its bubble, ends.
type Server struct {
	journal *journal
	files   sftp.Handlers // of the subsystem "sftp"
	hostKey *Key          // used where Options names none

	// ctx ends with Close.
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup // everything that serves; Add under mu, never once closed

	mu        sync.Mutex
	opts      Options            // guarded by mu
	peers     []*Peer            // guarded by mu
	sessions  []*Session         // guarded by mu
	channels  int                // guarded by mu; opened so far
	forwards  map[string]binding // guarded by mu; by binding.key
	nextPort  uint32             // guarded by mu; for forwards that ask for port 0
	given     int                // guarded by mu; of Options.Ports
	listeners []net.Listener     // guarded by mu
	closed    bool               // guarded by mu
}

// ErrServerClosed is returned by Serve and Dial after Close.
var ErrServerClosed = errors.New("sshtest server is closed")

// NewServer returns a server that serves nothing yet.
func NewServer(opts Options) *Server {
	ctx, cancel := context.WithCancel(context.Background())
	return &Server{
		journal: newJournal(), hostKey: NewKey(), files: sftp.InMemHandler(),
		ctx: ctx, cancel: cancel, opts: opts,
		forwards: make(map[string]binding), nextPort: 40000,
	}
}

// Update changes the options.
func (s *Server) Update(f func(*Options)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.opts)
}

func (s *Server) options() Options {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opts
}

// HostKey returns the public half of the host key that is offered first.
func (s *Server) HostKey() ssh.PublicKey { return s.hostKeys(s.options())[0].PublicKey() }

func (s *Server) hostKeys(o Options) []ssh.Signer {
	if len(o.HostKeys) > 0 {
		return o.HostKeys
	}
	return []ssh.Signer{s.hostKey}
}

// RotateHostKey replaces the host keys by a new one, for connections to come,
// and returns its public half.
func (s *Server) RotateHostKey() ssh.PublicKey {
	k := NewKey()
	s.Update(func(o *Options) { o.HostKeys = []ssh.Signer{k} })
	return k.PublicKey()
}

// Dial returns the client's end of a new pipe whose other end the server
// serves. Options.DialDelay and DialError stand for the network's part.
func (s *Server) Dial(ctx context.Context) (net.Conn, error) {
	return s.DialContext(ctx, "", "")
}

// DialContext is Dial for a caller that dials by address, which is recorded
// and means nothing.
func (s *Server) DialContext(ctx context.Context, _, address string) (net.Conn, error) {
	s.journal.note(Event{Kind: Dialled, Peer: -1, Name: address})
	if err := sleep(ctx, s.options().DialDelay); err != nil {
		return nil, err
	}
	o := s.options()
	if o.DialError != nil {
		return nil, o.DialError
	}
	if o.Buffer == 0 {
		o.Buffer = PipeBuffer
	}
	client, server := PipeSize(o.Buffer)
	p, err := s.admit(server)
	if err != nil {
		return nil, err
	}
	go p.serve()
	return client, nil
}

// Serve serves one connection until it ends, and closes it.
func (s *Server) Serve(conn net.Conn) error {
	p, err := s.admit(conn)
	if err != nil {
		conn.Close()
		return err
	}
	return p.serve()
}

// Listen serves a loopback TCP port of the kernel's choice and returns its
// address. Not for use in a bubble.
func (s *Server) Listen() (addr string, err error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		ln.Close()
		return "", ErrServerClosed
	}
	s.listeners = append(s.listeners, ln)
	s.wg.Go(func() { s.accept(ln) })
	return ln.Addr().String(), nil
}

func (s *Server) accept(ln net.Listener) {
	for {
		conn, err := ln.Accept()
		if err != nil {
			return // closed; nothing else ends a loopback listener
		}
		s.wg.Go(func() { s.Serve(conn) })
	}
}

// admit enters a connection in the books and counts its goroutine.
func (s *Server) admit(conn net.Conn) (*Peer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrServerClosed
	}
	s.wg.Add(1)
	p := &Peer{server: s, index: len(s.peers), conn: conn, opts: s.opts, ready: make(chan struct{})}
	p.ctx, p.cancel = context.WithCancel(s.ctx)
	s.peers = append(s.peers, p)
	return p, nil
}

// Peers returns every connection so far, in the order of their beginning.
func (s *Server) Peers() []*Peer {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.peers)
}

// Last returns the newest connection, nil if there was none.
func (s *Server) Last() *Peer {
	if peers := s.Peers(); len(peers) > 0 {
		return peers[len(peers)-1]
	}
	return nil
}

// Sessions returns every session channel so far, in the order of opening.
func (s *Server) Sessions() []*Session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.sessions)
}

// Close closes the listeners and every connection, and returns when the
// server's last goroutine has gone.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	for _, ln := range s.listeners {
		ln.Close()
	}
	for _, p := range s.peers {
		p.conn.Close()
	}
	s.mu.Unlock()
	s.cancel()
	s.wg.Wait()
}

// sleep waits for d or for the context.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
