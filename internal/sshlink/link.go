package sshlink

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"

	"muxd/alive"
	"muxd/control"
	"muxd/internal/firstkex"
	"muxd/internal/forward"
	"muxd/internal/gate"
	"muxd/internal/hostkey"
	"muxd/internal/stuck"
	"muxd/internal/wire"
	"muxd/internal/x11"
)

// openTimeout bounds the wait for the answer to a session's open on a link that
// is not known to be silent. sshd answers in one round trip.
const openTimeout = 30 * time.Second

const (
	// openSlow is when a channel open is slow enough to tell somebody.
	openSlow = time.Second
	// openDoubt is when it makes the link prove itself.
	openDoubt = 5 * time.Second
)

// ErrDoubted ends an open that waits on a link which stopped answering.
var ErrDoubted = errors.New("the connection does not answer")

// Config is what a Link is made of, and what it shares with others of its host.
// It is not written once there is a Link.
type Config struct {
	ID      int
	Owner   Owner
	Log     *slog.Logger
	Conn    ssh.Conn
	Wire    *wire.Conn      // under Conn
	Auth    string          // how the login went
	HostKey []byte          // what the server presented, without a certificate, in wire form
	Proof   *firstkex.Proof // of that key, in this connection; nil: not seen
	// Distrusted says that the host key is not the host's, and that the link
	// exists only because checking is off: it gets no agent, no X11 and no
	// forward, as in ssh.
	Distrusted bool
	Update     *hostkey.Update // nil: nothing is learned of further host keys
	Alive      alive.Config    // of the destination; requests may tighten it
	Epoch      time.Time       // of the beat at which the timer probes, see alive.Prober.Align; zero: none
	QoS        [2]int          // IPQoS: interactive, bulk; -1 leaves the system's
	Warm       Warm            // how its idle life is learned

	Gate     *gate.Gate   // whether anything new may begin
	Forwards *forward.Set // whom the server's connections to forwards are for
	// Limit is how many sessions the server takes on a connection, as far as is
	// known; 0: nobody was refused one.
	Limit *atomic.Int32
	// NetworkAt is when the network last changed or this machine woke; nil: never.
	NetworkAt *atomic.Pointer[time.Time]
	// DialAgent and DialDisplay connect to what is lent.
	DialAgent   func(ctx context.Context, socket string) (net.Conn, error)
	DialDisplay func(ctx context.Context, d x11.Display) (net.Conn, error)
}

// Owner is told what happens on a link. Its methods never block.
type Owner interface {
	// Changed says that the link's State is another one.
	Changed()
	// Tell passes on what is to be told of the link to whoever listens. It may be called
	// with the link's lock held, and must not call the link.
	Tell(e control.Event)
	// Opened makes a User of the channel that the server opened, which nobody waits
	// for and which is accepted.
	Opened(c ssh.NewChannel) *User
	// Fits says that the server has so many sessions open on the link.
	Fits(sessions int)
	// Moved says that a session of that client ended which had moved much.
	Moved(client int)
	// Wears says that the server is late to close a channel: the link may be Worn.
	Wears()
}

// Link is one live SSH connection. It is never revived.
type Link struct {
	Config
	Since time.Time
	tcp   *net.TCPConn // nil for a connection of another kind

	rejecting atomic.Int32 // refusals that the server has not taken
	lent      atomic.Int32 // channels to agents and displays, open or about to be

	rtt        atomic.Int64 // nanoseconds, of the last answered probe, before it of a session's open; 0: unknown
	probed     atomic.Bool  // a probe was answered
	asked      atomic.Int64 // sessions that the server opened
	askedAfter atomic.Int64 // nanoseconds of silence before the last probe
	proving    atomic.Bool  // the server was asked to prove host keys, and has not answered

	kick chan struct{} // capacity 1: wakes watch
	done chan struct{} // closed when the connection ended

	updated bool    // owned by requests; the server has said which host keys it has
	library library // what is known of the SSH library's part of it

	mu          sync.Mutex
	state       State                         // guarded by mu; moved by watch, reap and the owner
	err         error                         // guarded by mu; why it ended, set before done is closed
	byItself    bool                          // guarded by mu; and that was nothing of ours
	doubted     chan struct{}                 // guarded by mu; closed while suspect, replaced when not
	configs     map[*User]alive.Config        // guarded by mu; of the requests that live on it
	verbose     map[*User]struct{}            // guarded by mu; of the requests that want to know
	suspect     bool                          // guarded by mu; somebody asks watch to probe now
	slept       bool                          // guarded by mu; nothing ran here for a while, watch is to know
	sessions    map[*Session]struct{}         // guarded by mu; open
	numbered    int                           // guarded by mu; sessions so far
	ended       time.Time                     // guarded by mu; when the last of them did
	hops        int                           // guarded by mu; connections that go through it
	listening   map[control.Endpoint]struct{} // guarded by mu; what the server listens for, for the forwards
	moving      bool                          // guarded by mu; another link takes over what the server listens for
	spares      spares                        // guarded by mu; session channels opened ahead of use
	unclosed    unclosed                      // guarded by mu; channels that the server has still to close
	interactive bool                          // guarded by mu; the class that mark set
}

