package sshmux

import (
	"context"
	"io"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"

	"muxd/control"
)

// dest is the door's destination for a request that this client makes now.
func (c *client) dest() control.Destination {
	return c.d.dest.For(getenv(c.peer.environment(c.d.wants().Env), "SSH_AUTH_SOCK"))
}

// channelSession is a session channel of a client in proxy mode (RFC 4254
// section 6). Its requests are read by one goroutine, which waits for nothing
// else; what starts the session is carried out by another.
type channelSession struct {
	r  *relay
	ch ssh.Channel
	q  *control.SessionRequest

	env int // bytes of q.Env; of request

	mu      sync.Mutex     // guards following
	stream  control.Stream // nil until it is open
	started bool
	gone    bool // the client closed the channel
	// What was said between the start and the opening, which an outage makes long.
	size   *control.Window
	unread bool // nobody reads standard output
}

// maxEnv bounds the environment of a session, in bytes: ssh's own fits into one
// message where it is no proxy.
const maxEnv = maxMessage

func (r *relay) session(ctx context.Context, open ssh.NewChannel) {
	ch, reqs, err := open.Accept()
	if err != nil {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer ch.Close()
	s := &channelSession{r: r, ch: ch, q: &control.SessionRequest{Dest: r.c.dest(), PID: r.c.peer.pid, Bytes: new(control.Meter)}}
	var running sync.WaitGroup
	for q := range reqs {
		if start := s.request(q); start != nil {
			running.Go(func() {
				s.run(ctx, start)
				ch.Close() // which ends reqs
			})
		}
	}
	cancel() // the client closed the channel
	s.mu.Lock()
	st := s.stream
	s.gone = true
	s.mu.Unlock()
	if st != nil {
		st.Close()
	}
	running.Wait()
}

// request takes one request, and returns it if it starts the session: the answer
// comes when that is known.
func (s *channelSession) request(q *ssh.Request) (start *ssh.Request) {
	ok := false
	switch q.Type {
	case "exec", "shell", "subsystem":
		if s.start(q) {
			return q
		}
	case "window-change":
		var w struct{ Cols, Rows, Width, Height uint32 }
		if ok = ssh.Unmarshal(q.Payload, &w) == nil; ok {
			s.resize(control.Window(w))
		}
	case "signal":
		var m struct{ Name string }
		if ok = ssh.Unmarshal(q.Payload, &m) == nil; ok {
			s.on(func(st control.Stream) { st.Signal(m.Name) })
		}
	case "break":
		ok = s.on(func(st control.Stream) { st.Signal(control.Break) })
	case "eow@openssh.com":
		s.closeRead()
	default:
		ok = s.prepare(q)
	}
	if q.WantReply {
		q.Reply(ok, nil)
	}
	return nil
}

// start reports a request that starts the session. Another one does not: what was
// asked for first is being carried out.
func (s *channelSession) start(q *ssh.Request) bool {
	var m struct{ Text string }
	if q.Type != "shell" && ssh.Unmarshal(q.Payload, &m) != nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.started {
		return false
	}
	s.started = true
	s.q.Kind, s.q.Command = control.SessionKind(q.Type), m.Text
	return true
}

func (s *channelSession) resize(w control.Window) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.size = &w; s.stream != nil {
		s.stream.Resize(w)
	}
}

func (s *channelSession) closeRead() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unread = true; s.stream != nil {
		s.stream.CloseRead()
	}
}

// attach has the open session, and what was said of it meanwhile, and reports
// whether its client is still there.
func (s *channelSession) attach(st control.Stream) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stream = st
	if s.size != nil {
		st.Resize(*s.size)
	}
	if s.unread {
		st.CloseRead()
	}
	return !s.gone
}

// on does something with the open session, and reports whether there is one.
func (s *channelSession) on(f func(control.Stream)) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stream != nil {
		f(s.stream)
	}
	return s.stream != nil
}

// prepare takes what is said before the session starts.
func (s *channelSession) prepare(q *ssh.Request) bool {
	s.mu.Lock()
	late := s.started
	s.mu.Unlock()
	if late {
		return false
	}
	env := s.r.c.peer.environment(s.r.c.d.wants().Env)
	switch q.Type {
	case "env":
		var m struct{ Name, Value string }
		if ssh.Unmarshal(q.Payload, &m) != nil || strings.ContainsAny(m.Name, "=\x00") {
			return false
		}
		if s.env += len(q.Payload); s.env > maxEnv {
			return false
		}
		s.q.Env = append(s.q.Env, m.Name+"="+m.Value)
		return true
	case "pty-req":
		var m struct {
			Term                      string
			Cols, Rows, Width, Height uint32
			Modes                     string
		}
		if ssh.Unmarshal(q.Payload, &m) != nil {
			return false
		}
		s.q.TTY = &control.TTY{Term: m.Term, Size: control.Window{Cols: m.Cols, Rows: m.Rows, Width: m.Width, Height: m.Height}, Modes: []byte(m.Modes)}
		return true
	case "auth-agent-req@openssh.com", "agent-req":
		s.q.Agent = getenv(env, "SSH_AUTH_SOCK")
		return s.q.Agent != ""
	case "x11-req":
		display := getenv(env, "DISPLAY")
		if display == "" {
			return false
		}
		x := s.r.c.d.wants().X11
		x.Display = display
		s.q.X11 = &x
		return true
	}
	return false
}

// run opens the session and carries it to its end.
func (s *channelSession) run(ctx context.Context, start *ssh.Request) {
	answer := func(ok bool) {
		if start.WantReply {
			start.Reply(ok, nil)
		}
	}
	v := newVisitor(s.r.c, nil)
	st, err := s.r.c.d.s.Backend.Session(ctx, s.q, v)
	if err != nil {
		s.say(v.refusal(err))
		answer(false)
		return
	}
	defer st.Close()
	if !s.attach(st) {
		return
	}
	answer(true)
	go pass(s.ch, st, s.q.Bytes)
	var outputs sync.WaitGroup
	outputs.Go(func() { copyOut(st, s.ch, s.q.Bytes, func() { st.CloseRead() }) })
	outputs.Go(func() { copyOut(st.Stderr(), s.ch.Stderr(), s.q.Bytes, nil) })
	if waitFor(ctx, &outputs) != nil {
		return // the client closed the channel
	}
	exit, err := st.Wait()
	switch {
	case err != nil:
		s.say(err) // and no status: the client ends with 255
	case exit.Signal != "":
		s.ch.SendRequest("exit-signal", false, ssh.Marshal(struct {
			Signal  string
			Core    bool
			Message string
			Lang    string
		}{exit.Signal, exit.Core, exit.Message, ""}))
	default:
		s.ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Code uint32 }{exit.Code}))
	}
	s.ch.CloseWrite()
}

func (s *channelSession) say(err error) {
	io.WriteString(s.ch.Stderr(), "muxd: "+control.CleanLine(err.Error())+"\r\n")
}
