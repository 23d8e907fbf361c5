package sshmux

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"muxd/control"
	"muxd/control/controltest"
)

var errLost = &control.Error{Phase: control.Running, Host: "h", Text: "the connection was lost"}

// How a session ended is told once, when both outputs are read and the client's
// descriptors are closed, and then the socket ends.
func TestExit(t *testing.T) {
	for _, c := range []struct {
		name string
		exit control.Exit
		err  error
		kind kind
		says []any
	}{
		{"0", control.Exit{}, nil, exitMessage, []any{uint32(sessionID), uint32(0)}},
		{"1", control.Exit{Code: 1}, nil, exitMessage, []any{uint32(sessionID), uint32(1)}},
		{"255", control.Exit{Code: 255}, nil, exitMessage, []any{uint32(sessionID), uint32(255)}},
		{"300", control.Exit{Code: 300}, nil, exitMessage, []any{uint32(sessionID), uint32(300)}},
		{"signal", control.Exit{Signal: "TERM"}, nil, exitMessage, []any{uint32(sessionID), uint32(128 + 15)}},
		{"signal that is not known", control.Exit{Signal: "STRANGE@x"}, nil, exitMessage, []any{uint32(sessionID), uint32(128)}},
		{"lost", control.Exit{}, errLost, failure, []any{"muxd: h: the connection was lost"}},
		{"remote text", control.Exit{}, errors.New("a\x1b[2Jb\nc"), failure, []any{"muxd: a?[2Jb c"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, ch := sessions(false)
			r := newRig(t, b)
			r.serve()
			cl, in := r.greet(), pipes(t)
			o := cl.exec(ch, in)
			in.drop(0, 1, 2)
			o.Out.Write([]byte("out"))
			o.Err.Write([]byte("err"))
			o.End(c.exit, c.err)
			cl.expect(c.kind, c.says...)
			// It is told when nothing comes any more, so nothing is to be waited for.
			for f, want := range map[*os.File]string{in.out: "out", in.err: "err"} {
				reads(t, f, want)
				if n, err := at(f, func(fd int) (int, error) { return unix.Read(fd, make([]byte, 1)) }); n != 0 || err != nil {
					t.Errorf("%q and then %d, %v: not closed before the exit was told", want, n, err)
				}
			}
			cl.ends()
		})
	}
}

// at makes a call on a file's descriptor without waiting for it.
func at(f *os.File, call func(fd int) (int, error)) (n int, err error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return 0, err
	}
	rerr := raw.Control(func(fd uintptr) { n, err = call(int(fd)) })
	return n, errors.Join(rerr, err)
}

// silent wants nothing to come for a moment.
func (c *caller) silent() {
	c.t.Helper()
	c.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	if n, err := c.Read(make([]byte, 1)); n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		c.t.Fatalf("%d bytes, %v, too early", n, err)
	}
}

// An exit is not told while an output is not read.
func TestExitAfterOutput(t *testing.T) {
	for _, which := range []string{"stdout", "stderr"} {
		b, ch := sessions(false)
		r := newRig(t, b)
		r.serve()
		c, in := r.greet(), pipes(t)
		o := c.exec(ch, in)
		in.drop(0, 1, 2)
		far, near := o.Out, in.out
		if which == "stderr" {
			far, near = o.Err, in.err
		}
		data := make([]byte, 300<<10)
		rand.Read(data)
		go func() { far.Write(data); o.End(control.Exit{Code: 7}, nil) }()
		c.silent()
		readsEnd(t, near, string(data))
		c.expect(exitMessage, uint32(sessionID), uint32(7))
		c.ends()
	}
}

