package control

import (
	"context"
	"errors"
	"strings"
	"time"
)

// PromptKind says what is asked, and so how SSH_ASKPASS shows it.
type PromptKind uint8

// The kinds of prompt.
const (
	// PromptSecret asks for a line that is not echoed.
	PromptSecret PromptKind = 1
	// PromptText asks for a line that is echoed.
	PromptText PromptKind = 2
	// PromptConfirm asks for yes, no or, for a host key, its fingerprint.
	PromptConfirm PromptKind = 3
)

// Prompt is a question to the person behind a request.
type Prompt struct {
	Kind   PromptKind
	Host   string // user@host the login is for
	Text   string // the question; cleaned before it is sent
	Remote bool   // the text is the server's, not ours
}

// Phrased is the question as it is put to a person. The line that a server's
// question ends with, where the person types, is marked: with newlines in it,
// it could show any question there.
func (q Prompt) Phrased() string {
	last := strings.LastIndexByte(q.Text, '\n') + 1
	mark := "(" + q.Host + ") "
	if !q.Remote || strings.HasPrefix(q.Text[last:], mark) {
		return q.Text
	}
	return q.Text[:last] + mark + q.Text[last:]
}

// Answer is what the person typed.
type Answer struct{ Text string }

// Errors of a Prompter.
var (
	// ErrNobody: there is no terminal and no SSH_ASKPASS, or BatchMode is set.
	ErrNobody = errors.New("nobody could be asked")
	// ErrInterrupted: the person refused to answer (^C).
	ErrInterrupted = errors.New("interrupted at the prompt")
	// errClientGone is neither: another client may be asked instead.
	errClientGone = errors.New("the client went away at the prompt")
)

// Prompter reaches the person behind a request. Its methods may be called from
// any goroutine, one at a time. A nil Prompter means that nobody is there.
type Prompter interface {
	// Prompt asks and waits for the answer, until ctx ends. The error is
	// ErrNobody, ErrInterrupted, ctx's, or that of a client that went away.
	Prompt(ctx context.Context, q Prompt) (Answer, error)
	// Run has a command run as the client's own child and waits for its end,
	// until ctx ends, which ends the command. The error is as for Prompt, or
	// says why the command did not start.
	Run(ctx context.Context, c Command) (Ran, error)
	// Notice shows a line (or lines) without asking for anything.
	Notice(text string)
	// Waiting tells how the wait for the connection stands, whenever that
	// changes. It never blocks the server; of states that the client has not
	// read yet only the newest counts. A client's Handler is called with it.
	Waiting(w Waiting)
	// Impatient yields when the person wants another attempt now; wishes that
	// come before the first was taken are one. Nil never does. It is for who
	// waits: a Handler returns nil, because its client says so by Op.Retry.
	Impatient() <-chan struct{}
}

// Waiting is how a request's wait for its connection stands.
type Waiting struct {
	Attempt  int           // the one under way, or the last one; 0 before the first
	Dialling bool          // an attempt is under way
	Next     time.Duration // to the next attempt; 0 where none is scheduled
	Silence  time.Duration // since the last byte of the connection that is silent or was lost; 0 where there was none
	Cause    string        // why the last attempt failed or the connection ended, "" where nothing did
}

// answerStatus is the first byte of an answer frame.
type answerStatus uint8

const (
	answerGiven       answerStatus = 0
	answerNobody      answerStatus = 1
	answerInterrupted answerStatus = 2
)

func (q Prompt) encode(id uint32) []byte {
	e := encoder{}
	e.u32(id)
	e.u8(uint8(q.Kind))
	e.str(CleanLine(q.Host))
	e.str(Clean(q.Text))
	e.bool(q.Remote)
	return e.b
}

func decodePrompt(b []byte) (id uint32, q Prompt, err error) {
	d := decoder{b: b}
	id = d.u32()
	q = Prompt{Kind: PromptKind(d.u8()), Host: d.str(), Text: d.str(), Remote: d.bool()}
	return id, q, d.done()
}

func encodeAnswer(id uint32, a Answer, err error) []byte {
	e := encoder{}
	e.u32(id)
	switch {
	case err == nil:
		e.u8(uint8(answerGiven))
		e.str(a.Text)
	case errors.Is(err, ErrInterrupted):
		e.u8(uint8(answerInterrupted))
		e.str("")
	default:
		e.u8(uint8(answerNobody))
		e.str("")
	}
	return e.b
}

func decodeAnswer(b []byte) (id uint32, a Answer, answer, err error) {
	d := decoder{b: b}
	id = d.u32()
	switch answerStatus(d.u8()) {
	case answerGiven:
	case answerInterrupted:
		answer = ErrInterrupted
	case answerNobody:
		answer = ErrNobody
	default:
		d.err = errShort
	}
	a.Text = d.str()
	if answer != nil && a.Text != "" {
		d.err = errShort
	}
	return id, a, answer, d.done()
}
