package sshlink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"muxd/control"
)

// Session is an open session channel; it implements control.Stream.
type Session struct {
	l     *Link
	user  *User
	ch    ssh.Channel
	host  string
	tty   bool
	since time.Time
	r     *control.SessionRequest
	meter *control.Meter

	display *Display // nil: it lends none
	number  int      // guarded by l.mu; in the order of their opening

	left   chan struct{} // closed when its client is gone or done is closed, whichever comes first
	leave  sync.Once     // closes left
	done   chan struct{} // closed when the channel is closed by both sides
	exited bool          // written before done is closed
	exit   control.Exit  // written before done is closed
	unsure bool          // written before done is closed; a write had failed by then
	torn   bool          // written before done is closed; the connection ended before the channel may have

	spare *spare // what its channel was before, nil if nothing

	closing closing // of its channel

	told bool // owned by sender; the command was sent a signal

	mu     sync.Mutex
	sends  []func() // guarded by mu; what sender has to do, in order
	busy   bool     // guarded by mu; sender runs
	eow    bool     // guarded by mu; the server takes no more stdin
	closed bool     // guarded by mu
	handed bool     // guarded by mu; the command was sent, or is about to be
}

// StartSession opens the channel and starts what is asked for. Environment
// needs no answer, so a command costs two round trips, open and exec, or only the
// second one on a channel that was opened ahead; a terminal costs one more, because
// whether it was granted must be known.
func (l *Link) StartSession(ctx context.Context, u *User, r *control.SessionRequest, x *Display) (*Session, error) {
	host := r.Dest.String()
	ch, reqs, sp, err := l.channel(ctx, func() { u.slow(l) })
	if err != nil {
		return nil, err
	}
	s := &Session{l: l, user: u, ch: ch, host: host, r: r, since: time.Now(), left: make(chan struct{}), done: make(chan struct{}), meter: r.Bytes, display: x,
		spare: sp, closing: closing{place: true}}
	l.addSession(s)
	l.began()
	l.Owner.Fits(l.wanted())
	if sp != nil {
		sp.use <- s
	} else {
		go s.requests(reqs)
	}
	if err := s.started(ctx, r); err != nil {
		return nil, err
	}
	return s, nil
}

// Link returns the link that the session is on.
func (s *Session) Link() *Link { return s.l }

// started has the session begin, and closes it if it does not. The user is
// released by whoever asked for it.
func (s *Session) started(ctx context.Context, r *control.SessionRequest) error {
	began := make(chan error, 1)
	go func() { began <- s.begin(r) }()
	doubted := s.l.doubts()
	for {
		select {
		case err := <-began:
			if err != nil {
				s.Close()
			}
			return err
		case <-doubted:
			// Before the command was handed over, another connection can have it.
			// After, this one's whole budget is waited for.
			if s.takeBack() {
				return ErrDoubted
			}
			doubted = nil
		case <-ctx.Done():
			phase := control.Sent
			if s.takeBack() {
				phase = control.Lost
			}
			s.Close()
			return &control.Error{Phase: phase, Host: s.host, Text: ctx.Err().Error()}
		}
	}
}

// handOver notes that the command is on its way. It reports false when the
// session was given up before.
func (s *Session) handOver() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handed = !s.closed
	return s.handed
}

// takeBack closes the session if the command was not handed over.
func (s *Session) takeBack() bool {
	s.mu.Lock()
	handed := s.handed
	if !handed {
		s.closed = true
	}
	s.mu.Unlock()
	if !handed {
		s.leaves(func() { s.ch.Close() })
	}
	return !handed
}