func TestInput(t *testing.T) {
	b, ch := sessions(false)
	r := newRig(t, b)
	r.serve()
	c, in := r.greet(), pipes(t)
	o := c.exec(ch, in)
	in.drop(0)
	data := make([]byte, 1<<20)
	rand.Read(data)
	go func() { in.in.Write(data); in.in.Close() }()
	if got, err := io.ReadAll(o.In); err != nil || !bytes.Equal(got, data) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	o.did(t, "eof")
	if n := o.q.Bytes.In.Load(); n != int64(len(data)) {
		t.Errorf("%d bytes were counted", n)
	}
	o.Out.Write([]byte("after the end of input"))
	reads(t, in.out, "after the end of input")
	o.End(control.Exit{}, nil)
	c.expect(exitMessage, uint32(sessionID), uint32(0))
	if got := o.Events(); !slices.Equal(got[:1], []string{"eof"}) {
		t.Errorf("it did %q", got)
	}
}

// What nobody reads any more is told to the command once, and read to its end.
func TestStdoutClosed(t *testing.T) {
	b, ch := sessions(false)
	r := newRig(t, b)
	r.serve()
	c, in := r.greet(), pipes(t)
	o := c.exec(ch, in)
	in.drop(1)
	in.out.Close()
	in.err.Close() // says nothing of stdout, and nothing is told
	in.drop(2)
	for range 100 {
		o.Out.Write(make([]byte, 8<<10))
		o.Err.Write(make([]byte, 8<<10))
	}
	o.did(t, "closeread")
	o.End(control.Exit{Code: 141}, nil)
	c.expect(exitMessage, uint32(sessionID), uint32(141))
	if n := strings.Count(strings.Join(o.Events(), " "), "closeread"); n != 1 {
		t.Errorf("%q", o.Events())
	}
}

// Once a command reads no more, what comes is for whoever reads it next.
func TestCommandClosesStdin(t *testing.T) {
	for _, why := range []error{io.ErrClosedPipe, io.EOF} { // the SSH library says either
		b, ch := sessions(false)
		r := newRig(t, b)
		r.serve()
		c, in := r.greet(), pipes(t)
		o := c.exec(ch, in)
		before := descriptors()
		o.In.CloseWithError(why)
		in.in.Write([]byte("lost\n"))
		eventually(t, "standard input is still held", func() bool { return descriptors() < before })
		in.in.Write([]byte("next\n"))
		reads(t, file(t, dup(t, in.fds[0])), "next\n")
		o.End(control.Exit{}, nil)
		c.expect(exitMessage, uint32(sessionID), uint32(0))
		if slices.Contains(o.Events(), "eof") {
			t.Errorf("it did %q", o.Events())
		}
	}
}

func dup(t *testing.T, fd int) int {
	t.Helper()
	fd, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	must(t, err)
	return fd
}

// What is typed after a session is the next one's.
func TestInputAfterExit(t *testing.T) {
	b, ch := sessions(false)
	r := newRig(t, b)
	r.serve()
	c, in := r.greet(), pipes(t)
	c.exec(ch, in).End(control.Exit{}, nil)
	c.expect(exitMessage, uint32(sessionID), uint32(0))
	in.in.Write([]byte("next\n"))
	reads(t, file(t, dup(t, in.fds[0])), "next\n")
}

// A refusal never has ssh log in by itself: it ends with our text.
func TestRefused(t *testing.T) {
	hold := make(chan struct{})
	r := newRig(t, &controltest.Backend{
		OnSession: func(_ context.Context, _ *control.SessionRequest, p control.Prompter) (control.Stream, error) {
			if _, err := p.Prompt(context.Background(), control.Prompt{}); !errors.Is(err, control.ErrNobody) {
				t.Errorf("a prompt: %v", err)
			}
			p.Notice("a banner\nof two lines")
			<-hold
			return nil, &control.Error{Phase: control.Refused, Host: "h", Text: "login refused"}
		},
	})
	r.serve()
	c, in := r.greet(), pipes(t)
	c.ask(&request{kind: newSession, id: 9, command: "cmd"}, in.fds...)
	in.drop(0, 1, 2)
	c.silent() // held
	r.greet().lives()
	close(hold)
	c.expect(sessionOpened, uint32(9), uint32(sessionID))
	c.expect(failure, "muxd: h: login refused: muxc h asks you")
	c.ends()
	readsEnd(t, in.out, "")
	readsEnd(t, in.err, "a banner\r\nof two lines\r\n")
}

