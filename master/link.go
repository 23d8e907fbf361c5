package master

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"

	"muxd/alive"
	"muxd/control"
	"muxd/internal/firstkex"
	"muxd/internal/wire"
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

// errLinkDoubted ends an open that waits on a link which stopped answering.
var errLinkDoubted = errors.New("the connection does not answer")

// link is one live SSH connection. It is never revived.
type link struct {
	id      int
	conn    ssh.Conn
	wire    *wire.Conn
	log     *slog.Logger
	since   time.Time
	auth    string              // how the login went
	hostKey []byte              // what the server presented, without a certificate, in wire form
	proof   *firstkex.Proof     // of that key, in this connection; nil: not seen
	base    alive.Config        // of the destination; requests may tighten it
	tcp     *net.TCPConn        // nil for a connection of another kind
	local   netip.Addr          // this machine's address, where the connection has one
	qos     [2]int              // IPQoS: interactive, bulk; -1 leaves the system's
	leases  int                 // owned by host.run; requests that hold the link
	placed  int                 // owned by host.run; those of them that have a session's place
	paused  bool                // owned by host.run; the server is about to free a place
	classes [classCount]int     // owned by host.run; of those that placed counts
	bulk    atomic.Bool         // written by host.run; it is kept for transfers
	used    time.Time           // owned by host.run; when a request last gave it back
	warm    warm                // how its idle life is learned
	onState func(*link)         // tells the host that the state changed; never blocks
	onEvent func(control.Event) // tells whoever listens; never blocks
	update  *keyUpdate          // owned by requests; nil: nothing is learned of further host keys
	host    *host               // whose it is

	lentTo    string       // owned by host.run; the agent that sessions on it forward, "" while none does
	lends     int          // owned by host.run; how many of the leases forward it
	rejecting atomic.Int32 // refusals that the server has not taken
	lent      atomic.Int32 // channels to agents and displays, open or about to be

	// distrusted says that the host key is not the host's, and that the link
	// exists only because checking is off: it gets no agent, no X11 and no
	// forward, as in ssh.
	distrusted bool

	rtt        atomic.Int64 // nanoseconds, of the last answered probe, or of the first session's open; 0: unknown
	askedAfter atomic.Int64 // nanoseconds of silence before the last probe
	proving    atomic.Bool  // the server was asked to prove host keys, and has not answered

	kick chan struct{} // capacity 1: wakes watch
	done chan struct{} // closed when the connection ended

	mu          sync.Mutex
	state       linkState                     // guarded by mu; moved by watch, fail and the host
	err         error                         // guarded by mu; why it ended, set before done is closed
	doubted     chan struct{}                 // guarded by mu; closed while suspect, replaced when not
	configs     map[*lease]alive.Config       // guarded by mu; of the requests that live on it
	verbose     map[*lease]struct{}           // guarded by mu; of the requests that want to know
	suspect     bool                          // guarded by mu; somebody asks watch to probe now
	slept       bool                          // guarded by mu; nothing ran here for a while, watch is to know
	sessions    map[*session]struct{}         // guarded by mu; open
	numbered    int                           // guarded by mu; sessions so far
	ended       time.Time                     // guarded by mu; when the last of them did
	hops        int                           // guarded by mu; connections that go through it
	listening   map[control.Endpoint]struct{} // guarded by mu; what the server listens for, for the forwards
	moving      bool                          // guarded by mu; another link takes over what the server listens for
	spares      spares                        // guarded by mu; session channels opened ahead of use
	interactive bool                          // guarded by mu; the class that mark set
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

func (l *link) start(chans <-chan ssh.NewChannel, reqs <-chan *ssh.Request) {
	go l.channels(chans)
	go func() {
		l.requests(reqs) // ends when the connection does
		l.reap()
	}()
	go l.watch()
}

// requests answers the server's global requests. Unknown ones are answered no
// (RFC 4254 section 4).
func (l *link) requests(reqs <-chan *ssh.Request) {
	for r := range reqs {
		ok := r.Type == hostKeysRequest && l.hostKeys(r.Payload)
		if r.WantReply {
			r.Reply(ok, nil)
		}
	}
}

// reap waits for the connection's end and publishes it.
func (l *link) reap() {
	err := l.conn.Wait()
	l.mu.Lock()
	if l.err == nil {
		l.err = describeEnd(err)
	}
	from := l.state
	l.state = linkDead
	l.mu.Unlock()
	l.tellState(from.String(), linkDead, l.err)
	l.wire.Close()
	l.dropSpares()
	close(l.done)
	l.log.Info("connection ended", "err", l.err, "up", time.Since(l.since).Round(time.Second))
	l.onState(l)
}

// fail ends the connection for a reason of ours. Closing the net.Conn frees
// everything that waits on it: probes, opens, writers (the SSH library's own
// calls have no time limit).
func (l *link) fail(err error) {
	l.mu.Lock()
	if l.err == nil {
		l.err = err
	}
	l.mu.Unlock()
	l.wire.Close()
}

// Err returns why the connection ended, nil while it has not.
func (l *link) Err() error {
	select {
	case <-l.done:
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.err
	default:
		return nil
	}
}

// ending returns why the connection is to end, from the moment on that it is:
// a link is dead a little before Err tells so.
func (l *link) ending() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// usable reports a link that new work may be given. A link that is about to end
// is not: its end may not have come to the host yet.
func (l *link) usable() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state == linkReady && l.err == nil
}

// State returns where the link stands.
func (l *link) State() linkState {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state
}

// silence is how long nothing was received.
func (l *link) silence() time.Duration { return time.Since(l.wire.LastRead()) }

