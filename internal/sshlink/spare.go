package sshlink

import (
	"context"
	"errors"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// A session costs a round trip to open its channel and one to start its
// command. The first is saved by a spare: a session channel that was opened
// ahead, beside the command before. A server starts nothing on it until it is
// told what; but it counts as a session there.
//
// A link has spares only while commands follow each other, and only with a
// server that is known to bear them: OpenSSH's, until it refuses one or closes
// one. Others may start a clock, write a record or run a login for each channel.
// Spares are no use of the connection: they keep it from no end.
//
// Who takes a spare sends the command without having heard from the server, and
// what may have started is never sent again. Therefore one is handed out only
// while the connection is known to live: see spareTrust.

const (
	// spareMost is how many spares a link has at most. Whoever runs more commands
	// than that at a time is not waiting for single round trips.
	spareMost = 4
	// spareRoom is how many sessions the server has open at most, spares among
	// them, after one was opened ahead, where its limit is not known. OpenSSH's is
	// 10 by default, and it frees a place a moment after the session's end.
	spareRoom = 8
	// spareLife is how long spares are kept after the last command. One that goes
	// on for ever would keep the server from closing a connection that is not
	// used (UnusedConnectionTimeout).
	spareLife = time.Minute
	// spareTrust is how old the last byte from the server may be for a command to
	// be sent without another proof that it is there. A connection that died since
	// takes the command with it, which then may have run; one that is opened anew
	// is proved by the answer to that, and the command goes to another. Commands of
	// a script come that soon, and people's do not: for them the proof is worth its
	// round trip.
	spareTrust = 500 * time.Millisecond
	// spareAfter is how long after a command the spare for the next is opened: the
	// command goes first.
	spareAfter = time.Millisecond
)

// ErrSpareClosed is a spare that the server closed before a command was sent on
// it: it did not start, and another channel can have it.
var ErrSpareClosed = errors.New("the server closed a channel that was opened ahead")

// spare is a session channel that nobody has asked for yet. Whoever removes it
// from the link's list owns it and sends it one message by use.
type spare struct {
	l     *Link
	ready chan struct{}       // closed when the server has answered
	ch    ssh.Channel         // written before ready is closed
	reqs  <-chan *ssh.Request // written before ready is closed
	err   error               // written before ready is closed
	ended chan struct{}       // closed when the channel was, while it was a spare
	use   chan *Session       // capacity 1; the session that it becomes, nil: it is closed

	closing closing // of one that becomes no session
}

// spares are those of a link. Its fields are guarded by the link's mu.
type spares struct {
	list  []*spare    // oldest first
	want  int         // how many are kept
	asked int         // opens of sessions that are not answered
	room  int         // how many sessions there may be at the server for one of them to be opened
	off   bool        // the server bears none
	timer *time.Timer // drops them; nil before the first
}

// bearsSpares reports a server that is known to bear them.
func bearsSpares(version string) bool { return strings.HasPrefix(version, "SSH-2.0-OpenSSH") }

// channel is an open session channel and its requests. Where it was a spare, then
// that instead of the requests, and the caller has to send it its session.
func (l *Link) channel(ctx context.Context, slow func()) (ssh.Channel, <-chan *ssh.Request, *spare, error) {
	sp := l.takeSpare()
	if sp == nil {
		ch, reqs, err := l.openAsked(ctx, slow)
		if !RefusesMore(err) {
			return ch, reqs, nil, err
		}
		// It may have refused for the very spares that it has.
		if sp = l.takeSpare(); sp == nil {
			return nil, nil, nil, err
		}
		l.mu.Lock()
		l.spares.room = min(l.spares.room, l.atServer())
		l.mu.Unlock()
	}
	if err := l.await(ctx, openTimeout, slow, sp.ready); err != nil {
		sp.drop()
		return nil, nil, nil, err
	}
	if sp.err == nil {
		return sp.ch, nil, sp, nil
	}
	ch, reqs, err := l.openAsked(ctx, slow)
	return ch, reqs, nil, err
}

// openAsked opens a channel for a session that somebody waits for.
func (l *Link) openAsked(ctx context.Context, slow func()) (ssh.Channel, <-chan *ssh.Request, error) {
	l.asks(1)
	defer l.asks(-1)
	return l.open(ctx, slow, "session", nil)
}

func (l *Link) asks(n int) {
	l.mu.Lock()
	l.spares.asked += n
	l.mu.Unlock()
}

// takeSpare removes a spare from the list for a command, nil if there is none to
// be used now. One that is being opened still is as good as a channel opened for
// the purpose: its answer proves the link.
func (l *Link) takeSpare() *spare {
	trusted := l.trusted()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.state != Ready || l.err != nil {
		return nil
	}
	if len(l.spares.list) == 0 || !l.spares.list[0].answered() {
		// There are too few of them, if there are to be any.
		if l.spares.want > 0 {
			l.spares.want = min(l.spares.want+1, spareMost)
		}
	}
	for i, sp := range l.spares.list {
		if trusted || !sp.answered() {
			l.spares.list = append(l.spares.list[:i:i], l.spares.list[i+1:]...)
			return sp
		}
	}
	return nil
}

// trusted reports that the server was heard a moment ago, and since anything
// happened here that may have cut it off.
func (l *Link) trusted() bool {
	changed := l.NetworkAt.Load()
	return l.Silence() <= spareTrust && (changed == nil || l.Wire.LastRead().After(*changed))
}

func (sp *spare) answered() bool {
	select {
	case <-sp.ready:
		return true
	default:
		return false
	}
}

// began notes that a session begins, and sees to it that the next one meets a
// spare.
func (l *Link) began() {
	if !bearsSpares(string(l.Conn.ServerVersion())) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.spares.off {
		return
	}
	if l.spares.timer == nil {
		l.spares.timer = time.AfterFunc(spareLife, l.dropSpares)
	} else {
		l.spares.timer.Reset(spareLife)
	}
	l.spares.want = max(l.spares.want, 1)
	if len(l.spares.list) < l.spares.want {
		time.AfterFunc(spareAfter, l.openSpares)
	}
}

// openSpares opens as many spares as are wanted and there is room for.
func (l *Link) openSpares() {
	limit := int(l.Limit.Load())
	l.mu.Lock()
	defer l.mu.Unlock()
	room := l.spares.room
	if limit > 0 {
		room = min(room, limit-1)
	}
	open := l.atServer()
	for !l.spares.off && l.state == Ready && l.err == nil && len(l.spares.list) < l.spares.want && open < room {
		sp := &spare{l: l, ready: make(chan struct{}), ended: make(chan struct{}), use: make(chan *Session, 1)}
		l.spares.list = append(l.spares.list, sp)
		open++
		go sp.run()
	}
}

// run is a spare's goroutine from its open to its end, and then that of the
// session which it became. It takes the server's requests, which must not wait.
func (sp *spare) run() {
	sp.ch, sp.reqs, sp.err = sp.l.ask("session", nil)
	if sp.err != nil {
		sp.l.spareRefused(sp)
		sp.l.closed(&sp.closing)
		close(sp.ready)
		return
	}
	close(sp.ready)
	for {
		select {
		case s := <-sp.use:
			sp.become(s)
			return
		case r, ok := <-sp.reqs:
			if !ok {
				close(sp.ended)
				if !sp.l.spareClosed(sp) {
					sp.become(<-sp.use) // it was taken, or dropped, at that moment
				}
				return
			}
			if r.WantReply {
				r.Reply(false, nil)
			}
		}
	}
}

func (sp *spare) become(s *Session) {
	if s == nil {
		go sp.ch.Close()
		ssh.DiscardRequests(sp.reqs)
		sp.l.closed(&sp.closing)
		return
	}
	s.requests(sp.reqs)
}

// drop has a spare become nothing. It is called by whoever took it off the list.
func (sp *spare) drop() {
	sp.l.closes(&sp.closing, func() {})
	sp.use <- nil
}

// closed reports that the channel was closed, before or after s took it.
func (sp *spare) closed(s *Session) bool {
	select {
	case <-sp.ended:
		return true
	default:
		return s.finished()
	}
}

// remove takes sp off the list. It reports false when somebody else did.
// Called with mu held.
func (l *Link) remove(sp *spare) bool {
	for i, x := range l.spares.list {
		if x == sp {
			l.spares.list = append(l.spares.list[:i:i], l.spares.list[i+1:]...)
			return true
		}
	}
	return false
}

// spareRefused is a spare that the server did not open, or that ended with the
// link before. None is opened from then on that would be as many, or leave no
// place for another session.
func (l *Link) spareRefused(sp *spare) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.remove(sp)
	if oe := (*ssh.OpenChannelError)(nil); errors.As(sp.err, &oe) {
		l.spares.room = min(l.spares.room, l.atServer()-1)
		l.Log.Debug("the server refused a channel ahead of use", "room for them", l.spares.room, "err", sp.err)
	}
}

// atServer is how many sessions the server has, or is asked for. Called with mu
// held.
func (l *Link) atServer() int { return l.counted() + l.spares.asked + len(l.spares.list) }

// spareClosed is a channel that ended: by the server's will or with the link. It
// reports whether it was a spare still.
func (l *Link) spareClosed(sp *spare) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	spare := l.remove(sp)
	if spare {
		l.Log.Debug("the server closed a channel ahead of use")
		l.spares.off = true
	}
	return spare
}

// dropSpares closes the spares, and has none until the next command.
func (l *Link) dropSpares() {
	l.mu.Lock()
	list := l.spares.list
	l.spares.list, l.spares.want = nil, 0
	if l.spares.timer != nil {
		l.spares.timer.Stop()
	}
	l.mu.Unlock()
	for _, sp := range list {
		sp.drop()
	}
}