// A client that goes takes its session along, whenever it went; that a command
// hears of it is the Backend's part of that.
func TestGoneSession(t *testing.T) {
	for _, tty := range []bool{false, true} {
		for _, late := range []bool{false, true} {
			b, ch := sessions(true)
			open := b.OnSession
			asked := make(chan struct{})
			b.OnSession = func(ctx context.Context, q *control.SessionRequest, p control.Prompter) (control.Stream, error) {
				close(asked)
				if late {
					<-ctx.Done()
				}
				return open(ctx, q, p)
			}
			r := newRig(t, b)
			r.serve()
			c, in := r.greet(), pipes(t)
			c.ask(&request{kind: newSession, id: 1, escape: noEscape, command: "cmd", tty: tty}, in.fds...)
			controltest.Get(t, asked)
			if !late {
				c.expect(sessionOpened, uint32(1), uint32(sessionID))
			}
			c.Close()
			o := controltest.Get(t, ch)
			o.did(t, "close")
			if got := o.Events(); !slices.Equal(got, []string{"close"}) {
				t.Errorf("terminal %v, late %v: it did %q", tty, late, got)
			}
			eventually(t, "it is still served", func() bool { return r.doors.Clients() == 0 })
		}
	}
}

// Whoever tells a client something does not wait for it: others may be told the
// same.
func TestNoticeToStalled(t *testing.T) {
	b, ch := sessions(false)
	open := b.OnSession
	told := make(chan struct{})
	b.OnSession = func(ctx context.Context, q *control.SessionRequest, p control.Prompter) (control.Stream, error) {
		for range 200 {
			p.Notice("a line")
		}
		close(told)
		return open(ctx, q, p)
	}
	r := newRig(t, b)
	r.serve()
	c, in := r.greet(), pipes(t)
	filled := fill(t, in.fds[2])
	c.ask(&request{kind: newSession, id: 1, escape: noEscape, command: "cmd"}, in.fds...)
	in.drop(2)
	controltest.Get(t, told)
	o := controltest.Get(t, ch)
	c.expect(sessionOpened, uint32(1), uint32(sessionID))
	o.Out.Write([]byte("x"))
	reads(t, in.out, "x")
	o.End(control.Exit{}, nil)
	c.silent()
	io.CopyN(io.Discard, in.err, int64(filled))
	text, err := io.ReadAll(in.err)
	if n := strings.Count(string(text), "a line\r\n"); err != nil || n == 0 || n > heldNotices+1 || n*len("a line\r\n") != len(text) {
		t.Errorf("%q, %v", text, err)
	}
	c.expect(exitMessage, uint32(sessionID), uint32(0))
}

// What was said before a refusal is there before it, however late it is read.
func TestNoticeBeforeRefusal(t *testing.T) {
	r := newRig(t, &controltest.Backend{
		OnSession: func(_ context.Context, _ *control.SessionRequest, p control.Prompter) (control.Stream, error) {
			p.Notice("a line")
			return nil, errLost
		},
	})
	r.serve()
	c, in := r.greet(), pipes(t)
	filled := fill(t, in.fds[2])
	c.ask(&request{kind: newSession, id: 1, command: "cmd"}, in.fds...)
	in.drop(2)
	c.silent()
	io.CopyN(io.Discard, in.err, int64(filled))
	readsEnd(t, in.err, "a line\r\n")
	c.expect(sessionOpened, uint32(1), uint32(sessionID))
	c.expect(failure, "muxd: "+errLost.Error())
}

