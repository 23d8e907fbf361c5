package forward

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"muxd/control"
)

// queue is one direction of a stream: bounded, and in a bubble its waiting is
// durable.
type queue struct {
	mu     sync.Mutex
	cond   *sync.Cond
	b      []byte
	most   int
	eof    bool // the writer said all
	broken error
}

func newQueue(most int) *queue {
	q := &queue{most: most}
	q.cond = sync.NewCond(&q.mu)
	return q
}

func (q *queue) Write(b []byte) (n int, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(b) > 0 {
		for len(q.b) >= q.most && q.broken == nil && !q.eof {
			q.cond.Wait()
		}
		if q.broken != nil {
			return n, q.broken
		}
		if q.eof {
			return n, io.ErrClosedPipe
		}
		k := min(len(b), q.most-len(q.b))
		q.b = append(q.b, b[:k]...)
		b, n = b[k:], n+k
		q.cond.Broadcast()
	}
	return n, nil
}

func (q *queue) Read(b []byte) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.b) == 0 && !q.eof && q.broken == nil {
		q.cond.Wait()
	}
	if q.broken != nil {
		return 0, q.broken
	}
	if len(q.b) == 0 {
		return 0, io.EOF
	}
	n := copy(b, q.b)
	q.b = q.b[n:]
	q.cond.Broadcast()
	return n, nil
}

func (q *queue) end() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.eof = true
	q.cond.Broadcast()
}

func (q *queue) atEnd() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.eof
}

func (q *queue) breaks(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.broken == nil {
		q.broken = err
	}
	q.cond.Broadcast()
}

// side is one end of a stream in both directions. It is a Channel, a net.Conn,
// and what stands behind either.
type side struct {
	r, w *queue

	mu    sync.Mutex
	lost  error
	hard  bool // SetLinger(0)
	ended bool
	done  chan struct{}
}

// couple returns the two ends of a stream.
func couple(most int) (a, b *side) {
	x, y := newQueue(most), newQueue(most)
	return &side{r: x, w: y, done: make(chan struct{})}, &side{r: y, w: x, done: make(chan struct{})}
}

func (s *side) Read(b []byte) (int, error)         { return s.r.Read(b) }
func (s *side) Write(b []byte) (int, error)        { return s.w.Write(b) }
func (s *side) CloseWrite() error                  { s.w.end(); return nil }
func (s *side) LocalAddr() net.Addr                { return probeFrom }
func (s *side) RemoteAddr() net.Addr               { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4711} }
func (s *side) SetDeadline(time.Time) error        { return nil }
func (s *side) SetWriteDeadline(t time.Time) error { return nil }
func (s *side) SetReadDeadline(t time.Time) error {
	time.AfterFunc(time.Until(t), func() { s.r.breaks(os.ErrDeadlineExceeded) })
	return nil
}

func (s *side) SetLinger(int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hard = true
	return nil
}

func (s *side) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return net.ErrClosed
	}
	s.ended = true
	if s.hard {
		s.w.breaks(syscall.ECONNRESET)
	}
	s.w.end()
	s.r.breaks(net.ErrClosed)
	return nil
}

func (s *side) Lost() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lost
}

// lose is the SSH connection's end: it reads as a plain end (x/crypto).
func (s *side) lose() {
	s.mu.Lock()
	s.lost = errors.New("connection lost")
	s.mu.Unlock()
	s.w.breaks(io.EOF)
	s.r.end()
	close(s.done)
}

// withDone is a Channel that says when it ended.
type withDone struct{ *side }

func (w withDone) Done() <-chan struct{} { return w.done }

// server is a scripted Server.
type server struct {
	name string
	done chan struct{}

	mu    sync.Mutex
	calls []string // with the virtual time since the first
	began time.Time
	taken map[control.Endpoint]bool // refused
	next  int                       // port to choose
	// hold has calls wait for it, nil: they do not.
	hold  chan struct{}
	deaf  bool // Unlisten is not answered
	other error
	log   *[]string
}

func newServer(name string) *server {
	return &server{name: name, done: make(chan struct{}), began: time.Now(), taken: map[control.Endpoint]bool{}, next: 40000}
}

func (s *server) note(format string, args ...any) {
	line := fmt.Sprintf("%v ", time.Since(s.began)) + fmt.Sprintf(format, args...)
	s.calls = append(s.calls, line)
	if s.log != nil {
		*s.log = append(*s.log, s.name+" "+fmt.Sprintf(format, args...))
	}
}

func (s *server) Listen(ctx context.Context, at control.Endpoint) (int, error) {
	s.mu.Lock()
	s.note("listen %s", at)
	hold := s.hold
	s.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-s.done:
			return 0, io.EOF
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case over(s):
		return 0, io.EOF
	case ctx.Err() != nil:
		return 0, ctx.Err()
	case s.other != nil:
		return 0, s.other
	case s.taken[at]:
		return 0, ErrRefused
	case at.Port == 0 && at.Path == "":
		s.next++
		return s.next, nil
	}
	return 0, nil
}

func (s *server) Unlisten(ctx context.Context, at control.Endpoint) error {
	s.mu.Lock()
	s.note("unlisten %s", at)
	deaf := s.deaf
	s.mu.Unlock()
	if deaf {
		<-ctx.Done()
		return ctx.Err()
	}
	return nil
}

func (s *server) Done() <-chan struct{} { return s.done }

func (s *server) said() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}

