package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync/atomic"
	"time"

	"muxd/socket"
)

const (
	// prefaceTimeout bounds the wait for a client's preface and first request.
	// A client sends them in one write right after connect.
	prefaceTimeout = 5 * time.Second
	// scarceTimeout is that wait when descriptors are about to run out, and also
	// how long a client must have been silent to make room for another.
	scarceTimeout = 100 * time.Millisecond
	// maxGreeting bounds the connections that have not said anything yet: each
	// costs a goroutine and a descriptor for at most prefaceTimeout. Beyond it
	// the one that is silent for longest goes, so that silence keeps out nobody
	// who speaks.
	maxGreeting = 128
	// maxClients bounds the operations and connections for many under way.
	maxClients = 4096
	// lastClients is how many requests that take nothing may come beyond it:
	// whoever is refused for the crowd must be able to look at it, and to end it.
	lastClients = 64
	// stopGrace is how long the last frames may take once muxd ends: nothing for
	// a client that reads, and all that one that does not can cost.
	stopGrace = time.Second
)

// Logger is the part of *slog.Logger that the server uses. An interface,
// because log/slog brings encoding/json into every program that links it.
type Logger interface {
	Debug(msg string, args ...any)
	Info(msg string, args ...any)
	Warn(msg string, args ...any)
}

// ServerConn is an accepted connection whose peer was found to be of our uid.
type ServerConn interface {
	Conn
	// ReadFDs reads without read-ahead and returns descriptors that came along.
	ReadFDs(p []byte, max int) (n int, fds []int, err error)
	PeerPID() int
}

// scarcity is what a ServerConn may say too: that it took one of the last
// descriptors of this process. Such a client is served in place of those that
// have been silent for a while. Where there are none, it is told how muxd stands,
// or that it can do no more; whoever is served already notices nothing.
type scarcity interface{ Scarce() bool }

// errScarce is what the others are told.
var errScarce = errors.New("too many open files: muxd serves as many clients as its limit allows (ulimit -n, where muxd is started)")

// Server answers clients with a Backend. The zero value of a field that is not
// set means nothing is done there; Backend and Log must be set.
type Server struct {
	Backend Backend
	Build   string
	PID     int
	Log     Logger
	// Many starts streams on a connection whose client asked for them; nil
	// refuses such clients.
	Many func(Conn) (Streams, error)
	// Doors serve the sockets that clients ask for; nil refuses them.
	Doors Doors
	// Yield is asked to make room when a client of a later version comes, and
	// reports whether this muxd ends then; nil never does.
	Yield func() bool
	// CloseFD closes a descriptor that came with a preface and is not wanted.
	CloseFD func(int)

	greeting greetings
	clients  atomic.Int32
}

// Clients returns the number of operations under way, and of connections for
// many.
func (s *Server) Clients() int { return int(s.clients.Load()) }

// ServeConn serves one connection to its end and closes it. It is the body of
// an accept loop's goroutine. When ctx ends, so do the operation and its
// session, and the client learns it if it reads within a second.
func (s *Server) ServeConn(ctx context.Context, c ServerConn) {
	defer c.Close()
	patience, few := prefaceTimeout, false
	if sc, ok := c.(scarcity); ok && sc.Scarce() && !s.MakeRoom() {
		patience, few = scarceTimeout, true
	}
	p, err := s.greet(c, patience)
	if err == nil && p.end != nil {
		defer p.end.Close() // also where nobody comes to use it; another Close does nothing
	}
	if err == nil && few && !p.takesNothing() {
		s.refuse(c, TooBusy, errScarce.Error())
		err = errScarce
	}
	if err != nil {
		s.Log.Debug("client refused", "pid", c.PeerPID(), "err", err)
		return
	}
	room := int32(maxClients)
	if p.takesNothing() {
		room += lastClients
	}
	n := s.clients.Add(1)
	if n > room {
		s.clients.Add(-1)
		s.refuse(c, TooBusy, "too many clients")
		return
	}
	if few || n > maxClients { // nor may it stay because it does not read
		c.SetWriteDeadline(time.Now().Add(stopGrace))
	}
	defer s.clients.Add(-1)
	h := Hello{Version: Version, PID: uint32(s.PID), Text: s.Build}
	if _, err := c.Write(h.append(nil)); err != nil {
		return
	}
	if p.Flags == FlagMany {
		s.serveMany(ctx, c)
		return
	}
	o := newOperation(s, c, c.PeerPID())
	o.r.r, o.end = passing{c, &o.passed}, p.end
	rest := o.run(ctx, p.request)
	if rest != nil {
		p.request = nil
		rest(ctx)
	}
}

