package term

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestAskSecret(t *testing.T) {
	s := sit(t, "ask")
	before := s.modes()
	s.orders("ask")
	s.sees("\rWord? ", 1)
	s.types("hunter2\n")
	s.hears(`answer "hunter2" <nil> ` + cooked)
	s.sees("Word? \r\n", 1)
	if strings.Contains(s.screen(), "unter") {
		t.Errorf("the secret was shown: %q", s.screen())
	}
	if s.modes() != before {
		t.Errorf("the terminal was left as %+v, was %+v", s.modes(), before)
	}
}

func TestAskEcho(t *testing.T) {
	s := sit(t, "ask", "TERM_ECHO=1")
	s.orders("ask")
	s.sees("Word? ", 1)
	s.types("yess\x7f\r")
	s.hears(`answer "yes" <nil> ` + cooked)
	s.sees("Word? yes", 1)
}

// TestAskInterrupted: the program lives on, and may ask again.
func TestAskInterrupted(t *testing.T) {
	for name, keys := range map[string]string{"^C": "hun\x03", "^D": "\x04"} {
		t.Run(name, func(t *testing.T) {
			s := sit(t, "ask")
			for i := range 2 {
				s.orders("ask")
				s.sees("Word? ", i+1)
				s.types(keys)
				s.hears(`answer "" interrupted ` + cooked)
			}
			s.orders("ask")
			s.sees("Word? ", 3)
			s.types("x\n")
			s.hears(`answer "x" <nil> ` + cooked)
		})
	}
}

// TestAskTakesOneLine: what stands behind the answer is the next reader's, what
// stood before the question is no answer, and not even left.
func TestAskTakesOneLine(t *testing.T) {
	s := sit(t, "ask")
	s.types("rm -rf\n")
	s.sees("rm -rf\r\n", 1)
	s.orders("ask")
	s.sees("Word? ", 1)
	s.types("one\ntwo\nthree\n")
	s.hears(`answer "one" <nil> ` + cooked)
	s.orders("read")
	s.hears(`read "two\n" <nil>`)
	s.orders("read")
	s.hears(`read "three\n" <nil>`)
}

// TestAskCancelled: somebody else answered, and half a secret stands on the
// line. The terminal is good again and the half is gone.
func TestAskCancelled(t *testing.T) {
	s := sit(t, "ask")
	s.orders("ask")
	s.sees("Word? ", 1)
	s.types("hunt")
	s.orders("cancel")
	s.hears(`answer "" cancelled ` + cooked)
	s.orders("read")
	s.types("ls\n")
	s.hears(`read "ls\n" <nil>`)
	s.orders("ask")
	s.hears(`answer "" cancelled ` + cooked)
}

// TestAskKilled: the signal has its effect, and the echo is back before.
func TestAskKilled(t *testing.T) {
	for _, sig := range []unix.Signal{unix.SIGTERM, unix.SIGHUP} {
		t.Run(sig.String(), func(t *testing.T) {
			s := sitAtShell(t, "ask")
			s.orders("ask")
			s.sees("Word? ", 1)
			s.signals(sig)
			s.hears(fmt.Sprintf("ended -1 %v %s", sig, cooked))
			s.sees("Word? \r\n", 1)
		})
	}
}

// TestAskSuspended: ^Z gives the shell a good terminal, and fg asks again; the
// first half of the answer is forgotten.
func TestAskSuspended(t *testing.T) {
	s := sitAtShell(t, "ask")
	s.orders("ask")
	for i := range 3 {
		s.sees("Word? ", i+1)
		s.types("hun\x1a")
		s.hears("stopped stopped " + cooked)
		s.tells("fg")
	}
	s.sees("Word? ", 4)
	s.types("hunter2\n")
	s.hears(`answer "hunter2" <nil> ` + cooked)
	if n := strings.Count(s.screen(), "Word? "); n != 4 || strings.Contains(s.screen(), "hun") {
		t.Errorf("asked %d times, want 4: %q", n, s.screen())
	}
}

