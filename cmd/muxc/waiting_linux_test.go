package main

import (
	"context"
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	"muxd/control"
)

const (
	erased  = "\r\x1b[K"
	refused = "connect to 127.0.0.1:22: connection refused"
)

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
	c.expect(quote(drawn("muxc: box: no byte for 812 s, reconnecting, next try in 2 s (connection refused)  Enter retries now")))
	c.expect(`\A\rmuxc: box: no byte for (?:813 s, reconnecting, next try in 1 s|81\d s, reconnecting, attempt 3, next try now) ` + quote("(connection refused)"))
	c.resize(33, 140)
	c.shows("(connection refused)" + keys)
	c.expect(`no byte for 8\d\d s, reconnecting, attempt 3, next try now ` + quote("(connection refused)"+keys))
	c.types("\n")
	c.shows("\r\n\x1b[A\rmuxc: box: no byte for ") // in the line's own place
	c.expect(`muxc: box: no byte for 82\d s, reconnecting, attempt 4 ` + quote("(connection refused)  ^C cancels"))
	c.expect(quote(erased+"one remark\r\n") + `\rmuxc: box: no byte for 82\d s`)
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
			if got, want := c.out.String(), "muxc: box: connecting  ^C cancels\r\nmuxc: box: no byte for 60 s, reconnecting, attempt 2 (connection refused)  ^C cancels\r\n"+
				"muxc: box: no byte for 60 s, reconnecting, attempt 5 (no route to host)  ^C cancels\r\n\r\ndone\r\n"; got != want {
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
	c.shows("next try in ")
	c.types("\x03")
	c.ends(128 + int(syscall.SIGINT))
	c.expect(`\x1b\[K(?:\^C)?` + quote(erased) + `\z`)
}

// TestSuspendedWait: while a shell has the terminal nothing is drawn on it, and
// then the line is there again.
func TestSuspendedWait(t *testing.T) {
	t.Parallel()
	s := newScripted(t, control.Plan{}, func(_ int, p control.Prompter) error {
		p.Waiting(control.Waiting{Attempt: 2, Dialling: true, Cause: "down"}) // nothing in it changes
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
	c.types("fg\n")
	c.shows(drawn("muxc: box: connecting, attempt 2 (down)  ^C cancels"))
	c.types("\x1a")
	c.shows("$ ")
	c.types("bg; sleep 1.3; echo qui''et\n")
	if got := c.expect(`(.*)quiet\r\n`)[1]; strings.Contains(got, "attempt") {
		t.Errorf("drawn in the background: %q", got)
	}
	c.types("fg\n")
	c.shows(drawn("muxc: box: connecting, attempt 2 (down)  ^C cancels"))
	c.types("\n")
	finish(s.session(), "done\n", control.Exit{}, nil)
	c.shows(erased + "done\r\n")
	c.shows("$ ")
	c.types("exit\n")
	c.ends(0)
}

// TestTextAfterAWait: a text is no session, and the line makes room for it.
func TestTextAfterAWait(t *testing.T) {
	t.Parallel()
	s := newScripted(t, control.Plan{}, nil, func(s *scripted) {
		s.b.OnResolve = func(context.Context, *control.Invocation, control.Prompter) (*control.Plan, error) {
			time.Sleep(patience + patience/2)
			return &control.Plan{Text: []byte("user me\n")}, nil
		}
	})
	c := s.on("xterm", "-G", "box")
	c.ends(0)
	if got, want := c.out.String(), drawn("muxc: box: waiting for the connection (^C cancels)")+erased+"user me\r\n"; got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// TestWaitingLineAndChildren: what the configuration has run has the terminal
// for itself, and the line comes back after it; after a question it comes only
// with news.
func TestWaitingLineAndChildren(t *testing.T) {
	t.Parallel()
	s := newScripted(t, control.Plan{}, func(_ int, p control.Prompter) error {
		time.Sleep(patience + patience/2)
		if r, err := p.Run(t.Context(), control.Command{Kind: control.CommandLocal, Args: []string{"echo child; sleep 1.5"}}); err != nil || r.Status != 0 {
			t.Errorf("%+v, %v", r, err)
		}
		time.Sleep(patience + patience/2)
		if a, err := p.Prompt(t.Context(), control.Prompt{Kind: control.PromptText, Host: "box", Text: "Word? "}); err != nil || a.Text != "yes" {
			t.Errorf("%+v, %v", a, err)
		}
		time.Sleep(patience + patience/2)
		p.Waiting(control.Waiting{Attempt: 2, Dialling: true, Cause: "down"})
		time.Sleep(patience + patience/2)
		return nil
	})
	c := s.on("xterm", "box")
	line := drawn("muxc: box: waiting for the connection (^C cancels)")
	c.shows(line + erased + "child\r\n" + line + erased + "\rWord? ")
	c.types("yes\n")
	finish(s.session(), "done\n", control.Exit{}, nil)
	c.ends(0)
	c.expect(`\A` + quote("yes\r\n"+drawn("muxc: box: connecting, attempt 2 (down)  ^C cancels")+erased+"done\r\n") + `\z`)
}
