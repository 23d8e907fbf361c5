package sshtest

import (
	"bufio"
	"context"
	"io"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"
)

// Window is a terminal's size (RFC 4254 section 6.2).
type Window struct {
	Columns, Rows, Width, Height uint32 // characters, characters, pixels, pixels
}

// PTY is what a pty-req asked for.
type PTY struct {
	Term   string
	Window Window
	Modes  map[uint8]uint32 // opcodes of RFC 4254 section 8
}

// Session is one session channel. Commands of Options.Commands use its
// streams; tests read its records, at any time.
type Session struct {
	Peer    *Peer
	Channel int       // as in Event
	In      io.Reader // what the client sends
	Out     io.Writer
	Err     io.Writer // extended data of type 1

	ch      ssh.Channel
	ctx     context.Context // ends with the channel or the command
	cancel  context.CancelFunc
	signals chan string // for wait-signal; what does not fit is recorded all the same
	killed  chan string // capacity 1: the signal that ended the command

	mu sync.Mutex // guards following fields

	how      string // "exec", "shell", "subsystem", or "" before one of them
	command  string
	traps    bool // the command handles signals itself
	env      []string
	pty      *PTY
	windows  []Window // of window-change
	received []string // signal names
	agent    bool
	x11      *X11
}

// maxSignals bounds what wait-signal has not yet taken. The request loop must
// never wait for a command, or sixteen requests later the whole connection
// stands still.
const maxSignals = 64

func (p *Peer) serveSession(id int, open ssh.NewChannel) {
	if !p.enter() {
		p.refuse(id, open, ssh.ConnectionFailed, "open failed")
		return
	}
	defer p.leave()
	ch, requests, err := open.Accept()
	if err != nil {
		return
	}
	s := &Session{
		Peer: p, Channel: id, In: bufio.NewReader(ch), Out: ch, Err: ch.Stderr(),
		ch: ch, signals: make(chan string, maxSignals), killed: make(chan string, 1),
	}
	s.ctx, s.cancel = context.WithCancel(p.ctx)
	defer s.cancel()
	p.server.mu.Lock()
	p.server.sessions = append(p.server.sessions, s)
	p.server.mu.Unlock()
	for r := range requests {
		p.note(Event{Kind: ChannelRequest, Name: r.Type, Payload: r.Payload, WantReply: r.WantReply, Channel: id})
		ok, after := s.request(r)
		r.Reply(ok, nil)
		if after != nil {
			p.server.wg.Go(after)
		}
	}
	ch.Close()
}

// enter counts a session if the limit allows it. Update may lower the limit
// below what is open; nothing is then closed, as with sshd.
func (p *Peer) enter() bool {
	limit := p.server.options().MaxSessions
	p.mu.Lock()
	defer p.mu.Unlock()
	if limit != 0 && p.open >= limit {
		return false
	}
	p.open++
	return true
}

func (p *Peer) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open--
}

// request carries out one channel request. What it returns is to run once the
// reply is out, so that no command's output overtakes it.
func (s *Session) request(r *ssh.Request) (ok bool, after func()) {
	o := s.Peer.server.options()
	switch r.Type {
	case "exec", "shell", "subsystem":
		if o.RefuseExec {
			return false, nil
		}
		return s.start(r, o)
	case "env":
		return !o.RefuseEnv && s.setEnv(r.Payload), nil
	case "pty-req":
		return !o.RefusePTY && s.setPTY(r.Payload), nil
	case "window-change":
		return s.resize(r.Payload), nil
	case "signal":
		return s.signal(r.Payload), nil
	case "auth-agent-req@openssh.com":
		s.mu.Lock()
		defer s.mu.Unlock()
		s.agent = true
		return true, nil
	case "x11-req":
		return !o.RefuseX11 && s.setX11(r.Payload), nil
	}
	return false, nil
}

func (s *Session) setEnv(payload []byte) bool {
	var m struct{ Name, Value string }
	if ssh.Unmarshal(payload, &m) != nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.env = append(s.env, m.Name+"="+m.Value)
	return true
}

func (s *Session) setPTY(payload []byte) bool {
	// Flat, because Unmarshal knows no nested structs.
	var m struct {
		Term                         string
		Columns, Rows, Width, Height uint32
		Modes                        string
	}
	if ssh.Unmarshal(payload, &m) != nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pty = &PTY{m.Term, Window{m.Columns, m.Rows, m.Width, m.Height}, modes([]byte(m.Modes))}
	return true
}

// modes decodes RFC 4254 section 8: opcodes below 160 with one uint32 each,
// ended by opcode 0 or by one that nobody can parse.
func modes(b []byte) map[uint8]uint32 {
	m := make(map[uint8]uint32)
	for len(b) >= 5 && b[0] != 0 && b[0] < 160 {
		m[b[0]] = uint32(b[1])<<24 | uint32(b[2])<<16 | uint32(b[3])<<8 | uint32(b[4])
		b = b[5:]
	}
	return m
}

func (s *Session) resize(payload []byte) bool {
	var w Window
	if ssh.Unmarshal(payload, &w) != nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.windows = append(s.windows, w)
	return true
}

// signal records a signal and delivers it: to wait-signal, or else it ends
// the command, as it would end most programs.
func (s *Session) signal(payload []byte) bool {
	var m struct{ Name string }
	if ssh.Unmarshal(payload, &m) != nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.received = append(s.received, m.Name)
	to := s.signals
	if !s.traps && s.how != "" {
		to = s.killed
	}
	select {
	case to <- m.Name:
	default:
	}
	return true
}

// Context ends with the channel, the connection, or a signal.
func (s *Session) Context() context.Context { return s.ctx }

// Request sends a channel request to the client, without reply.
func (s *Session) Request(name string, payload []byte) error {
	_, err := s.ch.SendRequest(name, false, payload)
	return err
}

// Drop closes the channel without a status.
func (s *Session) Drop() error { return s.ch.Close() }

// start begins the command of an exec, shell or subsystem request; a session
// has one (RFC 4254 section 6.5).
func (s *Session) start(r *ssh.Request, o Options) (ok bool, after func()) {
	var m struct{ Text string }
	if r.Type != "shell" && ssh.Unmarshal(r.Payload, &m) != nil {
		return false, nil
	}
	run := s.program(r.Type, m.Text, o)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.how != "" || run == nil {
		return false, nil
	}
	s.how, s.command = r.Type, m.Text
	s.traps = strings.Contains(m.Text, "wait-signal")
	return true, func() { s.supervise(run) }
}

// supervise runs the command to its end or to the signal that kills it. A
// killed command may still be reading: closing the channel frees it.
func (s *Session) supervise(run func() Exit) {
	done := make(chan Exit, 1)
	s.Peer.server.wg.Go(func() { done <- run() })
	var e Exit
	select {
	case e = <-done:
	case name := <-s.killed:
		e = Exit{Signal: name}
	}
	s.finish(e)
	s.cancel()
}

// finish reports the end as sshd does: the status, then EOF, then the close.
func (s *Session) finish(e Exit) {
	switch {
	case e.Silent:
	case e.Signal != "":
		s.Request("exit-signal", ssh.Marshal(struct {
			Name   string
			Core   bool
			Error  string
			Locale string
		}{Name: e.Signal}))
	default:
		s.Request("exit-status", ssh.Marshal(struct{ Status uint32 }{uint32(e.Status)}))
	}
	s.ch.CloseWrite()
	s.ch.Close()
}