// New returns a link over a connection that is logged in. It does nothing before
// Start.
func New(c Config) *Link {
	l := &Link{Config: c, Since: time.Now(), kick: make(chan struct{}, 1), done: make(chan struct{}), doubted: make(chan struct{}),
		configs: map[*User]alive.Config{}, verbose: map[*User]struct{}{}, sessions: map[*Session]struct{}{}, listening: map[control.Endpoint]struct{}{},
		spares: spares{room: spareRoom}}
	l.Conn = inTurn{c.Conn, make(chan struct{}, 1)}
	l.tcp, _ = c.Wire.Conn.(*net.TCPConn)
	return l
}

// inTurn is a connection whose global requests wait for their turn before the
// library's lock, which is held until the one before is answered: a goroutine
// that waits for a lock stops the clock of a test in virtual time.
type inTurn struct {
	ssh.Conn
	turn chan struct{} // capacity 1
}

// SendRequest implements ssh.Conn. When the connection ends the turns come all at
// once.
func (c inTurn) SendRequest(name string, wantReply bool, payload []byte) (bool, []byte, error) {
	if wantReply {
		c.turn <- struct{}{}
		defer func() { <-c.turn }()
	}
	return c.Conn.SendRequest(name, wantReply, payload)
}

// inner is the SSH library's own connection.
func (l *Link) inner() ssh.Conn {
	if in, ok := l.Conn.(inTurn); ok {
		return in.Conn
	}
	return l.Conn
}

// Start begins to serve what the server opens and asks, and to watch whether it
// is there.
func (l *Link) Start(chans <-chan ssh.NewChannel, reqs <-chan *ssh.Request) {
	l.tell("", Ready, nil)
	go l.channels(chans)
	go func() {
		l.requests(reqs) // ends when the connection does
		l.reap()
	}()
	go l.watch()
}

// requests answers the server's global requests. Unknown ones are answered no
// (RFC 4254 section 4).
func (l *Link) requests(reqs <-chan *ssh.Request) {
	for r := range reqs {
		ok := r.Type == hostKeysRequest && l.hostKeys(r.Payload)
		if r.WantReply {
			r.Reply(ok, nil)
		}
	}
}

// reap waits for the connection's end and publishes it.
func (l *Link) reap() {
	err := l.wait()
	l.mu.Lock()
	if l.err == nil {
		l.err, l.byItself = describeEnd(err), true
	}
	from := l.state
	l.state = Dead
	l.mu.Unlock()
	l.tell(from.String(), Dead, l.err) // without the lock: it is the last there is to tell
	l.Wire.Close()
	l.dropSpares()
	close(l.done)
	l.Log.Info("connection ended", "err", l.err, "up", time.Since(l.Since).Round(time.Second))
	l.Owner.Changed()
}

// errBroken is what is known of an end that the library does not tell.
var errBroken = errors.New("the server broke the SSH protocol")

// brokenAfter is how long the library has to say how a connection ended that it
// closed, and once more when it was helped.
const brokenAfter = 2 * time.Second

// wait is the library's Wait, but for a server that breaks the protocol and goes on
// sending, for which see stuck.Reader.
func (l *Link) wait() error {
	ended := make(chan error, 1)
	go func() {
		err := l.Conn.Wait()
		freeOpens(l.Conn)
		ended <- err
	}()
	select {
	case err := <-ended:
		return err
	case <-l.Wire.Closed():
	}
	for _, help := range []func(){func() {}, func() { stuck.Reader(l.inner()) }} {
		go help()
		t := time.NewTimer(brokenAfter)
		select {
		case err := <-ended:
			t.Stop()
			return err
		case <-t.C:
		}
	}
	return errBroken
}

// Fail ends the connection for a reason of ours. Closing the net.Conn frees
// everything that waits on it: probes, opens, writers (the SSH library's own
// calls have no time limit).
func (l *Link) Fail(err error) {
	l.mu.Lock()
	if l.err == nil {
		l.err = err
	}
	l.mu.Unlock()
	l.Wire.Close()
}