// begin sends env, pty-req and the request itself (RFC 4254 sections 6.2, 6.4
// and 6.5).
func (s *Session) begin(r *control.SessionRequest) error {
	if err := s.lends(r); err != nil {
		return s.ended(control.Lost, err)
	}
	for _, kv := range r.Env {
		name, value, _ := strings.Cut(kv, "=")
		payload := ssh.Marshal(struct{ Name, Value string }{name, value})
		if _, err := s.ch.SendRequest("env", false, payload); err != nil {
			return s.ended(control.Lost, err)
		}
	}
	if r.TTY != nil {
		ok, err := s.ch.SendRequest("pty-req", true, ptyRequest(r.TTY))
		if err != nil {
			return s.ended(control.Lost, err)
		}
		s.tty = ok
	}
	var payload []byte
	if r.Kind != control.Shell {
		payload = ssh.Marshal(struct{ What string }{r.Command})
	}
	if s.spare != nil && s.spare.closed(s) {
		return ErrSpareClosed
	}
	if why := s.l.Ending(); why != nil { // decided before the session was counted
		return s.ended(control.Lost, why)
	}
	if !s.handOver() {
		return ErrDoubted
	}
	s.debugf("sending %s request: %s", r.Kind, control.CleanLine(r.Command))
	ok, err := s.ch.SendRequest(string(r.Kind), true, payload)
	switch {
	case err != nil:
		return s.ended(control.Sent, err)
	case !ok && r.Kind == control.Subsystem:
		return &control.Error{Phase: control.Refused, Host: s.host, Text: fmt.Sprintf("the server has no subsystem %q", r.Command)}
	case !ok:
		return &control.Error{Phase: control.Refused, Host: s.host, Text: fmt.Sprintf("the server refused to start the %s", r.Kind)}
	}
	return nil
}

func ptyRequest(t *control.TTY) []byte {
	modes := t.Modes
	if len(modes) == 0 {
		modes = []byte{0} // TTY_OP_END: the server's defaults
	}
	return ssh.Marshal(struct {
		Term                      string
		Cols, Rows, Width, Height uint32
		Modes                     string
	}{t.Term, t.Size.Cols, t.Size.Rows, t.Size.Width, t.Size.Height, string(modes)})
}

// ended describes a failed request: either the connection died, or the server
// closed just this channel. A channel that ended before the request's answer
// gives the same error in both cases.
func (s *Session) ended(phase control.ErrorPhase, err error) error {
	if s.spare != nil && phase == control.Lost {
		return ErrSpareClosed
	}
	if lerr := s.l.Died(); lerr != nil {
		return lostError(s.host, phase, s.l, lerr)
	}
	if phase == control.Lost {
		phase = control.Refused // the connection lives: another try would meet the same
	}
	return &control.Error{Phase: phase, Host: s.host, Text: "the server closed the session: " + err.Error()}
}

// requests takes the server's requests on the channel until it is closed. It
// never blocks for long: a reply is one small packet, and 16 requests that
// nobody takes would stop the whole connection.
func (s *Session) requests(reqs <-chan *ssh.Request) {
	for r := range reqs {
		ok := true
		switch r.Type {
		case "exit-status":
			var m struct{ Status uint32 }
			if ok = ssh.Unmarshal(r.Payload, &m) == nil; ok {
				s.exit, s.exited = control.Exit{Code: m.Status}, true
			}
		case "exit-signal":
			var m struct {
				Signal  string
				Core    bool
				Message string
				Lang    string
			}
			if ok = ssh.Unmarshal(r.Payload, &m) == nil; ok {
				s.exit, s.exited = control.Exit{Signal: m.Signal, Core: m.Core, Message: m.Message}, true
			}
		case "eow@openssh.com":
			s.mu.Lock()
			s.eow = true
			s.mu.Unlock()
		default: // among them sshd's ClientAlive, which wants any answer
			ok = false
		}
		if r.WantReply {
			r.Reply(ok, nil)
		}
	}
	s.torn, s.unsure = s.l.torn(), s.l.Wire.WriteOver()
	close(s.done)
	s.l.closed(&s.closing)
	s.l.removeSession(s)
	if s.heavy() {
		s.l.Owner.Moved(s.user.Client)
	}
	s.lendNoMore() // once lender does not find it any more
	s.user.Release()
}

// debugf tells the session's own request.
func (s *Session) debugf(format string, args ...any) {
	if d := s.user.Dest; d.Verbose > 0 {
		d.Debug(s.user.P, 1, strings.TrimSpace(fmt.Sprintf(format, args...)))
	}
}

// Read implements control.Stream.
func (s *Session) Read(p []byte) (int, error) { return whole{s.ch}.Read(p) }

// Stderr implements control.Stream.
func (s *Session) Stderr() io.Reader { return whole{s.ch.Stderr()} }

// TTY implements control.Stream.
func (s *Session) TTY() bool { return s.tty }

// Write implements control.Stream.
func (s *Session) Write(p []byte) (int, error) {
	s.mu.Lock()
	eow := s.eow
	s.mu.Unlock()
	if eow {
		return 0, io.ErrClosedPipe
	}
	return s.ch.Write(p)
}

