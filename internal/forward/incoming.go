package forward

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"syscall"
	"time"

	"muxd/control"
	"muxd/internal/socks"
)

// Bounds of what a server can have us do at once. A busy web server behind a
// remote forward stays below; what is above is told that there is no room.
const (
	mostConnecting = 256  // connections being made
	mostIncoming   = 2048 // connections in any state
	mostRefusing   = 1024 // refusals that the server has not taken
)

// dialMost bounds the connect to where a remote forward leads: while it lasts it
// holds one of mostConnecting places, and the system would try for two minutes.
const dialMost = 30 * time.Second

// errNotAsked is the answer to a connection that nobody asked for.
var errNotAsked = errors.New("not forwarded")

// Incoming takes a channel that srv opens for a connection to one of its
// listeners (RFC 4254 section 7.2). Only what was asked of that very server is
// served, host and path as they were asked for and the port as it was chosen;
// what was not asked for is rejected. At most 256 are being connected and 2048
// open at once, and beyond that the server is told that there is no room.
//
// It returns at once, whatever becomes of the channel. Only behind 1024
// refusals that a server does not take it waits for the next to be taken: a
// server that goes on asking and does not read is itself all that this stops.
func (s *Set) Incoming(srv Server, at control.Endpoint, from string, c Incoming) {
	s.mu.Lock()
	w, asked := s.match(srv, at)
	busy := s.connecting >= mostConnecting || s.incoming >= mostIncoming
	ok := s.ctx.Err() == nil && (w != nil || asked != nil)
	if ok && !busy {
		s.connecting++
		s.incoming++
	}
	s.mu.Unlock()
	switch {
	case !ok:
		s.cfg.Log.Debug("forward: the server opens what nobody asked for", "at", at.String(), "from", from)
		s.refuse(c, false, errNotAsked.Error())
	case busy:
		s.refuse(c, true, "too many connections")
	default:
		go s.take(srv, w, asked, at, c)
	}
}

// refuse rejects in a goroutine of its own: the answer is written to the
// connection, and whoever called must not wait for that.
func (s *Set) refuse(c Incoming, busy bool, text string) {
	s.mu.Lock()
	full := s.refusing >= mostRefusing
	if !full {
		s.refusing++
	}
	s.mu.Unlock()
	if full {
		c.Reject(busy, text)
		return
	}
	go func() {
		c.Reject(busy, text)
		s.mu.Lock()
		s.refusing--
		s.mu.Unlock()
	}()
}

// match is the forward for which srv listens at at, or did until a moment ago:
// what it had accepted then comes still; mu is held. Where srv was
// asked for one and is yet to say which port it chose, the answer may be on its
// way to here: then asked is closed once it came.
func (s *Set) match(srv Server, at control.Endpoint) (w *forward, asked chan struct{}) {
	for _, f := range s.list {
		if !f.want.Kind.Remote() || f.on != srv && f.asking != srv && f.left != srv {
			continue
		}
		mine := f.at()
		switch {
		case sameListen(mine, at) && f.on == srv:
			return f, nil
		case sameListen(mine, at) && w == nil:
			w = f
		case mine.Port == 0 && f.asking == srv && sameListen(mine, control.Endpoint{Host: at.Host, Path: at.Path}):
			asked = f.asked
		}
	}
	return w, asked
}

// sameListen compares what was asked for with what the server says. It is asked
// for every address by an empty host (RFC 4254 section 7.1), which is "*" here.
func sameListen(a, b control.Endpoint) bool {
	if a.Host == "*" {
		a.Host = ""
	}
	if b.Host == "*" {
		b.Host = ""
	}
	return a == b
}

// take is one incoming channel from here to its end. It holds a place among
// those being connected until it is, or says more by itself.
func (s *Set) take(srv Server, w *forward, asked chan struct{}, at control.Endpoint, c Incoming) {
	connected := sync.OnceFunc(func() { s.leaves(&s.connecting) })
	defer s.leaves(&s.incoming)
	defer connected()
	if w == nil {
		select {
		case <-asked:
		case <-s.ctx.Done():
		}
		s.mu.Lock()
		w, _ = s.match(srv, at)
		s.mu.Unlock()
	}
	if w == nil {
		c.Reject(false, errNotAsked.Error())
		return
	}
	if w.want.Kind == control.ForwardRemoteDynamic {
		ch, err := c.Accept()
		connected()
		if err == nil {
			w.takeDynamic(ch)
		}
		return
	}
	nc, err := w.dialFor(w.want.Connect)
	w.remember(err)
	if err != nil {
		c.Reject(errors.Is(err, errScarce), err.Error())
		return
	}
	ch, err := c.Accept()
	connected()
	if err != nil {
		reset(nc)
		return
	}
	w.carry(nc, ch, &w.out, &w.in)
}

func (s *Set) leaves(n *int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	*n--
}

// takeDynamic is a channel of a remote dynamic forward, whose client says by
// SOCKS where it goes.
func (w *forward) takeDynamic(ch Channel) {
	stop := context.AfterFunc(w.coming, func() { ch.Close() })
	defer stop()
	req, err := handshake(ch)
	if err != nil {
		w.remember(err)
		ch.Close()
		return
	}
	nc, o, err := w.connect(target(req))
	w.remember(err)
	if rerr := req.Reply(ch, o); err != nil || rerr != nil || !stop() {
		ch.Close()
		if nc != nil {
			reset(nc)
		}
		return
	}
	w.carry(nc, ch, &w.out, &w.in)
}

// connect makes the connection that a client of the server's side asked for, if
// it may and there is room.
func (w *forward) connect(to control.Endpoint) (net.Conn, socks.Outcome, error) {
	if !permitted(w.how.Permit, to) {
		return nil, socks.NotAllowed, fmt.Errorf("connect to %s: PermitRemoteOpen does not permit it", to)
	}
	s := w.set
	s.mu.Lock()
	full := s.connecting >= mostConnecting
	if !full {
		s.connecting++
	}
	s.mu.Unlock()
	if full {
		return nil, socks.Failed, fmt.Errorf("connect to %s: too many connections are being made", to)
	}
	defer s.leaves(&s.connecting)
	nc, err := w.dialFor(to)
	return nc, dialOutcome(err), err
}

// dialFor is dial for a connection that came.
func (w *forward) dialFor(to control.Endpoint) (net.Conn, error) {
	w.waiting.Add(1)
	defer w.waiting.Add(-1)
	return w.dial(w.coming, to)
}

// dial connects to a target on this side.
func (w *forward) dial(ctx context.Context, to control.Endpoint) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialMost)
	defer cancel()
	network, addr := "unix", to.Path
	if to.Path == "" {
		if network = w.how.Network; network == "" {
			network = "tcp"
		}
		addr = net.JoinHostPort(to.Host, strconv.Itoa(to.Port))
	}
	nc, err := w.set.cfg.Dial(ctx, network, addr)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", to, cause(err))
	}
	if scarce(nc) {
		reset(nc)
		return nil, fmt.Errorf("connect to %s: %w", to, errScarce)
	}
	return nc, nil
}

func dialOutcome(err error) socks.Outcome {
	var lookup *net.DNSError
	switch {
	case err == nil:
		return socks.Granted
	case errors.Is(err, syscall.ECONNREFUSED):
		return socks.Refused
	case errors.As(err, &lookup), errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH),
		errors.Is(err, syscall.ETIMEDOUT), errors.Is(err, context.DeadlineExceeded):
		return socks.Unreachable
	}
	return socks.Failed
}