// fill fills a pipe, and returns with how much.
func fill(t *testing.T, fd int) (n int) {
	t.Helper()
	must(t, unix.SetNonblock(fd, true))
	for b := make([]byte, 4096); ; {
		m, err := unix.Write(fd, b)
		if err != nil {
			break
		}
		n += m
	}
	must(t, unix.SetNonblock(fd, false))
	return n
}

// What the Backend is asked for.
func TestSessionRequest(t *testing.T) {
	mine := []string{"SSH_AUTH_SOCK=/mine", "DISPLAY=:7"}
	want := listen("/p", "h")
	want.Env = []string{"SSH_AUTH_SOCK=/holder", "DISPLAY=:1"}
	want.X11 = control.X11Request{Trusted: true, Timeout: time.Minute, XAuth: "/xauth"}
	x11 := func(display string) *control.X11Request { x := want.X11; x.Display = display; return &x }
	for _, c := range []struct {
		name string
		env  []string
		q    request
		want control.SessionRequest
	}{
		{"shell", mine, request{}, control.SessionRequest{Kind: control.Shell, Dest: place{"h", "/mine"}}},
		{"command", mine, request{command: "c"}, control.SessionRequest{Kind: control.Exec, Command: "c", Dest: place{"h", "/mine"}}},
		{"subsystem", mine, request{subsystem: true, command: "sftp"}, control.SessionRequest{Kind: control.Subsystem, Command: "sftp", Dest: place{"h", "/mine"}}},
		{"environment", mine, request{env: []string{"B=2", "A=1", "B=3"}}, control.SessionRequest{Kind: control.Shell, Env: []string{"B=2", "A=1", "B=3"}, Dest: place{"h", "/mine"}}},
		{"agent", mine, request{agent: true}, control.SessionRequest{Kind: control.Shell, Agent: "/mine", Dest: place{"h", "/mine"}}},
		{"display", mine, request{x11: true}, control.SessionRequest{Kind: control.Shell, X11: x11(":7"), Dest: place{"h", "/mine"}}},
		{"not to be seen", nil, request{agent: true, x11: true}, control.SessionRequest{Kind: control.Shell, Agent: "/holder", X11: x11(":1"), Dest: place{"h", "/holder"}}},
		{"without any", []string{}, request{agent: true, x11: true}, control.SessionRequest{Kind: control.Shell, Dest: place{"h", ""}}},
		{"terminal without one", mine, request{tty: true, term: "vt100"}, control.SessionRequest{Kind: control.Shell, TTY: &control.TTY{Term: "vt100"}, Dest: place{"h", "/mine"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			doors := &Doors{}
			cl := &client{d: newDoor(doors, want, nil), peer: peer{pid: 77, env: func() []string { return c.env }}}
			got, tty := cl.sessionRequest(&message{request: &c.q, fds: pipes(t).fds})
			c.want.PID, c.want.Bytes = 77, got.Bytes
			if !reflect.DeepEqual(*got, c.want) || got.Bytes == nil || tty >= 0 {
				t.Errorf("%+v, %d, want\n%+v", *got, tty, c.want)
			}
		})
	}
}

// A socket that is reset has ended, as for ssh: that of sftp is when sftp is
// killed with something unread, and its server would wait for ever.
func TestInputReset(t *testing.T) {
	b, ch := sessions(false)
	r := newRig(t, b)
	r.serve()
	c, in := r.greet(), pipes(t)
	syscall.ForkLock.RLock()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err == nil {
		unix.CloseOnExec(pair[0])
		unix.CloseOnExec(pair[1])
	}
	syscall.ForkLock.RUnlock()
	must(t, err)
	in.drop(0)
	in.fds[0] = pair[0]
	o := c.exec(ch, in)
	_, err = unix.Write(pair[0], []byte("unread"))
	must(t, err)
	in.drop(0)
	must(t, unix.Close(pair[1]))
	o.did(t, "eof")
	o.End(control.Exit{}, nil)
	c.expect(exitMessage, uint32(sessionID), uint32(0))
}
