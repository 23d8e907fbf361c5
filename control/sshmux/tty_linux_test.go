package sshmux

import (
	"context"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"muxd/control"
	"muxd/control/controltest"
	"muxd/internal/term"
)

// terminal is a raw terminal of 80 columns: the side that a person sees, and the
// descriptor that is passed.
func terminal(t *testing.T) (screen *os.File, fd int) {
	t.Helper()
	master, tty, err := pty.Open()
	must(t, err)
	t.Cleanup(func() { tty.Close() })
	fd = int(tty.Fd())
	_, err = term.Raw(fd)
	must(t, err)
	resize(t, fd, 80, 24)
	screen = file(t, dup(t, int(master.Fd())))
	master.Close()
	return screen, fd
}

func resize(t *testing.T, fd int, cols, rows uint16) {
	t.Helper()
	must(t, unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Col: cols, Row: rows}))
}

// nested is a descriptor that cannot be waited for: an epoll instance behind as
// many others as the kernel allows.
func nested(t *testing.T) int {
	t.Helper()
	for last := -1; ; {
		fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
		must(t, err)
		t.Cleanup(func() { unix.Close(fd) })
		if last >= 0 && unix.EpollCtl(fd, unix.EPOLL_CTL_ADD, last, &unix.EpollEvent{}) != nil {
			return last
		}
		last = fd
	}
}

// shell opens a session on a terminal.
func (c *caller) shell(ch chan *opened, tty int) *opened {
	c.t.Helper()
	c.ask(&request{kind: newSession, id: 1, tty: true, escape: '~', term: "xterm"}, tty, tty, tty)
	o := controltest.Get(c.t, ch)
	c.expect(sessionOpened, uint32(1), uint32(sessionID))
	return o
}

func TestTerminal(t *testing.T) {
	b, ch := sessions(true)
	r := newRig(t, b)
	r.serve()
	screen, tty := terminal(t)
	modes, err := term.Modes(tty)
	must(t, err)
	c := r.greet()
	o := c.shell(ch, tty)
	if got := o.q.TTY; got == nil || got.Term != "xterm" || got.Size != (control.Window{Cols: 80, Rows: 24}) || string(got.Modes) != string(modes) || len(modes) == 0 {
		t.Errorf("%+v", got)
	}
	screen.Write([]byte("typed"))
	reads(t, o.In, "typed")
	o.Out.Write([]byte("shown"))
	reads(t, screen, "shown")
	o.End(control.Exit{}, nil)
	c.expect(exitMessage, uint32(sessionID), uint32(0))
	c.ends()
}

// A size is told when somebody says that it may have changed and it has, and to
// sessions on a terminal alone.
func TestResize(t *testing.T) {
	b, ch := sessions(true)
	open := b.OnSession
	screen, tty := terminal(t)
	var r *rig
	b.OnSession = func(ctx context.Context, q *control.SessionRequest, p control.Prompter) (control.Stream, error) {
		if q.TTY != nil && q.TTY.Size.Rows == 40 { // the last one of the test
			resize(t, tty, 101, 41)
			r.doors.Resized()
		}
		return open(ctx, q, p)
	}
	r = newRig(t, b)
	door := r.serve()
	c := r.greet()
	o := c.shell(ch, tty)
	_, another := terminal(t)
	plain := r.greet().exec(ch, &stdio{fds: []int{another, another, another}})
	attached := func() { screen.Write([]byte("x")); reads(t, o.In, "x") }
	attached()
	door.Resized()
	r.doors.Resized()
	resize(t, tty, 100, 30)
	resize(t, another, 100, 30)
	attached() // nobody says so, so nobody looks
	if got := o.Events(); len(got) > 0 {
		t.Errorf("it did %q", got)
	}
	door.Resized()
	door.Resized()
	resize(t, tty, 0, 0) // no size: it keeps what it has
	r.doors.Resized()
	resize(t, tty, 100, 40)
	r.doors.Resized()
	r.doors.Resized()
	if got := o.Events(); !slices.Equal(got, []string{"resize 100x30", "resize 100x40"}) {
		t.Errorf("it did %q", got)
	}
	if got := plain.Events(); len(got) > 0 {
		t.Errorf("without a terminal: %q", got)
	}
	// One that comes while the session is being opened is not lost.
	r.greet().shell(ch, tty).did(t, "resize 101x41")
}

// Where the server has no terminal, the session goes on without, and without
// escapes.
func TestNoTerminalFromServer(t *testing.T) {
	b, ch := sessions(false)
	r := newRig(t, b)
	r.serve()
	screen, tty := terminal(t)
	c := r.greet()
	o := c.shell(ch, tty)
	c.expect(ttyAllocFail, uint32(sessionID))
	reads(t, screen, "PTY allocation request failed: the session goes on without a terminal\r\n")
	screen.Write([]byte("~.\r~."))
	reads(t, o.In, "~.\r~.")
}

