package main

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"muxd/control"
	"muxd/control/controltest"
	"muxd/internal/sshtest"
)

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
	c.shows("\rmuxc: box: reconnecting, next try in ")
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
	c.shows("next try in ")
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

// TestReattachIsGivenUp: the wait for the other session is a wait like any
// other, and its end is the end.
func TestReattachIsGivenUp(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		end   func(s *scripted, c *screen)
		code  int
		shows string
	}{
		"^C":        {func(_ *scripted, c *screen) { c.types("\x03") }, 130, `(?:\^C)?`},
		"muxd dies": {func(s *scripted, _ *screen) { s.dies() }, 255, `muxc: box: muxd \(pid \d+\) went away; the command may have run\r\n`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScripted(t, control.Plan{TTY: true, Reattach: true}, func(n int, p control.Prompter) error {
				if n == 1 {
					return nil
				}
				p.Waiting(control.Waiting{Attempt: 2, Next: time.Minute, Cause: "down"})
				return hearsEnter(p)
			})
			c := s.on("xterm", "box")
			st := s.session()
			c.becomesRaw()
			finish(st, "", control.Exit{}, &control.Error{Phase: control.Sent, Host: "box", Text: "lost"})
			c.shows("muxc: box: lost\r\n")
			c.shows("(down)  Enter retries now, ^C cancels\x1b[K")
			tt.end(s, c)
			c.ends(tt.code)
			c.expect(quote(erased) + tt.shows + `\z`)
			if n := len(s.invocations()); n != 2 {
				t.Errorf("%d invocations", n)
			}
			c.restored(c.fresh)
		})
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
		"exit":      {control.Plan{TTY: true, Reattach: true}, func(_ *screen, st *controltest.Stream) { finish(st, "", control.Exit{Code: 4}, nil) }, 4, "", 1},
		"killed":    {control.Plan{TTY: true, Reattach: true}, func(_ *screen, st *controltest.Stream) { finish(st, "", control.Exit{Signal: "TERM"}, nil) }, 143, "muxc: box: the command was killed by signal TERM\r\n", 1},
		"escape":    {control.Plan{TTY: true, Reattach: true, Escape: '~'}, func(c *screen, _ *controltest.Stream) { c.types("~.") }, 255, "~.\r\nConnection to box closed.\r\n", 1},
		"signal":    {control.Plan{TTY: true, Reattach: true}, func(c *screen, _ *controltest.Stream) { c.cmd.Process.Signal(unix.SIGTERM) }, 255, "", 1},
		"not asked": {control.Plan{TTY: true}, func(_ *screen, st *controltest.Stream) { finish(st, "", control.Exit{}, lost) }, 255, "muxc: box: lost\r\n", 1},
		"refused": {control.Plan{TTY: true, Reattach: true}, func(_ *screen, st *controltest.Stream) {
			finish(st, "", control.Exit{}, &control.Error{Phase: control.Refused, Host: "box", Text: "no more"})
		}, 255, "muxc: box: no more\r\n", 1},
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

// TestReattachForReal: with a real muxd and sshd, after the connection was cut
// and after muxd was killed, and on the screen that it was.
func TestReattachForReal(t *testing.T) {
	t.Parallel()
	h := startShellHost(t)
	proxy := sshtest.NewProxy(t, h.sshd.Addr)
	h.configure(proxy.Addr, h.sshd.HostKey, "IdentityFile "+h.sshd.ClientKey, "User "+h.sshd.User)
	s := h.onScreen(h.muxc("-o", `Reattach="echo $TERM again; PS1='S> ' exec /bin/sh -i"`, "box"))
	s.shows("R> ")
	s.types("echo $((40+2))\r")
	s.shows("42\r\nR> ")
	proxy.Cut()
	s.expect(`\A\r\nmuxc: box: [^\n]* the command may still be running\r\n`)
	s.shows("dumb again\r\nS> ")
	s.becomesRaw()
	s.types("echo $((80+4))\r")
	s.shows("84\r\nS> ")
	kill(t, h.pid(), unix.SIGKILL)
	s.expect(`muxc: box: muxd \(pid \d+\) went away; the command may still be running\r\n`)
	s.shows("dumb again\r\nS> ")
	s.types("exit 6\r")
	s.ends(6)
	s.restored(s.fresh)
}