// Err returns why the connection ended, nil while it has not.
func (l *Link) Err() error {
	select {
	case <-l.done:
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.err
	default:
		return nil
	}
}

// Ending returns why the connection is to end, from the moment on that it is:
// a link is dead a little before Err tells so.
func (l *Link) Ending() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// Usable reports a link that new work may be given. A link that is about to end
// is not: its end may not have come to the host yet.
func (l *Link) Usable() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state == Ready && l.err == nil
}

// State returns where the link stands.
func (l *Link) State() State {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state
}

// Silence is how long nothing was received.
func (l *Link) Silence() time.Duration { return time.Since(l.Wire.LastRead()) }

// Drain keeps the link for the sessions it has and closes it after the last.
func (l *Link) Drain() { l.outOfService(false) }

// Replaced is drain for a link that has a successor: it is kept, too, until the
// server has taken back what it listens for here. With the connection it would go
// some time after it, and the successor be refused the port.
func (l *Link) Replaced() { l.outOfService(true) }

func (l *Link) outOfService(moving bool) {
	l.mu.Lock()
	l.moving = moving
	if l.state < Draining {
		l.move(Draining)
	}
	l.mu.Unlock()
	l.dropSpares()
	l.drained()
}

// drained closes a link that carries nothing any more and takes nothing new: one
// that drains, or that does not answer.
func (l *Link) drained() {
	l.mu.Lock()
	state, empty, moves := l.state, !l.carries(), l.moving && len(l.listening) > 0
	var why error
	switch {
	case l.Wire.ReadOver(): // it ended by itself, which is why it is empty: reap says how
	case state == Draining && empty && !moves:
		why = ErrReplaced
	case state == Suspect && empty:
		why = NoAnswer(l.Silence())
	}
	if why != nil && l.err == nil { // with the same lock: who counted first keeps it, and who comes later sees it
		l.err = why
	}
	l.mu.Unlock()
	if why != nil {
		l.Wire.Close()
	}
}

// carries reports whether somebody has a session on the link, or reaches another
// host through it, whose sessions would end with it. A session that was
// closed and waits for the server to say the same is nobody's: on a silent link
// it would wait for ever. Called with mu held; a session's lock comes after it.
func (l *Link) carries() bool {
	for s := range l.sessions {
		if !s.abandoned() {
			return true
		}
	}
	return l.hops > 0
}

// Busy is carries, and whether the server listens on it for a forward.
func (l *Link) Busy() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.carries() || len(l.listening) > 0
}

// EndedWithin reports whether a session ended so short a while ago.
func (l *Link) EndedWithin(d time.Duration) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.ended.IsZero() && time.Since(l.ended) < d
}

// addHop counts a connection through the link, and with -1 its end.
func (l *Link) addHop(n int) {
	l.mu.Lock()
	l.hops += n
	l.mu.Unlock()
	l.drained()
}

// holdHop counts a connection that is being opened, until the function that it
// returns is called: a link that is replaced meanwhile is kept for it.
func (l *Link) holdHop() func() {
	l.addHop(1)
	return func() { l.addHop(-1) }
}

// listens notes what the server listens for.
func (l *Link) listens(at control.Endpoint) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.listening[at] = struct{}{}
}

// takenBackRace is long against a goroutine switch on a loaded machine, and nobody
// waits for it.
const takenBackRace = 200 * time.Millisecond

// listensNot notes that it does not any more, or does not say. What the server had
// accepted before it opened before it said so; but the SSH library hands opens
// and answers to different goroutines, and the link must not go in between.
func (l *Link) listensNot(at control.Endpoint) {
	l.mu.Lock()
	delete(l.listening, at)
	moving := l.moving
	l.mu.Unlock()
	if moving {
		time.AfterFunc(takenBackRace, l.holdHop())
	}
}

// move moves the link to another state of its life, and tells of it; mu is held, so
// that what happens to it is told in the order in which it happens.
func (l *Link) move(to State) {
	from := l.state
	l.state = to
	l.tell(from.String(), to, nil)
}

// tell tells that the link moved from one state to another.
func (l *Link) tell(from string, to State, why error) {
	e := control.Event{Time: time.Now(), Kind: control.EventLink, Link: l.ID, From: from, To: to.String()}
	if to == Suspect || to == Dead {
		e.Silence = l.Silence()
	}
	if why != nil {
		e.Text = why.Error()
	}
	l.Owner.Tell(e)
}
