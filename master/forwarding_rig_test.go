package master

import (
	"context"
	"errors"
	"io"
	"net"
	"strconv"
	"sync"
	"testing/synctest"
	"time"

	"muxd/control"
	"muxd/internal/sshtest"
)

// shore is this machine's side of forwards, in memory: what listens on it, and
// what can be connected to.
type shore struct {
	mu        sync.Mutex
	listeners map[string]*quay                    // guarded by mu
	targets   map[string]func() (net.Conn, error) // guarded by mu
}

// quay is a listener.
type quay struct {
	s    *shore
	name string
	came chan net.Conn
	over chan struct{}
	once sync.Once
}

func (q *quay) Accept() (net.Conn, error) {
	select {
	case c := <-q.came:
		return c, nil
	case <-q.over:
		return nil, net.ErrClosed
	}
}

func (q *quay) Close() error {
	q.once.Do(func() {
		close(q.over)
		q.s.mu.Lock()
		delete(q.s.listeners, q.name)
		q.s.mu.Unlock()
	})
	return nil
}

func (q *quay) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

// berth is the accepted end of a connection, which like one of TCP can be reset.
type berth struct {
	*sshtest.Conn
	mu     sync.Mutex
	resets bool // guarded by mu
}

func (b *berth) SetLinger(sec int) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.resets = sec == 0
	return nil
}

func (b *berth) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.resets {
		b.Cut()
	}
	return b.Conn.Close()
}

func (s *shore) listen(at control.Endpoint, _ control.ForwardOptions) ([]net.Listener, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listeners[at.String()] != nil {
		return nil, errors.New("listen on " + at.String() + ": address already in use")
	}
	q := &quay{s: s, name: at.String(), came: make(chan net.Conn), over: make(chan struct{})}
	s.listeners[at.String()] = q
	return []net.Listener{q}, nil
}

func (s *shore) dial(_ context.Context, _, addr string) (net.Conn, error) {
	s.mu.Lock()
	to := s.targets[addr]
	s.mu.Unlock()
	if to == nil {
		return nil, errors.New("connection refused")
	}
	return to()
}

// echoes has connections to addr come back what they send.
func (s *shore) echoes(addr string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.targets[addr] = func() (net.Conn, error) {
		a, b := sshtest.Pipe()
		go func() { io.Copy(b, b); b.Close() }()
		return a, nil
	}
}

// ashore gives the rig a shore.
func (r *rig) ashore() *shore {
	s := &shore{listeners: map[string]*quay{}, targets: map[string]func() (net.Conn, error){}}
	r.m.cfg.Listen, r.m.cfg.DialTarget = s.listen, s.dial
	return s
}

// connect is a connection to a listener that must be there.
func (s *shore) connect(name string) (*sshtest.Conn, error) {
	s.mu.Lock()
	q := s.listeners[name]
	s.mu.Unlock()
	if q == nil {
		return nil, errors.New("connection refused")
	}
	a, b := sshtest.Pipe()
	select {
	case q.came <- &berth{Conn: b}:
		return a, nil
	case <-q.over:
		return nil, errors.New("connection refused")
	}
}

func (s *shore) mustConnect(r *rig, name string) *sshtest.Conn {
	r.t.Helper()
	c, err := s.connect(name)
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

// wantsForward asks for the forwards of a command line, as a client does that goes on
// until the function is called.
func (r *rig) wantsForward(p control.Prompter, args ...string) (release func(), err error) {
	r.t.Helper()
	plan, err := r.plan(p, args...)
	if err != nil {
		r.t.Fatalf("%q: %v", args, err)
	}
	return r.m.Forward(context.Background(), plan.Forward, p)
}

func (r *rig) mustForward(args ...string) (release func()) {
	r.t.Helper()
	release, err := r.wantsForward(nil, args...)
	if err != nil {
		r.t.Fatalf("%q: %v", args, err)
	}
	return release
}

// forwards are the states of the one host's forwards.
func (r *rig) forwards() string {
	synctest.Wait()
	text := ""
	if h := r.host(); h != nil {
		for _, f := range h.status().Forwards {
			text += f.Forward.String() + " " + f.State + " " + strconv.Itoa(f.Open) + "; "
		}
	}
	return text
}

// exchange sends through a connection and reads as much back, within a minute.
func exchange(c net.Conn, text string) (string, error) {
	c.SetDeadline(time.Now().Add(time.Minute))
	if _, err := c.Write([]byte(text)); err != nil {
		return "", err
	}
	b := make([]byte, len(text))
	n, err := io.ReadFull(c, b)
	return string(b[:n]), err
}
