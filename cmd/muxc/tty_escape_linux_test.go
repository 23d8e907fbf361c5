package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"muxd/internal/sshtest"
)

// sink is a remote command that keeps what it is sent and shows none of it.
type sink struct {
	mu  sync.Mutex
	got []byte // guarded by mu
}

func (k *sink) run(s *sshtest.Session, _ []string) sshtest.Exit {
	fmt.Fprint(s.Out, "ready\r\n")
	b := make([]byte, 1024)
	for {
		n, err := s.In.Read(b)
		k.mu.Lock()
		k.got = append(k.got, b[:n]...)
		k.mu.Unlock()
		if err == io.EOF {
			fmt.Fprint(s.Out, "the end\r\n")
			return sshtest.Exit{Status: 5}
		}
		if err != nil {
			return sshtest.Exit{Silent: true}
		}
	}
}

func (k *sink) text() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return string(k.got)
}

// startSink is a muxc on a terminal whose other side is a sink.
func startSink(t *testing.T, args ...string) (*screen, *sink, *sshtest.Server) {
	t.Helper()
	k := new(sink)
	h, srv := startServer(t, sshtest.Options{Commands: map[string]sshtest.Command{"sink": k.run}})
	s := h.onScreen(h.muxc(append(args, "-t", "box", "sink")...))
	s.shows("ready\r\n")
	return s, k, srv
}

func (s *screen) sends(k *sink, keys, want string) {
	s.t.Helper()
	s.types(keys)
	if !until(long, func() bool { return len(k.text()) >= len(want) }) || k.text() != want {
		s.t.Fatalf("typed %q, the other side has %q in all, want %q", keys, k.text(), want)
	}
}

func TestEscapeEndsTheSession(t *testing.T) {
	t.Parallel()
	h := startShellHost(t)
	s := h.onScreen(h.muxc("box"))
	before := s.fresh
	s.shows("R> ")
	s.types("~.")
	s.ends(255)
	s.expect(`\A~\.\r\nConnection to box closed\.\r\n\z`)
	s.restored(before)
	h.echo() // the connection itself is another matter
	if n := h.sshd.Logins(); n != 1 {
		t.Errorf("%d logins, want 1", n)
	}
}

func TestEscapesThatShow(t *testing.T) {
	t.Parallel()
	s, k, srv := startSink(t)
	s.types("~?")
	s.expect(`\A~\?\r\nThe escapes of this session:\r\n( ~.+\r\n){6}They are recognised at the start of a line only\.\r\n\z`)
	s.types("~#")
	s.expect(`\A~#\r\nThe following connections are open:\r\n  #0 session to box, held by muxd \(pid \d+.*\)\r\n\z`)
	for _, key := range []string{"C", "R", "V", "v", "&"} {
		s.types("~" + key)
		s.shows("~" + key + " escape is not available in muxc\r\n")
	}
	s.types("~B")
	s.shows("~B\r\n")
	s.h.eventually("the server hears of the break", func() bool { return srv.Count(sshtest.ChannelRequest, "break") == 1 })
	s.sends(k, "x", "x") // and nothing before it
	s.types("\r~.")
	s.ends(255)
}

// TestOnlyALineBeginsWithAnEscape: what is passed on, byte by byte.
func TestOnlyALineBeginsWithAnEscape(t *testing.T) {
	t.Parallel()
	s, k, _ := startSink(t)
	s.sends(k, "~~", "~")           // itself
	s.sends(k, "~.", "~~.")         // in the middle of a line
	s.sends(k, "\r~x", "~~.\r~x")   // none of ours
	s.sends(k, "\na", "~~.\r~x\na") // both kinds of newline
	s.sends(k, "\n~~.\x00\xff", "~~.\r~x\na\n~.\x00\xff")
	s.types("\r~")
	s.types(".")
	s.ends(255)
	if got, want := strings.TrimSuffix(k.text(), "\r"), "~~.\r~x\na\n~.\x00\xff"; got != want {
		t.Errorf("the other side has %q, want %q", got, want)
	}
}

// TestEscapesArePerSession: what is typed into one has no effect on another.
func TestEscapesArePerSession(t *testing.T) {
	t.Parallel()
	a, ka, _ := startSink(t)
	b := a.h.onScreen(a.h.muxc("-t", "box", "cat"))
	b.h.eventually("both are raw", func() bool { return b.modes() == a.modes() })
	a.sends(ka, "x", "x")
	b.types("~")
	a.sends(ka, ".", "x.")
	b.types(".")
	b.ends(255)
	a.sends(ka, "y", "x.y")
	a.types("\r~.")
	a.ends(255)
}

func TestEscapeCharacter(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ option, char, shown string }{
		{"%", "%", "%"}, {"^]", "\x1d", `\^\]`}, {"x", "x", "x"},
	} {
		s, k, _ := startSink(t, "-e", tt.option)
		s.sends(k, "~.\r", "~.\r")
		s.types(tt.char + "?")
		s.expect(`\A` + tt.shown + `\?\r\nThe escapes of this session:\r\n ` + tt.shown + `\.`)
		s.types(tt.char + ".")
		s.shows("Connection to box closed.\r\n")
		s.ends(255)
	}
	s, k, _ := startSink(t, "-e", "none")
	s.sends(k, "~.\r~?~\x1a", "~.\r~?~\x1a")
	if s.unseen() != "" {
		t.Errorf("shown: %q", s.unseen())
	}
}

// TestNoEscapesWithoutATerminal, but with one that was forced.
func TestNoEscapesWithoutATerminal(t *testing.T) {
	t.Parallel()
	h, _ := startServer(t, sshtest.Options{})
	h.run(h.muxc("box", "cat"), strings.NewReader("~.\n~?\n")).is(t, "~.\n~?\n", "", 0)
	r := h.run(h.muxc("-tt", "box", "cat"), strings.NewReader("a\n~.\n"))
	if r.err != "~.\r\nConnection to box closed.\n" || r.code != 255 {
		t.Errorf("%+v", r)
	}
	h.run(h.muxc("-tt", "-e", "none", "box", "cat"), strings.NewReader("a\n~.\n")).is(t, "a\n~.\n", "", 0)
}

// TestEndOfInputOnATerminal: ^D is the other side's to understand.
func TestEndOfInputOnATerminal(t *testing.T) {
	t.Parallel()
	s, k, _ := startSink(t)
	s.sends(k, "\x04\x03\x1c\x1a\x11\x13\x7f", "\x04\x03\x1c\x1a\x11\x13\x7f")
}

// TestLineOfOursInTheMiddleOfAnother: what muxc says begins a line.
func TestLineOfOursInTheMiddleOfAnother(t *testing.T) {
	t.Parallel()
	h, srv := startServer(t, sshtest.Options{})
	s := h.onScreen(h.muxc("-t", "box", "cat"))
	before := s.fresh
	s.becomesRaw()
	s.types("prompt> ")
	s.shows("prompt> ")
	srv.Last().Drop()
	s.ends(255)
	s.expect(`\A\r\nmuxc: box: [^\r\n]*connection[^\r\n]*\r\n\z`)
	s.restored(before)
}