// CloseWrite implements control.Stream.
func (s *Session) CloseWrite() error { return s.ch.CloseWrite() }

// CloseRead implements control.Stream, with OpenSSH's extension: its sshd
// closes the command's stdout, so that it dies of SIGPIPE as in a local pipe.
// A server of another kind would go on for ever; there the session is closed.
func (s *Session) CloseRead() error {
	s.later(func() {
		if strings.Contains(string(s.l.Conn.ServerVersion()), "OpenSSH") {
			s.ch.SendRequest("eow@openssh.com", false, nil)
			return
		}
		s.ch.Close()
	})
	return nil
}

// Resize implements control.Stream.
func (s *Session) Resize(w control.Window) error {
	if !s.tty {
		return nil
	}
	s.later(func() { s.ch.SendRequest("window-change", false, ssh.Marshal(w)) })
	return nil
}

// Signal implements control.Stream.
func (s *Session) Signal(name string) error {
	if len(name) > maxRequest {
		return errors.New("no signal has a name as long as this")
	}
	if name == control.Break {
		s.later(func() { s.ch.SendRequest("break", false, ssh.Marshal(struct{ Millis uint32 }{breakLength})) })
		return nil
	}
	s.later(func() {
		s.told = true
		s.ch.SendRequest("signal", false, ssh.Marshal(struct{ Name string }{name}))
	})
	return nil
}

// breakLength is what OpenSSH's client asks for, in milliseconds.
const breakLength = 1000

// Close implements control.Stream.
func (s *Session) Close() error {
	s.mu.Lock()
	first := !s.closed
	s.closed = true
	s.mu.Unlock()
	if first {
		s.leaves(func() { s.hangUp(); s.ch.Close() })
		if s.user.Closed != nil {
			s.user.Closed()
		}
	}
	return nil
}

// leaves has the channel be closed. The session keeps its lease until the server
// has done the same, because until then it has its place there; but nobody's
// connection is kept for one that is late.
func (s *Session) leaves(end func()) {
	s.lendNoMore()
	s.l.closes(&s.closing, func() { readAway(s.ch); s.user.Release() })
	s.queue(end)
	s.l.drained()
}

// hangUp tells a command that its client is gone, as the loss of its terminal
// would: without one it hears nothing of it, and may run on for ever. It need
// not arrive; a command that ended takes no harm, and one that was sent a signal
// already is left to what it does about that.
func (s *Session) hangUp() {
	if s.finished() {
		return
	}
	if !s.tty && !s.told && (s.r.Kind == control.Exec || s.r.Kind == control.Shell) {
		s.ch.SendRequest("signal", false, ssh.Marshal(struct{ Name string }{"HUP"}))
	}
}

// finished reports that both sides have closed the channel.
func (s *Session) finished() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

func (s *Session) abandoned() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// later is queue for what may be dropped: a client that resizes without end on
// a stuck link.
func (s *Session) later(f func()) {
	const enough = 64
	s.mu.Lock()
	full := len(s.sends) >= enough
	s.mu.Unlock()
	if !full {
		s.queue(f)
	}
}

// queue runs f after what was asked before it, in a goroutine of the session's
// own: on a link that is stuck it blocks, and its caller, the reader of a
// client's frames, must not.
func (s *Session) queue(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sends = append(s.sends, f)
	if !s.busy {
		s.busy = true
		go s.sender()
	}
}

func (s *Session) sender() {
	for {
		s.mu.Lock()
		if len(s.sends) == 0 {
			s.busy = false
			s.mu.Unlock()
			return
		}
		f := s.sends[0]
		s.sends = s.sends[1:]
		s.mu.Unlock()
		f()
	}
}

// Wait implements control.Stream. The SSH library reports a lost connection as
// a plain end; only an exit status or signal is a command's end.
func (s *Session) Wait() (control.Exit, error) {
	<-s.done
	if s.exited && (s.torn || s.tornByWrite()) {
		return control.Exit{}, s.incomplete(s.l.Died())
	}
	if s.exited {
		s.debugf("exit status %d %s", s.exit.Code, s.exit.Signal)
		return s.exit, nil
	}
	if err := s.l.Died(); err != nil {
		return control.Exit{}, lostError(s.host, control.Running, s.l, err)
	}
	return control.Exit{}, &control.Error{Phase: control.Running, Host: s.host,
		Text: "the server closed the session without an exit status"}
}
