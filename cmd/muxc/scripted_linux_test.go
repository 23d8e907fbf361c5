package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"muxd/control"
	"muxd/control/controltest"
	"muxd/socket"
)

// scripted is a muxd in this process that does what a test says, with the real
// muxc as its client.
type scripted struct {
	*host
	b controltest.Backend

	mu    sync.Mutex
	conns []*socket.Conn           // guarded by mu; all that came
	asked []*control.Invocation    // guarded by mu
	open  chan *controltest.Stream // sessions as they open
}

// newScripted serves; the session of each invocation is opened once wait has
// returned, and given to the test.
func newScripted(t *testing.T, plan control.Plan, wait func(n int, p control.Prompter) error, change ...func(*scripted)) *scripted {
	t.Helper()
	s := &scripted{host: newHost(t), open: make(chan *controltest.Stream, 9)}
	l, err := socket.Listen(socket.At(s.socket()))
	if err != nil {
		t.Fatal(err)
	}
	s.b.OnResolve = func(_ context.Context, v *control.Invocation, _ control.Prompter) (*control.Plan, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.asked = append(s.asked, v)
		p := plan
		p.Host, p.Session = "box", &control.SessionRequest{}
		return &p, nil
	}
	s.b.OnSession = func(ctx context.Context, _ *control.SessionRequest, p control.Prompter) (control.Stream, error) {
		waited := make(chan error, 1)
		go func() { waited <- wait(len(s.invocations()), p) }()
		select {
		case err := <-waited:
			if err != nil {
				return nil, err
			}
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		st := controltest.NewStream(plan.TTY)
		s.open <- st
		return st, nil
	}
	for _, f := range change { // before anybody may come
		f(s)
	}
	srv := &control.Server{Backend: &s.b, Build: "scripted", PID: os.Getpid(), Log: silence{}}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns = append(s.conns, c)
			s.mu.Unlock()
			wg.Go(func() { srv.ServeConn(ctx, c) })
		}
	})
	t.Cleanup(func() { cancel(); l.Close(); wg.Wait() })
	return s
}

type silence struct{}

func (silence) Debug(string, ...any) {}
func (silence) Info(string, ...any)  {}
func (silence) Warn(string, ...any)  {}

func (s *scripted) invocations() []*control.Invocation {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*control.Invocation(nil), s.asked...)
}

// dies is the end of muxd without a last word, as far as clients see.
func (s *scripted) dies() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		c.Close()
	}
}

// session is the next one that opens.
func (s *scripted) session() *controltest.Stream {
	s.t.Helper()
	select {
	case st := <-s.open:
		return st
	case <-time.After(long):
		s.t.Fatal("no session was opened")
		panic("unreachable")
	}
}

// reads fails the test unless that is what comes as standard input next.
func reads(t *testing.T, st *controltest.Stream, want string) {
	t.Helper()
	b := make([]byte, len(want))
	done := make(chan error, 1)
	go func() { _, err := io.ReadFull(st.In, b); done <- err }()
	select {
	case err := <-done:
		if err != nil || string(b) != want {
			t.Errorf("the session reads %q, %v; want %q", b, err, want)
		}
	case <-time.After(long):
		t.Fatalf("the session does not get %q", want)
	}
}

// finish writes the session's last words and ends it.
func finish(st *controltest.Stream, text string, x control.Exit, err error) {
	io.WriteString(st.Out, text)
	st.End(x, err)
}

// on is a terminal that knows escapes.
func (s *scripted) on(term string, args ...string) *screen {
	s.setenv("TERM", term)
	return s.onScreen(s.command("muxc", args...))
}

const (
	erased  = "\r\x1b[K"
	refused = "connect to 127.0.0.1:22: connection refused"
)

// quote is text as a pattern.
func quote(text string) string { return regexp.QuoteMeta(text) }

func drawn(text string) string { return "\r" + text + "\x1b[K" }

// hearsEnter waits for the person's wish.
func hearsEnter(p control.Prompter) error {
	select {
	case <-p.Impatient():
		return nil
	case <-time.After(long):
		return errors.New("nobody pressed Enter")
	}
}