// MakeRoom ends the connections that have not said anything although they had
// the time to, because descriptors are about to run out, and reports whether
// there was any. It may be called from any goroutine and does not wait.
func (s *Server) MakeRoom() bool { return s.greeting.makeRoom() }

// opening is what a client begins with.
type opening struct {
	Preface
	request []byte
	end     *socket.End // what came as its one descriptor; nil when none was announced
}

// takesNothing reports a request that is answered at once and opens nothing.
func (p *opening) takesNothing() bool {
	return p.Flags == FlagOne && p.FDs == 0 && (op(p.request[0]) == opStatus || op(p.request[0]) == opStop)
}

// greet reads the preface and its request, within its patience. The refusal, if
// any, is already sent.
func (s *Server) greet(c ServerConn, patience time.Duration) (*opening, error) {
	g := s.greeting.join(c, patience)
	defer s.greeting.leave(g)
	c = &lastLook{ServerConn: c}
	var b [prefaceLen]byte
	fds, err := readFull(c, b[:])
	defer func() { s.closeAll(fds) }()
	if err != nil {
		s.refuseForRoom(c, g, patience)
		return nil, err
	}
	p, err := parsePreface(b[:])
	if err != nil {
		return nil, err // not ours: it would not understand a hello
	}
	if p.Version > Version && s.Yield != nil && s.Yield() {
		return nil, errors.New("a later version takes over") // without an answer, the request is made again
	}
	if p.Version != Version {
		s.refuse(c, WrongVersion, s.Build)
		return nil, errors.New("protocol version")
	}
	if err := p.check(); err != nil {
		s.refuse(c, Malformed, err.Error())
		return nil, err
	}
	if p.Flags == FlagMany && s.Many == nil {
		s.refuse(c, Malformed, "this muxd takes one operation on each connection")
		return nil, errors.New("streams are not served")
	}
	o := &opening{Preface: p}
	if o.request, err = readRequest(c, int(p.Length)); err != nil {
		if !s.refuseForRoom(c, g, patience) {
			s.refuse(c, Malformed, fmt.Sprintf("the request did not arrive whole within %v", patience))
		}
		return nil, err
	}
	if p.FDs > 0 {
		if o.end, err = takeEnd(fds, o.request); err != nil {
			s.refuse(c, Malformed, err.Error())
			return nil, err
		}
		fds = nil
	}
	return o, nil
}

// refuseForRoom refuses a client that was not waited for because descriptors are
// scarce, and reports whether that is why.
func (s *Server) refuseForRoom(c ServerConn, g *greeting, patience time.Duration) bool {
	switch {
	case s.greeting.isOut(g):
		s.refuse(c, TooBusy, "too many connections that say nothing")
	case patience == scarceTimeout:
		s.refuse(c, TooBusy, errScarce.Error())
	default:
		return false
	}
	return true
}

// takeEnd becomes the owner of the descriptor that came with a request, if it is
// the one that such a request may have.
func takeEnd(fds []int, request []byte) (*socket.End, error) {
	switch {
	case len(fds) != 1:
		return nil, fmt.Errorf("one descriptor was announced, and %d came", len(fds))
	case op(request[0]) != opRun:
		return nil, errors.New("a descriptor with a request that has no use for it")
	}
	return socket.TakeEnd(fds[0])
}

// readRequest reads n bytes. Memory is taken as they arrive, and not for a
// length that is only announced.
func readRequest(r io.Reader, n int) ([]byte, error) {
	b := make([]byte, 0, min(n, readBuffer))
	for len(b) < n {
		if len(b) == cap(b) {
			b = slices.Grow(b, min(len(b), n-len(b)))
		}
		m, err := r.Read(b[len(b):min(cap(b), n)])
		b = b[:len(b)+m]
		if err != nil && len(b) < n {
			return nil, unexpected(err)
		}
	}
	return b, nil
}

// readFull fills b by ReadFDs alone: a plain read would close descriptors that
// came with its bytes.
func readFull(c ServerConn, b []byte) (fds []int, err error) {
	for n := 0; n < len(b) && err == nil; {
		m, f, e := c.ReadFDs(b[n:], MaxFDs+1) // one more, to see that too many came
		n, fds, err = n+m, append(fds, f...), e
		switch {
		case n == len(b):
			return fds, nil
		case m == 0 && err == nil:
			err = io.ErrUnexpectedEOF
		}
	}
	return fds, err
}

func (s *Server) closeAll(fds []int) {
	for _, fd := range fds {
		if s.CloseFD != nil {
			s.CloseFD(fd)
		}
	}
}

// refuse says why. The hello is far smaller than a socket buffer, so the write
// cannot block on a client that does not read.
func (s *Server) refuse(c Conn, w Welcome, text string) {
	c.Write(Hello{Version: Version, Welcome: w, PID: uint32(s.PID), Text: text}.append(nil))
}
