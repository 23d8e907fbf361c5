package term

import (
	"context"
	"errors"
	"os"
	"strings"
)

// Errors of Ask. Others are ctx's and those of a terminal that breaks.
var (
	// ErrNoTerminal: there is no terminal, and no SSH_ASKPASS that may and can
	// be asked instead. Errors that say more wrap it.
	ErrNoTerminal = errors.New("nobody can be asked: there is no terminal, and no SSH_ASKPASS to be used")
	// ErrInterrupted: the person would not answer: ^C, ^D on an empty line, or
	// a dialog that was cancelled.
	ErrInterrupted = errors.New("interrupted at the prompt")
	// ErrDeclined is the ErrInterrupted of ^D on an empty line, which is no
	// signal.
	ErrDeclined error = declined{}
)

// declined is a type because every command would pay for fmt here.
type declined struct{}

func (declined) Error() string { return ErrInterrupted.Error() + " by the end of input" }

func (declined) Unwrap() error { return ErrInterrupted }

// Question is one question to the person at the terminal.
type Question struct {
	Prompt string // printed as it is, so what is not ours must have been cleaned
	Above  string // lines above it on a terminal; an SSH_ASKPASS program may know prompts by their words
	Echo   bool   // show what is typed: for names and for yes, never for secrets
	Hint   Hint   // how an SSH_ASKPASS program shows it, and whether there is an answer
}

// Hint is the value of SSH_ASKPASS_PROMPT (ssh-askpass programs of GNOME and KDE
// know it).
type Hint string

// The hints.
const (
	HintNone    Hint = ""        // a field for an answer
	HintConfirm Hint = "confirm" // buttons: the empty answer is yes, no is ErrInterrupted; on a terminal a word is typed
	HintNotice  Hint = "none"    // no answer, shown until ctx ends ("touch your key"); nothing is read
)

// maxAnswer bounds an answer, in bytes. A Linux terminal in line mode holds
// 4,095, so no line that a person can type is longer.
const maxAnswer = 4096

// Ask asks q and returns the answer without its newline, in a buffer that is
// nobody else's: clear it when it was used. It asks on /dev/tty, or by the
// program in SSH_ASKPASS, by the rule of ssh (readpass.c): the program is for
// when there is no terminal, and needs a DISPLAY or WAYLAND_DISPLAY;
// SSH_ASKPASS_REQUIRE=prefer puts it first, force also without a display,
// never forbids it.
//
// When ctx ends, because somebody else answered, the question goes away, the
// terminal is restored and ctx's error is returned. ^C returns ErrInterrupted
// and leaves the program running; ^Z stops it, and the question is asked again
// when it continues; SIGHUP, SIGTERM and SIGQUIT have their usual effect, after
// the terminal was restored. Those signals also reach channels on which the
// program asked for them itself; SIGHUP, SIGTERM and SIGQUIT do so twice.
//
// What was typed before the question was asked does not answer it and is
// dropped; what is typed behind the answer stays for the next reader. Only one
// question is to be asked at a time, and nothing else may read the terminal
// meanwhile.
func Ask(ctx context.Context, q Question) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	allowed, first := askpassRule(os.Getenv)
	err := ErrNoTerminal
	if !first {
		var answer []byte
		if answer, err = askTerminal(ctx, q); !errors.Is(err, ErrNoTerminal) {
			return answer, err
		}
	}
	if !allowed {
		return nil, err
	}
	return askProgram(ctx, q)
}

// askpassRule says whether an SSH_ASKPASS program may be used at all, and
// whether it goes before the terminal.
func askpassRule(getenv func(string) string) (allowed, first bool) {
	allowed = getenv("DISPLAY") != "" || getenv("WAYLAND_DISPLAY") != ""
	switch strings.ToLower(getenv("SSH_ASKPASS_REQUIRE")) {
	case "force":
		return true, true
	case "prefer":
		return allowed, allowed
	case "never":
		return false, false
	}
	return allowed, false
}