// TestAskStoppedFromOutside: a shell has set its own modes in between, with
// which the secret would be shown.
func TestAskStoppedFromOutside(t *testing.T) {
	s := sitAtShell(t, "ask")
	s.orders("ask")
	s.sees("Word? ", 1)
	s.signals(unix.SIGSTOP)
	s.hears("stopped stopped (signal) " + asking)
	s.tells("sane")
	s.tells("fg")
	s.sees("Word? ", 2)
	s.types("hunter2\n")
	s.hears(`answer "hunter2" <nil> ` + cooked)
	if strings.Contains(s.screen(), "hunter") {
		t.Errorf("the secret was shown: %q", s.screen())
	}
}

// TestAskWipes: what was read of an answer that does not come is not kept.
func TestAskWipes(t *testing.T) {
	master, tty := open(t)
	go func() {
		shown := make([]byte, len("\rWord? "))
		if _, err := io.ReadFull(master, shown); err == nil {
			_, _ = master.WriteString("hunter2\x1a")
		}
	}()
	p := &prompt{q: Question{Prompt: "Word? "}, fd: int(tty.Fd())}
	answer, err := p.attempt(t.Context())
	if answer != nil || !errors.Is(err, errSuspend) {
		t.Errorf("answer %q, %v", answer, err)
	}
	if n := len(p.line.buf); n != len("hunter2") {
		t.Errorf("%d bytes were read", n)
	}
	if left := bytes.Trim(p.line.buf, "\x00"); len(left) > 0 {
		t.Errorf("%q was kept", left)
	}
}

func TestAskInBackground(t *testing.T) {
	s := sitAtShell(t, "ask", "TERM_BG=1")
	s.orders("ask")
	s.hears("stopped stopped (tty output) " + cooked)
	s.tells("fg")
	s.sees("Word? ", 1)
	s.types("x\n")
	s.hears(`answer "x" <nil> ` + cooked)
	if n := strings.Count(s.screen(), "Word? "); n != 1 {
		t.Errorf("asked %d times: %q", n, s.screen())
	}
}

// TestAskInRawSession: lines can be typed although the terminal is raw, and it
// is raw again afterwards.
func TestAskInRawSession(t *testing.T) {
	s := sit(t, "ask")
	s.orders("raw")
	s.hears("raw <nil>")
	s.orders("ask")
	s.sees("Word? ", 1)
	s.types("hunz\x7fter2\r")
	s.hears(`answer "hunter2" <nil> ` + isRaw)
}

// TestAskBehindStop: output that was stopped by ^S keeps no question from being
// withdrawn.
func TestAskBehindStop(t *testing.T) {
	s := sit(t, "ask")
	s.types("\x13")
	s.orders("ask")
	s.until("the echo is off", func() bool { return s.modes().Lflag&unix.ECHO == 0 })
	s.orders("cancel")
	s.hears(`answer "" cancelled ` + cooked)
}

func TestNotice(t *testing.T) {
	s := sit(t, "ask", "TERM_HINT=none")
	s.orders("ask")
	s.sees("\rWord? \r", 1)
	s.types("ls\n")
	s.sees("ls\r\n", 1)
	s.orders("cancel")
	s.hears(`answer "" cancelled ` + cooked)
	s.orders("read")
	s.hears(`read "ls\n" <nil>`)
}

func TestAskpassRule(t *testing.T) {
	for _, tt := range []struct {
		env            map[string]string
		allowed, first bool
	}{
		{nil, false, false},
		{map[string]string{"DISPLAY": ":0"}, true, false},
		{map[string]string{"WAYLAND_DISPLAY": "wayland-0"}, true, false},
		{map[string]string{"DISPLAY": ""}, false, false},
		{map[string]string{"SSH_ASKPASS_REQUIRE": "prefer"}, false, false},
		{map[string]string{"SSH_ASKPASS_REQUIRE": "prefer", "DISPLAY": ":0"}, true, true},
		{map[string]string{"SSH_ASKPASS_REQUIRE": "Force"}, true, true},
		{map[string]string{"SSH_ASKPASS_REQUIRE": "never", "DISPLAY": ":0"}, false, false},
		{map[string]string{"SSH_ASKPASS_REQUIRE": "what", "DISPLAY": ":0"}, true, false},
	} {
		allowed, first := askpassRule(func(name string) string { return tt.env[name] })
		if allowed != tt.allowed || first != tt.first {
			t.Errorf("%v: allowed %v, first %v", tt.env, allowed, first)
		}
	}
}