func TestEscapes(t *testing.T) {
	b, ch := sessions(true)
	r := newRig(t, b)
	r.serve()
	screen, tty := terminal(t)
	c := r.greet()
	o := c.shell(ch, tty)
	shows := func(typed, want string) {
		t.Helper()
		screen.Write([]byte(typed))
		buf := make([]byte, 4096)
		got := ""
		for !strings.Contains(got, want) {
			n, err := screen.Read(buf)
			must(t, err)
			got += string(buf[:n])
		}
	}
	screen.Write([]byte("~~a~.b"))
	reads(t, o.In, "~a~.b")
	screen.Write([]byte("\r"))
	reads(t, o.In, "\r")
	shows("~?", "~.   end this session")
	screen.Write([]byte("\r"))
	reads(t, o.In, "\r")
	shows("~#", "session to h")
	screen.Write([]byte("\r"))
	reads(t, o.In, "\r")
	shows("~\x1a", "not available")
	screen.Write([]byte("\r"))
	reads(t, o.In, "\r")
	screen.Write([]byte("~B"))
	o.did(t, "signal "+control.Break)
	screen.Write([]byte("\r"))
	reads(t, o.In, "\r")
	screen.Write([]byte("~.more"))
	o.did(t, "close")
	c.ends()
}

// A terminal that nobody reads stalls its own session and nothing else. It can
// be ended all the same, from both sides.
func TestStalledTerminal(t *testing.T) {
	for _, end := range []string{"its client goes", "~."} {
		b, ch := sessions(true)
		r := newRig(t, b)
		r.serve()
		screen, tty := terminal(t)
		c := r.greet()
		o := c.shell(ch, tty)
		wrote := make(chan struct{})
		go func() {
			defer close(wrote)
			for range 64 {
				if _, err := o.Out.Write(make([]byte, 64<<10)); err != nil {
					return
				}
			}
		}()
		for range 3 {
			other, in := r.greet(), pipes(t)
			p := other.exec(ch, in)
			p.Out.Write([]byte("x"))
			reads(t, in.out, "x")
			p.End(control.Exit{}, nil)
			other.expect(exitMessage, uint32(sessionID), uint32(0))
		}
		select {
		case <-wrote:
			t.Fatal("the terminal took everything")
		default:
		}
		c.lives()
		if end == "~." {
			screen.Write([]byte("~."))
		} else {
			c.Close()
		}
		o.did(t, "close")
		eventually(t, "it is still served: "+end, func() bool { return r.doors.Clients() == 0 || end == "~." && ended(c) })
		controltest.Get(t, wrote)
	}
}

// ended reads what is left of a client's socket and reports its end.
func ended(c *caller) bool {
	c.SetReadDeadline(time.Now().Add(time.Millisecond))
	_, err := io.Copy(io.Discard, c)
	return err == nil
}

// Descriptors that cannot be used are no reason to log in elsewhere either.
func TestDescriptorsOfNoUse(t *testing.T) {
	b, ch := sessions(true)
	r := newRig(t, b)
	r.serve()
	deep := nested(t)
	_, tty := terminal(t)
	for _, fds := range [][]int{{deep, tty, tty}, {tty, deep, tty}, {tty, tty, deep}} {
		c := r.greet()
		c.ask(&request{kind: newSession, id: 1, tty: true, command: "cmd"}, fds...)
		c.expect(sessionOpened, uint32(1), uint32(sessionID))
		c.expectText("the descriptors that came are of no use", failure)
		c.ends()
	}
	c := r.greet()
	c.ask(&request{kind: newStdio, id: 1, connect: endpoint{"h", 1}}, deep, tty)
	c.expectText("the descriptors that came are of no use", failure, uint32(1))
	c.ends()
	if len(ch) > 0 {
		t.Error("a session was opened")
	}
}

// Who waits at a terminal is told so after a moment, once; anywhere else nobody
// is.
func TestWaiting(t *testing.T) {
	release, asked := make(chan struct{}), make(chan struct{}, 2)
	r := newRig(t, &controltest.Backend{
		OnSession: func(_ context.Context, _ *control.SessionRequest, p control.Prompter) (control.Stream, error) {
			p.Waiting(control.Waiting{Attempt: 1})
			p.Waiting(control.Waiting{Attempt: 2, Cause: "no route\x1b to host"})
			asked <- struct{}{}
			<-release
			return nil, errLost
		},
	})
	r.serve()
	screen, tty := terminal(t)
	c, plain, in := r.greet(), r.greet(), pipes(t)
	plain.ask(&request{kind: newSession, id: 1, command: "cmd"}, in.fds...)
	controltest.Get(t, asked)
	c.ask(&request{kind: newSession, id: 1, command: "cmd"}, tty, tty, tty)
	reads(t, screen, "muxd: h: waiting for the connection (no route? to host)\r\n")
	close(release)
	for _, c := range []*caller{c, plain} {
		c.expect(sessionOpened, uint32(1), uint32(sessionID))
		c.expect(failure, "muxd: "+errLost.Error())
	}
	in.drop(2)
	readsEnd(t, in.err, "")
}