func (s *server) set(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

// incoming is a scripted Incoming.
type incoming struct {
	ch      Channel
	fail    error
	stuck   chan struct{} // Reject waits for it
	verdict chan string   // holds one: accepted, busy or the text
}

func newIncoming() (*incoming, *side) {
	a, b := couple(1 << 20)
	return &incoming{ch: a, verdict: make(chan string, 2)}, b
}

func (c *incoming) Accept() (Channel, error) {
	c.verdict <- "accepted"
	return c.ch, c.fail
}

func (c *incoming) Reject(busy bool, text string) {
	if c.stuck != nil {
		<-c.stuck
	}
	if busy {
		text = "busy"
	}
	c.verdict <- text
}

// fakeListener hands out what the test dials.
type fakeListener struct {
	conns  chan net.Conn
	errs   chan error
	closed chan struct{}
	once   sync.Once
}

func newFakeListener() *fakeListener {
	return &fakeListener{conns: make(chan net.Conn), errs: make(chan error), closed: make(chan struct{})}
}

func (l *fakeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case err := <-l.errs:
		return nil, err
	case <-l.closed:
		return nil, net.ErrClosed
	}
}
func (l *fakeListener) Close() error   { l.once.Do(func() { close(l.closed) }); return nil }
func (l *fakeListener) Addr() net.Addr { return probeFrom }

func (l *fakeListener) dial() *side {
	a, b := couple(1 << 16)
	l.conns <- a
	return b
}

// fixture is a Set with a world that a test scripts. In a bubble it must be
// closed before the bubble ends.
type fixture struct {
	*Set
	cfg Config

	mu      sync.Mutex
	changes []string
	told    []string
	tries   []string // attempts to listen here, with the time since the start
	began   time.Time
	taken   bool // here everything is in use
	lis     *fakeListener
	near    []*side // the channels that were opened
	far     []*side // behind the channels that were opened
	targets []*side // behind the connections that were dialled
	openErr error
	dialErr error
}

func newFixture(t testing.TB, change func(*fixture)) *fixture {
	fx := &fixture{began: time.Now()}
	fx.cfg = Config{
		Log:  slog.New(slog.DiscardHandler),
		Rand: func() float64 { return 0 },
		Open: func(ctx context.Context, to control.Endpoint, from net.Addr) (Channel, error) {
			fx.mu.Lock()
			defer fx.mu.Unlock()
			if fx.openErr != nil {
				return nil, fx.openErr
			}
			a, b := couple(1 << 16)
			fx.near, fx.far = append(fx.near, a), append(fx.far, b)
			return withDone{a}, nil
		},
		Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
			fx.mu.Lock()
			defer fx.mu.Unlock()
			if fx.dialErr != nil {
				return nil, fx.dialErr
			}
			a, b := couple(1 << 16)
			fx.targets = append(fx.targets, b)
			return a, nil
		},
		Listen: func(at control.Endpoint, _ control.ForwardOptions) ([]net.Listener, error) {
			fx.mu.Lock()
			defer fx.mu.Unlock()
			fx.tries = append(fx.tries, fmt.Sprint(time.Since(fx.began)))
			if fx.taken {
				return nil, fmt.Errorf("listen on %s: %w", at, syscall.EADDRINUSE)
			}
			fx.lis = newFakeListener()
			return []net.Listener{fx.lis}, nil
		},
		Changed: func(st control.ForwardStatus) {
			fx.mu.Lock()
			defer fx.mu.Unlock()
			fx.changes = append(fx.changes, fmt.Sprintf("%v %s %s", time.Since(fx.began), st.Forward, st.State))
		},
	}
	if change != nil {
		change(fx)
	}
	fx.Set = New(fx.cfg)
	t.Cleanup(fx.Close)
	return fx
}

func (fx *fixture) owner() *Owner {
	return &Owner{PID: 1, Tell: func(text string) {
		fx.mu.Lock()
		defer fx.mu.Unlock()
		fx.told = append(fx.told, fmt.Sprintf("%v %s", time.Since(fx.began), text))
	}}
}

// channel is the nth that was opened.
func (fx *fixture) channel(n int) *side {
	fx.mu.Lock()
	defer fx.mu.Unlock()
	return fx.near[n]
}

// seen is what was noted so far.
func (fx *fixture) seen(notes *[]string) []string {
	fx.mu.Lock()
	defer fx.mu.Unlock()
	return slices.Clone(*notes)
}

func (fx *fixture) take(yes bool) {
	fx.mu.Lock()
	defer fx.mu.Unlock()
	fx.taken = yes
}

// add is Add that must succeed.
func (fx *fixture) add(t testing.TB, f control.Forward, o *Owner) int {
	t.Helper()
	port, err := fx.Add(t.Context(), f, control.ForwardOptions{}, o, true)
	if err != nil {
		t.Fatalf("Add %s: %v", f, err)
	}
	return port
}

func (fx *fixture) state(f control.Forward) control.ForwardStatus {
	for _, st := range fx.Status() {
		if st.Forward == f {
			return st
		}
	}
	return control.ForwardStatus{}
}

func local(port int, to string) control.Forward {
	return control.Forward{Kind: control.ForwardLocal, Listen: control.Endpoint{Host: "localhost", Port: port}, Connect: control.Endpoint{Host: to, Port: 80}}
}

func dynamic(port int) control.Forward {
	return control.Forward{Kind: control.ForwardDynamic, Listen: control.Endpoint{Host: "localhost", Port: port}}
}

func remote(port int, to string) control.Forward {
	return control.Forward{Kind: control.ForwardRemote, Listen: control.Endpoint{Host: "localhost", Port: port}, Connect: control.Endpoint{Host: to, Port: 80}}
}

func remoteDynamic(port int) control.Forward {
	return control.Forward{Kind: control.ForwardRemoteDynamic, Listen: control.Endpoint{Host: "localhost", Port: port}}
}

// bubble runs a test in virtual time. The Set that it makes must be closed in
// it, which newFixture's cleanup is too late for.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

func same(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n got %q\nwant %q", what, got, want)
	}
}
