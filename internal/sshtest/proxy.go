package sshtest

import (
	"errors"
	"io"
	"maps"
	"net"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Direction names one or both directions through a Proxy.
type Direction int

// The directions: Up is from the client to the target.
const (
	Up Direction = 1 << iota
	Down
	Both = Up | Down
)

// Proxy passes TCP connections on to a target and fails as told. Its methods
// may be called from any goroutine; it ends with the test.
type Proxy struct {
	Addr string // where it listens, the same for life

	t  testing.TB
	wg sync.WaitGroup

	mu       sync.Mutex
	changed  *sync.Cond // on mu; broadcast when flow changes
	target   string     // guarded by mu, as is all below
	listener net.Listener
	pairs    map[*pair]bool
	stalled  Direction
	delay    time.Duration
	left     [2]int64 // bytes until a cut, up and down; negative: no cut
	closed   bool
}

// pair is one connection through the proxy. What it holds is set at birth.
type pair struct {
	client, target *net.TCPConn
	once           sync.Once
	gone           chan struct{} // closed by end
}

// chunk is what was read at once and when it may be written.
type chunk struct {
	data []byte
	due  time.Time
}

// A delayed direction holds up to chunkCount chunks of chunkSize bytes: 2 MiB,
// one SSH window, so that a delay is no limit to the rate of one channel.
const (
	chunkSize  = 32 << 10
	chunkCount = 64
)

// NewProxy listens on a loopback port and passes what comes to the target
// ("host:port").
func NewProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	p := &Proxy{t: t, target: target, pairs: make(map[*pair]bool), left: [2]int64{-1, -1}}
	p.changed = sync.NewCond(&p.mu)
	for range startAttempts {
		p.Addr = loopback(FreePort(t))
		if p.listen() == nil {
			t.Cleanup(p.close)
			return p
		}
	}
	t.Fatal("no port for the proxy")
	return nil
}

func (p *Proxy) listen() error {
	ln, err := net.Listen("tcp", p.Addr)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.listener = ln
	p.wg.Go(func() { p.accept(ln) })
	return nil
}

func (p *Proxy) accept(ln net.Listener) {
	for {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		p.wg.Go(func() { p.connect(conn.(*net.TCPConn)) })
	}
}

// connect dials the target; one that refuses resets the client.
func (p *Proxy) connect(client *net.TCPConn) {
	p.mu.Lock()
	target := p.target
	p.mu.Unlock()
	far, err := net.DialTimeout("tcp", target, 10*time.Second)
	if err != nil {
		reset(client)
		return
	}
	c := &pair{client: client, target: far.(*net.TCPConn), gone: make(chan struct{})}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		c.end(reset)
		return
	}
	p.pairs[c] = true
	var up, down = make(chan struct{}), make(chan struct{})
	p.wg.Go(func() { defer close(up); p.copy(c, c.client, c.target, Up) })
	p.wg.Go(func() { defer close(down); p.copy(c, c.target, c.client, Down) })
	p.wg.Go(func() { <-up; <-down; p.forget(c, func(c *net.TCPConn) { c.Close() }) })
}

// forget ends a pair, in the manner given unless it has ended before.
func (p *Proxy) forget(c *pair, how func(*net.TCPConn)) {
	c.end(how)
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.pairs, c)
	p.changed.Broadcast()
}

// end closes both sides once.
func (c *pair) end(how func(*net.TCPConn)) {
	c.once.Do(func() {
		close(c.gone)
		how(c.client)
		how(c.target)
	})
}

// reset closes with a RST: no time to linger drops what is unsent.
func reset(c *net.TCPConn) { c.SetLinger(0); c.Close() }

// copy moves one direction. The reader runs ahead of the writer by what the
// channel holds, so that a delay adds up for no byte.
func (p *Proxy) copy(c *pair, from, to *net.TCPConn, d Direction) {
	chunks := make(chan chunk, chunkCount)
	var cause error // of the end of reading; set before chunks is closed
	p.wg.Go(func() {
		defer close(chunks)
		for cause == nil {
			cause = p.readOne(c, from, chunks)
		}
	})
	var err error
	for k := range chunks {
		if err == nil {
			err = p.writeOne(c, to, k, d)
		}
	}
	// The end, in order or by reset, waits behind a stall as the bytes do.
	switch {
	case err != nil || !p.pass(c, d):
	case errors.Is(cause, io.EOF):
		to.CloseWrite()
	default:
		p.forget(c, reset)
	}
}

