package main

// Rules of what a person sees: a command's stdout and stderr are the command's
// alone. Whatever muxc itself has to say is one line on stderr that begins with
// "muxc: ", lower case, without a full stop. Questions go to the terminal.
// What takes longer than a second says so, on a terminal only.

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strconv"
	"sync"
	"time"

	"muxd/control"
	"muxd/internal/term"
	"muxd/socket"
)

// patience is how long a login may take before a person is told about it.
const patience = time.Second

// ui is the person's side of an operation; it implements control.Handler.
type ui struct {
	dest string // as typed
	pid  int    // of muxd
	tty  [3]bool
	op   *control.Op

	mu       sync.Mutex
	state    *term.State // guarded by mu; the terminal's, while it is raw
	opened   bool        // guarded by mu
	plan     *control.Plan
	waiting  *time.Timer // guarded by mu; says that the login takes long
	watched  bool        // guarded by mu; watchEnd was called
	noReader bool        // owned by Op.Wait; stdout has no reader any more
}

func newUI(dest string) *ui { return &ui{dest: dest} }

// begin is called when the request was sent.
func (u *ui) begin(op *control.Op) {
	u.op = op
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.tty[2] && u.waiting == nil {
		u.waiting = time.AfterFunc(patience, u.stillWaiting)
	}
	u.watchEnd()
}

func (u *ui) stillWaiting() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.opened && u.waiting != nil {
		os.Stderr.WriteString("muxc: " + u.dest + ": waiting for the connection (^C cancels)\n")
	}
}

// quietWaiting ends the hint that the login takes long. Called with mu held.
func (u *ui) quietWaiting() {
	if u.waiting != nil {
		u.waiting.Stop()
	}
	u.waiting = nil
}

// Opened implements control.Handler.
func (u *ui) Opened(p *control.Plan) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.quietWaiting()
	u.opened, u.plan = true, p
	if p.TTY && u.tty[0] {
		if st, err := term.Raw(0); err == nil {
			u.state = st
		}
		u.watchSize()
	}
	if p.StdinNull {
		go u.op.CloseStdin()
		return
	}
	go u.stdin(p)
}

// Stdout implements control.Handler.
func (u *ui) Stdout(b []byte) error {
	if u.noReader {
		return nil // said once
	}
	err := writeAll(1, b)
	u.noReader = err != nil
	return err
}

// Stderr implements control.Handler.
func (u *ui) Stderr(b []byte) error { return writeAll(2, b) }

// Notice implements control.Handler.
func (u *ui) Notice(text string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.print(text)
}

// print writes text of ours, with the line ends that a raw terminal needs.
// Called with mu held.
func (u *ui) print(text string) {
	b := []byte(text)
	if len(b) == 0 || b[len(b)-1] != '\n' {
		b = append(b, '\n')
	}
	if u.state != nil {
		b = bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n"))
	}
	writeAll(2, b)
}

// Prompt implements control.Handler. A question that the server phrased is
// marked as such, so that it cannot pass for one of ours.
func (u *ui) Prompt(ctx context.Context, q control.Prompt) (control.Answer, error) {
	u.mu.Lock()
	u.quietWaiting()
	u.mu.Unlock()
	text := q.Text
	if q.Remote {
		text = "(" + q.Host + ") " + text
	}
	b, err := term.Ask(ctx, term.Question{Prompt: text, Echo: q.Kind != control.PromptSecret})
	if errors.Is(err, term.ErrInterrupted) {
		// ^C ends this client, and nobody else's wait for the same login.
		u.leave("", exitFailed)
	}
	if err != nil {
		return control.Answer{}, control.ErrNobody
	}
	a := control.Answer{Text: string(b)}
	clear(b)
	return a, nil
}

// restore gives the terminal back as it was found. It may be called again.
func (u *ui) restore() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.quietWaiting()
	if u.state != nil {
		u.state.Restore()
		u.state = nil
	}
}

// fail prints why the request failed: one line.
func (u *ui) fail(err error) {
	if u.op != nil && u.op.Plan().Quiet {
		return
	}
	os.Stderr.WriteString("muxc: " + u.explain(err) + "\n")
}

func (u *ui) explain(err error) string {
	var e *control.Error
	switch {
	case errors.As(err, &e) && e.Host != "":
		return e.Error()
	case errors.Is(err, control.ErrGone):
		return u.gone()
	case errors.Is(err, control.ErrSilent), errors.Is(err, control.ErrNotTaken):
		return u.dest + ": " + err.Error() + " (pid " + strconv.Itoa(u.pid) + ")"
	case errors.Is(err, socket.ErrNoServer):
		return u.dest + ": no connection: muxd is not running"
	}
	return u.dest + ": " + err.Error()
}

// gone is what can be said when muxd ended without a last word.
func (u *ui) gone() string {
	text := u.dest + ": muxd (pid " + strconv.Itoa(u.pid) + ") went away; the command may "
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.opened {
		return text + "still be running"
	}
	return text + "have run"
}

// exitCode is the status of this process for a command's end: the command's
// own, or 128+n and a line for a signal n.
func (u *ui) exitCode(x control.Exit) int {
	if x.Signal == "" {
		return int(x.Code & 0xff)
	}
	n := signalNumber(x.Signal)
	if u.noReader && x.Signal == "PIPE" {
		return 128 + n // our reader went away; that is no news to anybody
	}
	text := u.dest + ": the command was killed by signal " + x.Signal
	if x.Core {
		text += " (core dumped)"
	}
	if x.Message != "" {
		text += ": " + x.Message
	}
	u.restore()
	if !u.op.Plan().Quiet {
		os.Stderr.WriteString("muxc: " + text + "\n")
	}
	return 128 + n
}

// leave ends this process at once: the terminal first, then a line if there is
// something to say. The closed socket tells muxd.
func (u *ui) leave(text string, code int) {
	u.restore()
	if text != "" {
		os.Stderr.WriteString(text + "\n")
	}
	os.Exit(code)
}