// TestWaitingLine: one line, which counts by itself, hears Enter, makes room
// for others and is gone when the session opens.
func TestWaitingLine(t *testing.T) {
	t.Parallel()
	s := newScripted(t, control.Plan{Escape: control.NoEscape}, func(_ int, p control.Prompter) error {
		p.Waiting(control.Waiting{Attempt: 1, Dialling: true})
		time.Sleep(patience + patience/2)
		p.Waiting(control.Waiting{Attempt: 3, Next: 2 * time.Second, Silence: 812 * time.Second, Cause: "connection refused"})
		if err := hearsEnter(p); err != nil {
			return err
		}
		p.Waiting(control.Waiting{Attempt: 4, Dialling: true, Silence: 820 * time.Second, Cause: "connection refused"})
		p.Notice("one remark")
		time.Sleep(patience / 2)
		return nil
	})
	began := time.Now()
	c := s.on("xterm", "box", "true")
	c.resize(33, 105)
	const keys = "  Enter retries now, ^C cancels"
	c.shows(drawn("muxc: box: connecting  ^C cancels"))
	if d := time.Since(began); d < patience {
		t.Errorf("it says so after %v", d)
	}
	c.expect(quote(drawn("muxc: box: no byte for 812 s, reconnecting, attempt 3, next try in 2 s" + keys)))
	c.expect(`\A` + quote("\rmuxc: box: no byte for 813 s, reconnecting, attempt 3, next try in 1 s"+keys))
	c.resize(33, 140)
	c.shows("(connection refused)" + keys)
	c.shows("no byte for 814 s, reconnecting, attempt 3, next try now (connection refused)" + keys)
	c.types("\n")
	c.shows("\r\n\x1b[A\rmuxc: box: no byte for ") // in the line's own place
	c.expect(quote(drawn("muxc: box: no byte for 820 s, reconnecting, attempt 4 (connection refused)  ^C cancels")))
	c.expect(`\A` + quote(erased+"one remark\r\n\rmuxc: box: no byte for 820 s"))
	finish(s.session(), "done\n", control.Exit{Code: 3}, nil)
	c.ends(3)
	c.expect(`attempt 4 \(connection refused\)  \^C cancels\x1b\[K` + quote(erased) + `done\r\n\z`)
	c.restored(c.fresh)
}

// TestWaitingLineOnADumbTerminal: a line stays, so there is one for each cause,
// and no escape in any.
func TestWaitingLineOnADumbTerminal(t *testing.T) {
	t.Parallel()
	for _, term := range []string{"dumb", ""} {
		t.Run("TERM="+term, func(t *testing.T) {
			t.Parallel()
			s := newScripted(t, control.Plan{}, func(_ int, p control.Prompter) error {
				p.Waiting(control.Waiting{Attempt: 1, Dialling: true})
				time.Sleep(patience + patience/2)
				for i := range 3 {
					p.Waiting(control.Waiting{Attempt: 2 + i, Next: 2 * time.Second, Silence: time.Minute, Cause: "connection refused"})
					time.Sleep(patience)
				}
				p.Waiting(control.Waiting{Attempt: 5, Next: time.Second, Silence: time.Minute, Cause: "no route to host"})
				return hearsEnter(p) // that goes without escapes
			})
			c := s.on(term, "box", "true")
			c.shows("no route to host")
			c.types("\n")
			finish(s.session(), "done\n", control.Exit{}, nil)
			c.ends(0)
			if got, want := c.out.String(), "muxc: box: connecting\r\nmuxc: box: no byte for 60 s, reconnecting, attempt 2 (connection refused)\r\n"+
				"muxc: box: no byte for 60 s, reconnecting, attempt 5 (no route to host)\r\n\r\ndone\r\n"; got != want {
				t.Errorf("got  %q\nwant %q", got, want)
			}
		})
	}
}

