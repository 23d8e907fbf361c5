package sshmux

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"muxd/control"
	"muxd/internal/fdio"
	"muxd/internal/term"
)

// sessionID is what names a client's session in what is said of it. Each has but
// one.
const sessionID = 1

// leaveWait is how long a terminal may take for what was to be shown there when
// its session is left.
const leaveWait = time.Second / 4

// session is a client's session or stdio forward under way.
type session struct {
	c   *client
	in  *fdio.Reader
	out *fdio.Writer
	err *stderr // nil for a stdio forward
	tty int     // the terminal, for its size; -1 for none
	esc *term.Escaper
	// leave ends the session for the person at the terminal (~.), whatever
	// becomes of it.
	leave context.CancelFunc

	mu     sync.Mutex     // guards following
	stream control.Stream // nil until it is open
	size   control.Window
}

// takeDescriptors becomes the owner of the client's descriptors, and of tty.
func (c *client) takeDescriptors(m *message, tty int) (s *session, err error) {
	s = &session{c: c, tty: tty}
	fds := m.fds
	m.fds = nil
	var errs [3]error
	s.in, errs[0] = fdio.NewReader(fds[0])
	s.out, errs[1] = fdio.NewWriter(fds[1])
	if len(fds) > 2 {
		s.err, errs[2] = newStderr(fds[2])
	}
	if err = errors.Join(errs[:]...); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// stderr is a client's standard error, which its command and we write to.
type stderr struct {
	*fdio.Writer
	mu sync.Mutex // held while one of them writes
}

func newStderr(fd int) (*stderr, error) {
	w, err := fdio.NewWriter(fd)
	if err != nil {
		return nil, err
	}
	return &stderr{Writer: w}, nil
}

func (w *stderr) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.Writer.Write(b)
}

// close lets the client's descriptors go, in the order in which their other
// users shall notice: outputs last.
func (s *session) close() {
	if s.in != nil {
		s.in.Close()
	}
	if s.out != nil {
		s.out.Close()
	}
	if s.err != nil {
		s.err.Close()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tty >= 0 {
		unix.Close(s.tty)
		s.tty = -1
	}
}

// open carries out a NEW_SESSION.
func (c *client) open(ctx context.Context, m *message) {
	r, tty := c.sessionRequest(m)
	s, err := c.takeDescriptors(m, tty)
	if err != nil {
		c.refuse(m.id, fmt.Errorf("the descriptors that came are of no use: %w", err))
		return
	}
	defer s.close()
	defer context.AfterFunc(ctx, s.close)() // its client went: nothing is read or written any more
	if r.TTY != nil {
		s.size = r.TTY.Size
		if m.escape != noEscape && m.escape <= 0xff {
			s.esc = term.NewEscaper(int(m.escape))
		}
	}
	c.mu.Lock()
	c.session = s
	c.mu.Unlock()
	v := newVisitor(c, s.err)
	defer v.end()
	// For a client with -N a master of OpenSSH opens a shell all the same, on the
	// client's input, and leaves the client's forwards standing at its end. Ours go
	// with the client, so it has to stay; with -f as well they do not, and it goes.
	idle := r.Kind == control.Shell && r.TTY == nil && c.peer.wantsNoCommand()
	var st control.Stream
	if idle {
		st, err = c.d.s.Backend.Hold(ctx, &control.HoldRequest{Dest: r.Dest, PID: r.PID}, v)
	} else {
		st, err = c.d.s.Backend.Session(ctx, r, v)
	}
	v.end()
	if err != nil {
		v.flush()
		s.close()
		c.refuse(m.id, v.refusal(err))
		return
	}
	defer st.Close()
	defer context.AfterFunc(ctx, func() { st.Close() })()
	if c.send(reply(sessionOpened, m.id, uint32(sessionID))) != nil {
		return
	}
	if r.TTY != nil && !st.TTY() {
		c.send(reply(ttyAllocFail, uint32(sessionID)))
		v.Notice("PTY allocation request failed: the session goes on without a terminal")
		s.esc = nil
	}
	here, leave := context.WithCancel(ctx)
	defer leave()
	s.leave = leave
	var exit control.Exit
	if idle && !c.peer.leaves() {
		exit, err = idles(here, st)
	} else if !idle {
		exit, err = s.carry(here, st, r.Bytes)
	}
	v.flush()
	s.close() // before the client ends, who may then read what another writes there
	if here.Err() == nil {
		c.report(exit, err)
	}
}

// sessionRequest is what a NEW_SESSION asks for, and the terminal in it. Where
// the client asks for a terminal without having one on its standard input, the
// server's own modes are better than none (all zero, as a master of OpenSSH
// sends).
func (c *client) sessionRequest(m *message) (r *control.SessionRequest, tty int) {
	want := c.d.wants()
	env := c.peer.environment(want.Env)
	agent := getenv(env, "SSH_AUTH_SOCK")
	r = &control.SessionRequest{Dest: c.dest(), Kind: control.Exec, Command: m.command, Env: m.env,
		PID: c.peer.pid, Bytes: new(control.Meter)}
	switch {
	case m.subsystem:
		r.Kind = control.Subsystem
	case m.command == "":
		r.Kind = control.Shell
	}
	if m.agent {
		r.Agent = agent
	}
	if display := getenv(env, "DISPLAY"); m.x11 && display != "" {
		x := want.X11
		x.Display = display
		r.X11 = &x
	}
	if !m.tty {
		return r, -1
	}
	r.TTY = &control.TTY{Term: m.term}
	if !term.IsTerminal(m.fds[0]) {
		return r, -1
	}
	r.TTY.Modes, _ = term.Modes(m.fds[0]) // before the client makes it raw
	r.TTY.Size = sizeOf(m.fds[0])
	tty, err := unix.FcntlInt(uintptr(m.fds[0]), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		tty = -1 // it keeps the size that it has
	}
	return r, tty
}

func sizeOf(fd int) control.Window {
	w, _ := term.Size(fd)
	return control.Window{Cols: w.Cols, Rows: w.Rows, Width: w.XPixels, Height: w.YPixels}
}

// resized tells the server the terminal's size, if it is another one.
func (s *session) resized() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tty < 0 || s.stream == nil {
		return // attach looks again
	}
	if w := sizeOf(s.tty); w != s.size && w != (control.Window{}) {
		s.size = w
		s.stream.Resize(w)
	}
}

