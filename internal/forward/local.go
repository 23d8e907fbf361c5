package forward

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"time"

	"muxd/control"
	"muxd/internal/socks"
)

// tend keeps a local forward listening until it ends. Who gave its address up
// just now, and perhaps for it, may not have closed it yet: that is no address
// in use.
func (w *forward) tend() {
	defer w.gone()
	for _, before := range w.after {
		<-before.vacated
	}
	w.after = nil
	for w.ctx.Err() == nil {
		all, err := w.set.cfg.Listen(w.want.Listen, w.how)
		if len(all) == 0 {
			w.rest(err)
		} else if l := newListeners(all); w.bound(l, err) {
			w.rest(w.accept(l))
		}
	}
}

// gone says that nothing of a forward that ended listens any more.
func (w *forward) gone() {
	w.set.mu.Lock()
	defer w.set.mu.Unlock()
	w.set.leaving = slices.DeleteFunc(w.set.leaving, func(x *forward) bool { return x == w })
	close(w.vacated)
}

// bound publishes listeners, unless the forward ended while they were made.
func (w *forward) bound(l *listeners, partly error) bool {
	w.set.mu.Lock()
	ended := w.ctx.Err() != nil
	if !ended {
		w.listening = l
		w.stands(partly)
	}
	w.set.unlock()
	if ended {
		l.close()
	}
	return !ended
}

// rest is the pause after a failure, which ends early if somebody asks for the
// forward.
func (w *forward) rest(err error) {
	w.set.mu.Lock()
	if w.ctx.Err() != nil {
		w.set.mu.Unlock()
		return
	}
	w.listening = nil
	timer := time.NewTimer(w.fails(err))
	w.set.unlock()
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-w.again:
	case <-w.ctx.Done():
	}
}

// accept serves listeners until one of them broke or the forward ended.
func (w *forward) accept(l *listeners) error {
	broke := make(chan error, len(l.all))
	for _, nl := range l.all {
		go func() { broke <- w.acceptOn(nl) }()
	}
	defer l.close()
	select {
	case err := <-broke:
		return err
	case <-w.ctx.Done():
		return nil
	}
}

// Accepting rests after a failure, because what is short then, descriptors
// mostly, is short for a while, and what waits in the backlog is not lost.
const (
	firstAcceptPause = 5 * time.Millisecond
	mostAcceptPause  = time.Second
)

// acceptOn returns when l is closed and survives any other error. An accept that
// waits for somebody shows, as one that succeeds does, that what was short is
// there again: it needs a descriptor before it looks (Linux).
func (w *forward) acceptOn(l net.Listener) error {
	var failed error // that the status shows
	for rest := time.Duration(0); ; {
		nc, err := w.acceptOne(l, failed)
		if err == nil {
			w.forget(failed)
			failed, rest = nil, 0
			w.set.comes()
			if !w.admit(nc) {
				w.set.leaves(&w.set.accepted)
				return nil
			}
			go w.serve(nc)
			continue
		}
		failed = fmt.Errorf("accept on %s: %w", w.want.Listen, cause(err))
		if w.ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
			return failed
		}
		w.remember(failed)
		rest = min(max(2*rest, firstAcceptPause), mostAcceptPause)
		select {
		case <-time.After(rest):
		case <-w.ctx.Done():
			return nil
		}
	}
}

// acceptOne accepts, and has failed forgotten once it waits for long.
func (w *forward) acceptOne(l net.Listener, failed error) (net.Conn, error) {
	if failed != nil {
		defer time.AfterFunc(mostAcceptPause, func() { w.forget(failed) }).Stop()
	}
	return l.Accept()
}

// comes counts an accepted connection, before anybody works for it.
func (s *Set) comes() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accepted++
}

// serve is one accepted connection. Until it goes through, the end of the
// forward is its end as well, unless that is spared.
func (w *forward) serve(nc net.Conn) {
	defer w.set.leaves(&w.set.accepted)
	stop := context.AfterFunc(w.coming, func() { reset(nc) })
	to, req := w.want.Connect, (*socks.Request)(nil)
	if w.want.Kind.Dynamic() {
		var err error
		if req, err = handshake(nc); err != nil {
			stop()
			if err != io.EOF { // a client that only looked whether somebody is there
				w.remember(fmt.Errorf("from %s: %w", nc.RemoteAddr(), err))
			}
			dismiss(nc)
			return
		}
		to = target(req)
	}
	w.waiting.Add(1)
	ch, err := w.set.cfg.Open(w.coming, to, nc.RemoteAddr())
	w.waiting.Add(-1)
	if err != nil {
		w.remember(fmt.Errorf("connect to %s: %w", to, err))
		if req != nil && req.Reply(nc, outcome(err)) == nil {
			dismiss(nc)
		}
		stop()
		reset(nc)
		return
	}
	if !stop() { // it was reset
		ch.Close()
		return
	}
	if req != nil {
		if err := req.Reply(nc, socks.Granted); err != nil {
			ch.Close()
			nc.Close()
			return
		}
	}
	w.remember(nil)
	w.carry(nc, ch, &w.in, &w.out)
}

// handshakeMost is how long a SOCKS client may take to say what it wants. What
// it may say is bounded by the words themselves, to 520 bytes.
const handshakeMost = 30 * time.Second

// handshake reads what the client of a dynamic forward wants.
func handshake(c io.ReadWriteCloser) (*socks.Request, error) {
	late := time.AfterFunc(handshakeMost, func() { c.Close() })
	req, err := socks.Handshake(c)
	if !late.Stop() {
		return nil, fmt.Errorf("socks: the client did not say within %v what it wants", handshakeMost)
	}
	return req, err
}

func target(r *socks.Request) control.Endpoint {
	return control.Endpoint{Host: r.Host, Port: r.Port}
}

// reset ends a connection so that its client sees an error and not an end. For
// a Unix socket the two are the same.
func reset(nc net.Conn) {
	if tcp, ok := nc.(interface{ SetLinger(int) error }); ok {
		tcp.SetLinger(0)
	}
	nc.Close()
}

// dismissMost is how long a client that was told no may take to go.
const dismissMost = time.Second

// dismiss ends a connection whose client was told why. A reset at once could
// overtake the answer, and so can a close before all was read that it sent.
func dismiss(nc net.Conn) {
	defer reset(nc)
	if half, ok := nc.(interface{ CloseWrite() error }); !ok || half.CloseWrite() != nil {
		return
	}
	nc.SetReadDeadline(time.Now().Add(dismissMost))
	io.Copy(io.Discard, nc)
}

// listeners are those of one forward's addresses.
type listeners struct {
	all    []net.Listener
	once   sync.Once
	closed chan struct{}
}

func newListeners(all []net.Listener) *listeners {
	return &listeners{all: all, closed: make(chan struct{})}
}

// close returns when all are closed, whoever does it. Their own Close would
// return at once where another one is still at it.
func (l *listeners) close() {
	first := false
	l.once.Do(func() { first = true })
	if !first {
		<-l.closed
		return
	}
	for _, nl := range l.all {
		nl.Close()
	}
	close(l.closed)
}