var errGone = errors.New("the connection through the proxy has ended")

func (p *Proxy) readOne(c *pair, from *net.TCPConn, chunks chan<- chunk) error {
	data := make([]byte, chunkSize)
	n, err := from.Read(data)
	if n == 0 {
		return err
	}
	p.mu.Lock()
	due := time.Now().Add(p.delay)
	p.mu.Unlock()
	select {
	case chunks <- chunk{data[:n], due}:
		return err
	case <-c.gone:
		return errGone
	}
}

func (p *Proxy) writeOne(c *pair, to *net.TCPConn, k chunk, d Direction) error {
	t := time.NewTimer(time.Until(k.due))
	defer t.Stop()
	select {
	case <-t.C:
	case <-c.gone:
		return errGone
	}
	if !p.pass(c, d) {
		return errGone
	}
	n, cut := p.spend(len(k.data), d)
	_, err := to.Write(k.data[:n])
	if cut {
		p.forget(c, reset)
	}
	return err
}

// pass waits until the direction flows, and says whether the pair is alive.
func (p *Proxy) pass(c *pair, d Direction) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.stalled&d != 0 && p.pairs[c] {
		p.changed.Wait()
	}
	return p.pairs[c]
}

// spend says how many of n bytes may pass, and whether a cut follows them.
func (p *Proxy) spend(n int, d Direction) (int, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	left := &p.left[d-1]
	if *left < 0 {
		return n, false
	}
	n = int(min(int64(n), *left))
	*left -= int64(n)
	if *left > 0 {
		return n, false
	}
	*left = -1
	return n, true
}

// Cut resets every connection, both sides of it (RST).
func (p *Proxy) Cut() { p.endAll(reset) }

// CloseAll closes every connection in order (FIN).
func (p *Proxy) CloseAll() { p.endAll(func(c *net.TCPConn) { c.Close() }) }

func (p *Proxy) endAll(how func(*net.TCPConn)) {
	p.mu.Lock()
	list := slices.Collect(maps.Keys(p.pairs))
	p.mu.Unlock()
	for _, c := range list {
		p.forget(c, how)
	}
}

// CutAfter resets the connection that carries the nth byte from now in a
// direction, Up or Down, counted over all connections, behind that byte. No
// byte more arrives; fewer may, where the receiver does not keep up, because a
// reset drops what is still to be sent.
func (p *Proxy) CutAfter(d Direction, n int64) {
	if n <= 0 {
		p.Cut()
		return
	}
	p.set(func() { p.left[d-1] = n })
}

// Stall lets nothing more through, ends of connections included, in a
// direction or both; up to chunkCount chunks and the kernel's buffers fill.
// New connections are accepted and as silent.
func (p *Proxy) Stall(d Direction) { p.set(func() { p.stalled |= d }) }

// Resume ends Stall in a direction or both; nothing was lost.
func (p *Proxy) Resume(d Direction) { p.set(func() { p.stalled &^= d }) }

// Delay makes every byte that is read from now on arrive d later, in both
// directions; zero ends it.
func (p *Proxy) Delay(d time.Duration) { p.set(func() { p.delay = d }) }

// Retarget sends connections to come elsewhere ("host:port").
func (p *Proxy) Retarget(target string) { p.set(func() { p.target = target }) }

func (p *Proxy) set(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
	p.changed.Broadcast()
}

// relisten is how long the address may still be taken that was left a moment ago:
// a child that a test starts has the old listener until its exec.
const relisten = 20 * time.Second

// Refuse makes new connections fail with "connection refused", or ends that;
// the address stays the same. Established ones are not touched.
func (p *Proxy) Refuse(refuse bool) {
	p.mu.Lock()
	ln := p.listener
	if refuse {
		p.listener = nil
	}
	p.mu.Unlock()
	switch {
	case refuse && ln != nil:
		ln.Close()
	case !refuse && ln == nil:
		err := p.listen()
		for end := time.Now().Add(relisten); errors.Is(err, syscall.EADDRINUSE) && time.Now().Before(end); err = p.listen() {
			time.Sleep(10 * time.Millisecond)
		}
		if err != nil {
			p.t.Errorf("proxy listens no more: %v", err)
		}
	}
}

// Conns returns how many connections go through now.
func (p *Proxy) Conns() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.pairs)
}

func (p *Proxy) close() {
	p.set(func() { p.closed = true })
	p.Refuse(true)
	p.Cut()
	p.wg.Wait()
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