// attach hands the open session to those who watch the terminal.
func (s *session) attach(st control.Stream) {
	s.mu.Lock()
	s.stream = st
	s.mu.Unlock()
	s.resized() // it may have changed while the session was being opened
}

// carry moves the session's bytes until it ended, or ctx does, with its client. A
// server that is told of that may take its time to agree, as sshd does while the
// command lives; what reads the stream then goes on without anybody.
func (s *session) carry(ctx context.Context, st control.Stream, m *control.Meter) (control.Exit, error) {
	s.attach(st)
	go s.input(st, m)
	var outputs sync.WaitGroup
	outputs.Go(func() {
		copyOut(st, s.out, m, func() { st.CloseRead() })
	})
	if s.err != nil {
		outputs.Go(func() { copyOut(st.Stderr(), s.err, m, nil) })
	}
	var exit control.Exit
	var err error
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		outputs.Wait()
		exit, err = st.Wait()
	}()
	select {
	case <-ended:
	case <-ctx.Done():
		return control.Exit{}, ctx.Err()
	}
	s.in.Close() // what the client's standard input has now is the next one's
	return exit, err
}

// idles is carry where nothing is carried.
func idles(ctx context.Context, st control.Stream) (control.Exit, error) {
	defer context.AfterFunc(ctx, func() { st.Close() })()
	return st.Wait()
}

// waitFor waits for all of them, but not for longer than ctx.
func waitFor(ctx context.Context, all *sync.WaitGroup) error {
	done := make(chan struct{})
	go func() { all.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// input carries what the client sends, and the escapes in it.
func (s *session) input(st control.Stream, m *control.Meter) {
	var refused error
	err := copyIn(s.in, func(b []byte) error {
		refused = s.pass(st, b, m)
		return refused
	})
	if refused != nil {
		s.in.Close() // the command reads no more: the rest is for whoever reads it next
		return
	}
	if !errors.Is(err, os.ErrClosed) {
		// Its end, or what cannot be read any more, which is the same for ssh
		// (channels.c, channel_handle_rfd): sftp's socket is reset when sftp dies with
		// something unread.
		st.CloseWrite()
	}
}

// pass hands on what the client sent, but for the escapes in it.
func (s *session) pass(st control.Stream, b []byte, m *control.Meter) error {
	if s.esc == nil {
		return write(st, b, m)
	}
	for _, ev := range s.esc.Feed(b) {
		if ev.Action == term.Pass {
			if err := write(st, ev.Bytes, m); err != nil {
				return err
			}
			continue
		}
		s.escape(st, ev)
	}
	return nil
}

func write(st control.Stream, b []byte, m *control.Meter) error {
	n, err := st.Write(b)
	m.In.Add(int64(n))
	return err
}

// escape carries out what the person at the terminal typed for us. What is shown
// goes to standard error, as in mux.c.
func (s *session) escape(st control.Stream, ev term.Event) {
	text := s.esc.Text(ev)
	switch ev.Action {
	case term.Disconnect: // open closes the stream: had that an end first, it would be told as a loss
		time.AfterFunc(leaveWait, s.leave) // it may be the terminal that takes nothing
	case term.Suspend: // it is ssh that the shell would have to stop
		text = "~^Z escape is not available to sessions of a shared connection\r\n"
	case term.List:
		text += "The following connections are open:\r\n  #0 session to " + s.c.d.dest.String() + ", held by muxd (muxd status shows the others)\r\n"
	}
	if s.err != nil {
		s.err.Write([]byte(text))
	}
	switch ev.Action {
	case term.Disconnect:
		s.leave()
	case term.Break:
		st.Signal(control.Break)
	}
}

// report says how a session ended. What was lost is told in words, and ends the
// client with 255 like everything that the words stand for.
func (c *client) report(exit control.Exit, err error) {
	switch {
	case err != nil:
		c.send(reply(failure, "muxd: "+control.CleanLine(err.Error())))
	case exit.Signal != "":
		c.send(reply(exitMessage, uint32(sessionID), uint32(128+control.SignalNumber(exit.Signal))))
	default:
		c.send(reply(exitMessage, uint32(sessionID), exit.Code))
	}
}

// refuse says why there is no session. As a plain refusal it would have ssh log
// in by itself, past the connection that it was told to use; an error of a
// session that is open does not.
func (c *client) refuse(id uint32, err error) {
	c.send(append(reply(sessionOpened, id, uint32(sessionID)), reply(failure, "muxd: "+control.CleanLine(err.Error()))...))
}