// TestNoWaitingLine: not in a script, not with -q, not with -E.
func TestNoWaitingLine(t *testing.T) {
	t.Parallel()
	s := newScripted(t, control.Plan{}, func(_ int, p control.Prompter) error {
		p.Waiting(control.Waiting{Attempt: 3, Next: time.Second, Silence: time.Minute, Cause: "connection refused"})
		time.Sleep(2 * patience)
		return &control.Error{Phase: control.Refused, Host: "box", Text: "enough"}
	})
	s.setenv("TERM", "xterm")
	r := s.start(s.command("muxc", "box", "true"), nil)
	quiet := s.onScreen(s.command("muxc", "-q", "box", "true"))
	logged := s.onScreen(s.command("muxc", "-E", s.dir+"/log", "box", "true"))
	elsewhere := s.onScreen(s.sh("$muxc box true 2>" + s.dir + "/err"))
	r.wait().is(t, "", "muxc: box: enough\n", 255)
	for c, want := range map[*screen]string{quiet: "muxc: box: enough\r\n", logged: "", elsewhere: ""} {
		if c.ends(255); c.out.String() != want {
			t.Errorf("%q: %q", c.cmd.Args, c.out.String())
		}
	}
	for _, name := range []string{"log", "err"} {
		if got := read(t, s.dir+"/"+name); got != "muxc: box: enough\n" {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// TestTypedAhead: what is typed for the session while it waits goes to the
// session, to the last byte, also behind an Enter that was meant for the line.
func TestTypedAhead(t *testing.T) {
	t.Parallel()
	for _, typed := range []string{"ls -l\n", "x", "\nls\n", "first\n\n\n", "a\x04"} {
		t.Run(typed, func(t *testing.T) {
			t.Parallel()
			told := make(chan struct{})
			var wished int
			s := newScripted(t, control.Plan{Escape: control.NoEscape}, func(_ int, p control.Prompter) error {
				p.Waiting(control.Waiting{Attempt: 2, Next: time.Minute, Cause: refused})
				for {
					select {
					case <-p.Impatient():
						wished++
					case <-told:
						return nil
					}
				}
			})
			c := s.on("xterm", "box", "cat")
			c.shows("muxc: box: connecting, attempt 2")
			want := typed
			if typed == "\nls\n" {
				c.types("\n")
				c.shows("\x1b[A")
				c.types(typed[1:])
				want = "ls\n"
			} else {
				c.types(typed)
			}
			time.Sleep(5 * tickEvery) // the line has looked at it
			close(told)
			st := s.session()
			if typed == "x" {
				c.types("\n") // it is a line only now
				want = "x\n"
			}
			reads(t, st, strings.TrimSuffix(want, "\x04"))
			finish(st, "", control.Exit{}, nil)
			c.ends(0)
			if n := strings.Count(typed, "\n") - strings.Count(want, "\n"); wished != max(n, 0) {
				t.Errorf("%d wishes were heard", wished)
			}
		})
	}
}

// TestInterruptedWait: ^C ends it by the signal, and the line is gone.
func TestInterruptedWait(t *testing.T) {
	t.Parallel()
	s := newScripted(t, control.Plan{}, func(_ int, p control.Prompter) error {
		p.Waiting(control.Waiting{Attempt: 2, Next: time.Minute, Cause: refused})
		return hearsEnter(p)
	})
	c := s.on("xterm", "box", "true")
	c.shows("^C cancels")
	c.types("\x03")
	c.ends(128 + int(syscall.SIGINT))
	c.expect(`\x1b\[K(\^C)?` + quote(erased) + `\z`)
}

// TestSuspendedWait: while a shell has the terminal nothing is drawn on it, and
// then the line is there again.
func TestSuspendedWait(t *testing.T) {
	t.Parallel()
	s := newScripted(t, control.Plan{}, func(_ int, p control.Prompter) error {
		p.Waiting(control.Waiting{Attempt: 2, Next: time.Hour, Cause: "down"})
		return hearsEnter(p)
	})
	s.setenv("TERM", "xterm")
	s.setenv("PS1", "$ ")
	c := s.onScreen(s.command("/bin/sh", "-i"))
	c.shows("$ ")
	c.types(bin + "/muxc box true\n")
	c.shows("^C cancels")
	c.types("\x1a")
	c.shows("$ ")
	c.types("bg; sleep 1.3; echo qui''et\n")
	if got := c.expect(`(.*)quiet\r\n`)[1]; strings.Contains(got, "next try") {
		t.Errorf("drawn in the background: %q", got)
	}
	c.types("fg\n")
	c.expect(`next try in 35\d\d s \(down\)`)
	c.types("\n")
	finish(s.session(), "done\n", control.Exit{}, nil)
	c.shows(erased + "done\r\n")
	c.shows("$ ")
	c.types("exit\n")
	c.ends(0)
}

// TestReattach: a session on a terminal that is lost is carried on in it by
// another invocation, whose first bytes are what was typed meanwhile, and which
// knows the terminal as it is by then.
func TestReattach(t *testing.T) {
	t.Parallel()
	s := newScripted(t, control.Plan{TTY: true, Reattach: true, Escape: '~'}, func(n int, p control.Prompter) error {
		if n > 1 {
			p.Waiting(control.Waiting{Attempt: 2, Next: time.Minute, Silence: 15 * time.Second, Cause: refused})
			return hearsEnter(p)
		}
		return nil
	})
	c := s.on("xterm", "-t", "box", "rm", "-i", "precious")
	st := s.session()
	c.becomesRaw()
	c.types("y")
	reads(t, st, "y")
	lost := &control.Error{Phase: control.Running, Host: "box", Text: "connection lost after 15 s of silence; the command may still be running"}
	finish(st, "half a li", control.Exit{}, lost)
	c.shows("half a li\r\nmuxc: box: " + lost.Text + "\r\n")
	c.shows("\rmuxc: box: no byte for 1") // 5 or 6 s
	c.restored(c.fresh)
	c.resize(20, 70)
	c.types("\n") // now
	st = s.session()
	c.becomesRaw()
	c.types("z")
	reads(t, st, "z")
	if err := st.WaitEvent(t.Context(), "resize 70x20"); err != nil { // the size of when it opened
		t.Error(err)
	}
	io.WriteString(st.Out, "again here\r\n")
	c.expect(quote(erased) + `again here\r\n`)

	s.dies() // and once more, the other way
	c.expect(`muxc: box: muxd \(pid \d+\) went away; the command may still be running\r\n`)
	c.shows("no byte for")
	c.types("\n")
	st = s.session()
	c.becomesRaw()
	finish(st, "bye\r\n", control.Exit{Code: 5}, nil)
	c.ends(5)
	c.restored(c.fresh)

	all := s.invocations()
	if len(all) != 3 || all[0].Reattach || !all[1].Reattach || !all[2].Reattach {
		t.Fatalf("%d invocations: %+v", len(all), all)
	}
	for i, v := range all {
		if strings.Join(v.Args, " ") != "-t box rm -i precious" || !bytes.Equal(v.Modes, all[0].Modes) || v.Size.Cols != []uint32{101, 101, 70}[i] {
			t.Errorf("invocation %d: %v, %d columns", i, v.Args, v.Size.Cols)
		}
	}
}

// TestNoReattach: an end that is the person's, the command's or of a new
// attempt is the end.
func TestNoReattach(t *testing.T) {
	t.Parallel()
	lost := &control.Error{Phase: control.Running, Host: "box", Text: "lost"}
	for name, tt := range map[string]struct {
		plan  control.Plan
		end   func(c *screen, st *controltest.Stream)
		code  int
		shows string
		asked int
	}{
		"exit":         {control.Plan{TTY: true, Reattach: true}, func(_ *screen, st *controltest.Stream) { finish(st, "", control.Exit{Code: 4}, nil) }, 4, "", 1},
		"killed":       {control.Plan{TTY: true, Reattach: true}, func(_ *screen, st *controltest.Stream) { finish(st, "", control.Exit{Signal: "TERM"}, nil) }, 143, "muxc: box: the command was killed by signal TERM\r\n", 1},
		"escape":       {control.Plan{TTY: true, Reattach: true, Escape: '~'}, func(c *screen, _ *controltest.Stream) { c.types("~.") }, 255, "~.\r\nConnection to box closed.\r\n", 1},
		"signal":       {control.Plan{TTY: true, Reattach: true}, func(c *screen, _ *controltest.Stream) { c.cmd.Process.Signal(unix.SIGTERM) }, 255, "", 1},
		"not asked":    {control.Plan{TTY: true}, func(_ *screen, st *controltest.Stream) { finish(st, "", control.Exit{}, lost) }, 255, "muxc: box: lost\r\n", 1},
		"no terminal":  {control.Plan{Reattach: true}, func(_ *screen, st *controltest.Stream) { finish(st, "", control.Exit{}, lost) }, 255, "muxc: box: lost\r\n", 1},
		"no other one": {control.Plan{TTY: true, Reattach: true}, func(_ *screen, st *controltest.Stream) { finish(st, "", control.Exit{}, lost) }, 255, "muxc: box: lost\r\nmuxc: box: nobody there\r\n", 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScripted(t, tt.plan, func(n int, _ control.Prompter) error {
				if n > 1 {
					return &control.Error{Phase: control.Refused, Host: "box", Text: "nobody there"}
				}
				return nil
			})
			c := s.on("xterm", "box")
			st := s.session()
			if tt.plan.TTY {
				c.becomesRaw()
			}
			tt.end(c, st)
			c.ends(tt.code)
			if got := c.out.String(); got != tt.shows || len(s.invocations()) != tt.asked {
				t.Errorf("%d invocations, the terminal shows %q, want %q", len(s.invocations()), got, tt.shows)
			}
			c.restored(c.fresh)
		})
	}
}
