package main

import (
	"net"
	"sync"
	"time"
)

// delayProxy is a way of some length to one address. It adds half a round trip
// to every byte in either direction, and nothing else: what arrives meanwhile is
// held without limit, so that a sender is never slowed down, and leaves in the
// order in which it came.
//
// The kernel answers a connect at once, however far the proxy pretends to be. So
// it makes up for the round trip that a connect takes: what the client sends
// counts from then on, and the server is connected half a round trip later, when
// the client's acknowledgement would arrive.
type delayProxy struct {
	ln     net.Listener
	target string
	half   time.Duration
}

func startDelay(target string, rtt time.Duration) (*delayProxy, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &delayProxy{ln, target, rtt / 2}
	go p.serve()
	return p, nil
}

func (p *delayProxy) port() int { return p.ln.Addr().(*net.TCPAddr).Port }

// close ends the listener; connections end with their ends.
func (p *delayProxy) close() { p.ln.Close() }

func (p *delayProxy) serve() {
	for {
		c, err := p.ln.Accept()
		if err != nil {
			return
		}
		go p.carry(c, func() (net.Conn, error) { return net.Dial("tcp", p.target) })
	}
}

// carry serves one connection until both directions have ended.
func (p *delayProxy) carry(client net.Conn, dial func() (net.Conn, error)) {
	defer client.Close()
	opened := time.Now().Add(2 * p.half)
	up, down := newDelayLine(p.half), newDelayLine(p.half)
	go up.fill(client, opened)
	time.Sleep(time.Until(opened.Add(p.half)))
	server, err := dial()
	if err != nil {
		up.abandon()
		return
	}
	defer server.Close()
	go down.fill(server, time.Time{})
	var both sync.WaitGroup
	both.Go(func() { up.drain(server) })
	both.Go(func() { down.drain(client) })
	both.Wait()
}

// delayLine is one direction.
type delayLine struct {
	half time.Duration

	mu        sync.Mutex
	grown     sync.Cond
	queue     []parcel // guarded by mu
	abandoned bool     // guarded by mu; nobody will take anything any more
}

// parcel is what one read returned, and when it is to leave. The last one has no
// bytes.
type parcel struct {
	b   []byte
	due time.Time
}

// delayRead is the most that is taken at once: several packets of SSH.
const delayRead = 256 << 10

func newDelayLine(half time.Duration) *delayLine {
	l := &delayLine{half: half}
	l.grown.L = &l.mu
	return l
}

// fill reads until the sender has ended. Nothing counts as sent before opened.
func (l *delayLine) fill(from net.Conn, opened time.Time) {
	buf := make([]byte, delayRead)
	for {
		n, err := from.Read(buf)
		due := time.Now()
		if due.Before(opened) {
			due = opened
		}
		due = due.Add(l.half)
		if n > 0 && !l.put(parcel{append([]byte(nil), buf[:n]...), due}) {
			return
		}
		if err != nil {
			l.put(parcel{nil, due})
			return
		}
	}
}

// put reports whether anybody still takes parcels.
func (l *delayLine) put(p parcel) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queue = append(l.queue, p)
	l.grown.Signal()
	return !l.abandoned
}

// take waits for the next parcel.
func (l *delayLine) take() parcel {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.queue) == 0 {
		l.grown.Wait()
	}
	p := l.queue[0]
	l.queue[0].b = nil // the array may live for long
	l.queue = l.queue[1:]
	return p
}

func (l *delayLine) abandon() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.abandoned, l.queue = true, nil
}

// drain writes each parcel when it is due. An end of the sender's is passed on as
// one, so that the other direction stays open.
func (l *delayLine) drain(to net.Conn) {
	defer l.abandon()
	for {
		p := l.take()
		time.Sleep(time.Until(p.due))
		if p.b == nil {
			if half, ok := to.(interface{ CloseWrite() error }); ok {
				half.CloseWrite()
			} else {
				to.Close()
			}
			return
		}
		if _, err := to.Write(p.b); err != nil {
			to.Close() // which ends the other direction, too
			return
		}
	}
}
