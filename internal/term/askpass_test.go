package term

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// program writes a shell script and makes it the SSH_ASKPASS to be used.
func program(t *testing.T, script string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "askpass")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SSH_ASKPASS", path)
	t.Setenv("SSH_ASKPASS_REQUIRE", "force")
	return path
}

func TestAskpass(t *testing.T) {
	for _, tt := range []struct {
		name, script string
		hint         Hint
		answer       string
		err          error
	}{
		{"answers", `echo "$1"`, "", "Word? ", nil},
		{"no newline", `printf x`, "", "x", nil},
		{"first line only", `printf 'a\r\nb\n'`, "", "a", nil},
		{"empty", `:`, HintConfirm, "", nil},
		{"hint", `echo "$SSH_ASKPASS_PROMPT"`, HintConfirm, "confirm", nil},
		{"no hint", `echo "[$SSH_ASKPASS_PROMPT]"`, "", "[]", nil},
		{"cancelled", `echo secret; exit 1`, "", "", ErrInterrupted},
		{"killed", `kill -9 $$`, "", "", ErrInterrupted},
		{"no stdin of ours", `cat; echo x`, "", "x", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			program(t, tt.script)
			answer, err := Ask(t.Context(), Question{Prompt: "Word? ", Hint: tt.hint})
			if string(answer) != tt.answer || !errors.Is(err, tt.err) {
				t.Errorf("answer %q, %v; want %q, %v", answer, err, tt.answer, tt.err)
			}
			if err == nil && answer == nil {
				t.Error("an answer is nil")
			}
		})
	}
}

func TestAskpassTooLong(t *testing.T) {
	program(t, `head -c 5000 /dev/zero | tr '\0' x`)
	answer, err := Ask(t.Context(), Question{})
	if answer != nil || err == nil || !strings.Contains(err.Error(), "longer than") {
		t.Errorf("%d bytes, %v", len(answer), err)
	}
}

// TestAskpassCancelled: programs that take the hint, do not, and leave somebody
// behind who holds the pipe.
func TestAskpassCancelled(t *testing.T) {
	for name, script := range map[string]string{
		"ends":          `echo here >&2; exec sleep 60`,
		"takes no hint": `trap '' TERM; exec sleep 5`,
		"left a child":  `sleep 5 & wait`,
		"closed stdout": `trap '' TERM; exec >&-; sleep 5`,
	} {
		t.Run(name, func(t *testing.T) {
			path := program(t, `: > "$0.up"`+"\n"+strings.Replace(script, "echo here >&2", ":", 1))
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				for ctx.Err() == nil {
					if _, err := os.Stat(path + ".up"); err == nil {
						cancel()
					}
					time.Sleep(time.Millisecond)
				}
			}()
			began := time.Now()
			if answer, err := Ask(ctx, Question{}); answer != nil || !errors.Is(err, context.Canceled) {
				t.Errorf("answer %q, %v", answer, err)
			}
			if d := time.Since(began); d > 4*time.Second {
				t.Errorf("it took %v", d)
			}
		})
	}
}

func TestAskpassMissing(t *testing.T) {
	t.Setenv("SSH_ASKPASS_REQUIRE", "force")
	here := t.TempDir()
	t.Chdir(here)
	if err := os.WriteFile("askpass", []byte("#!/bin/sh\necho x\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ askpass, path string }{
		{"/nonexistent/askpass", ""},
		{"askpass", "/nonexistent"},
		{"askpass", ":.:"},
		{"askpass", ""},
	} {
		t.Setenv("SSH_ASKPASS", tt.askpass)
		t.Setenv("PATH", tt.path)
		if answer, err := Ask(t.Context(), Question{}); answer != nil || !errors.Is(err, ErrNoTerminal) ||
			!strings.Contains(err.Error(), "askpass") {
			t.Errorf("%q in %q: answer %q, %v", tt.askpass, tt.path, answer, err)
		}
	}
	t.Setenv("PATH", "/nonexistent:"+here)
	if answer, err := Ask(t.Context(), Question{}); string(answer) != "x" {
		t.Errorf("found in PATH: answer %q, %v", answer, err)
	}
}

// TestAskWithoutTerminal: a daemon's child is asked nothing, unless there is a
// display.
func TestAskWithoutTerminal(t *testing.T) {
	path := program(t, `echo x`)
	for _, tt := range []struct{ env, want string }{
		{"DISPLAY=", `answer "" nobody inappropriate ioctl for device`},
		{"DISPLAY=:0", `answer "x" <nil> inappropriate ioctl for device`},
		{"SSH_ASKPASS_REQUIRE=force", `answer "x" <nil> inappropriate ioctl for device`},
	} {
		s := standUp(t, "ask", "SSH_ASKPASS="+path, tt.env)
		s.orders("ask")
		s.hears(tt.want)
	}
}

// TestAskTerminalFirst: a display alone does not take the question away from the
// terminal, prefer does.
func TestAskTerminalFirst(t *testing.T) {
	path := program(t, `echo x`)
	s := sit(t, "ask", "SSH_ASKPASS="+path, "DISPLAY=:0")
	s.orders("ask")
	s.sees("Word? ", 1)
	s.types("y\n")
	s.hears(`answer "y" <nil> ` + cooked)
	s = sit(t, "ask", "SSH_ASKPASS="+path, "DISPLAY=:0", "SSH_ASKPASS_REQUIRE=prefer")
	s.orders("ask")
	s.hears(`answer "x" <nil> ` + cooked)
}

// TestLineLeavesNoCopy: the buffer is never moved, and wiped as a whole.
func TestLineLeavesNoCopy(t *testing.T) {
	var l line
	l.add('a')
	first := &l.buf[:1][0]
	for range maxAnswer - 1 {
		l.add('b')
	}
	if &l.buf[0] != first || l.long {
		t.Error("the buffer grew, or was full too early")
	}
	whole := l.buf
	l.add('c')
	if answer, err := l.take(); answer != nil || err == nil {
		t.Errorf("one byte too many: %d bytes, %v", len(answer), err)
	}
	if !bytes.Equal(whole, make([]byte, maxAnswer)) {
		t.Error("a refused answer was not wiped")
	}
}