// drain keeps the link for the sessions it has and closes it after the last.
func (l *link) drain() { l.outOfService(false) }

// replaced is drain for a link that has a successor: it is kept, too, until the
// server has taken back what it listens for here. With the connection it would go
// some time after it, and the successor be refused the port.
func (l *link) replaced() { l.outOfService(true) }

func (l *link) outOfService(moving bool) {
	l.mu.Lock()
	l.moving = moving
	from := l.state
	if from != linkDead {
		l.state = linkDraining
	}
	l.mu.Unlock()
	if from < linkDraining {
		l.tellState(from.String(), linkDraining, nil)
	}
	l.dropSpares()
	l.drained()
}

// drained closes a link that carries nothing any more and takes nothing new: one
// that drains, or that does not answer.
func (l *link) drained() {
	l.mu.Lock()
	state, empty, moves := l.state, !l.carries(), l.moving && len(l.listening) > 0
	var why error
	switch {
	case state == linkDraining && empty && !moves:
		why = errReplaced
	case state == linkSuspect && empty:
		why = noAnswer(l.silence())
	}
	if why != nil && l.err == nil { // with the same lock: who counted first keeps it, and who comes later sees it
		l.err = why
	}
	l.mu.Unlock()
	if why != nil {
		l.fail(why)
	}
}

// carries reports whether somebody has a session on the link, or reaches another
// host through it, whose sessions would end with it. A session that was
// closed and waits for the server to say the same is nobody's: on a silent link
// it would wait for ever. Called with mu held; a session's lock comes after it.
func (l *link) carries() bool {
	for s := range l.sessions {
		if !s.abandoned() {
			return true
		}
	}
	return l.hops > 0
}

// busy is carries, and whether the server listens on it for a forward.
func (l *link) busy() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.carries() || len(l.listening) > 0
}

// endedWithin reports whether a session ended so short a while ago.
func (l *link) endedWithin(d time.Duration) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.ended.IsZero() && time.Since(l.ended) < d
}

// addHop counts a connection through the link, and with -1 its end.
func (l *link) addHop(n int) {
	l.mu.Lock()
	l.hops += n
	l.mu.Unlock()
	l.drained()
}

// holdHop counts a connection that is being opened, until the function that it
// returns is called: a link that is replaced meanwhile is kept for it.
func (l *link) holdHop() func() {
	l.addHop(1)
	return func() { l.addHop(-1) }
}

// listens notes what the server listens for.
func (l *link) listens(at control.Endpoint) {
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
func (l *link) listensNot(at control.Endpoint) {
	l.mu.Lock()
	delete(l.listening, at)
	moving := l.moving
	l.mu.Unlock()
	if moving {
		time.AfterFunc(takenBackRace, l.holdHop())
	}
}

// open opens a channel, or fails when ctx ends, the link dies or is doubted.
// The SSH library's call cannot be given up, so it runs on in a goroutine,
// whose channel, if it comes late, is closed.
func (l *link) open(ctx context.Context, slow func(), kind string, extra []byte) (ssh.Channel, <-chan *ssh.Request, error) {
	return l.openWithin(ctx, openTimeout, slow, kind, extra)
}

// unanswered is a channel open that was not answered within that time.
type unanswered time.Duration

func (d unanswered) Error() string {
	return fmt.Sprintf("the server did not answer a channel open within %v", time.Duration(d))
}

// hasten sees to an open that is slow, until the function that it returns is
// called.
func (l *link) hasten(limit time.Duration, slow func()) (stop func()) {
	doubt := time.AfterFunc(min(openDoubt, limit), l.suspicious)
	if slow == nil {
		return func() { doubt.Stop() }
	}
	late := time.AfterFunc(openSlow, slow)
	return func() { late.Stop(); doubt.Stop() }
}

// openWithin is open with a limit of its own.
func (l *link) openWithin(ctx context.Context, limit time.Duration, slow func(), kind string, extra []byte) (ssh.Channel, <-chan *ssh.Request, error) {
	if err := l.ending(); err != nil {
		return nil, nil, err
	}
	var (
		ch       ssh.Channel
		reqs     <-chan *ssh.Request
		err      error
		answered = make(chan struct{})
	)
	go func() {
		ch, reqs, err = l.ask(kind, extra)
		close(answered)
	}()
	if why := l.await(ctx, limit, slow, answered); why != nil {
		go func() {
			if <-answered; err == nil {
				go ssh.DiscardRequests(reqs)
				ch.Close()
			}
		}()
		return nil, nil, why
	}
	return ch, reqs, err
}

// ask is the library's OpenChannel. How long the first session took is how far
// the server is, until a probe tells that better.
func (l *link) ask(kind string, extra []byte) (ssh.Channel, <-chan *ssh.Request, error) {
	asked := time.Now()
	ch, reqs, err := l.conn.OpenChannel(kind, extra)
	if err == nil && kind == "session" {
		l.rtt.CompareAndSwap(0, int64(time.Since(asked)))
	}
	return ch, reqs, err
}

// await waits for the answer to a channel open. One that is slow is told to slow,
// where that is not nil, and then makes the link prove itself.
func (l *link) await(ctx context.Context, limit time.Duration, slow func(), answered <-chan struct{}) error {
	doubted := l.doubts()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	defer l.hasten(limit, slow)()
	select {
	case <-answered:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-l.done:
		// An open that the library takes in the moment of the end is never
		// answered.
		return l.Err()
	case <-doubted:
		return errLinkDoubted
	case <-timer.C:
		return unanswered(limit)
	}
}
