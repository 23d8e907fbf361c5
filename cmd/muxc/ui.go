package main

// Rules of what a person sees: a command's stdout and stderr are the command's
// alone. Whatever muxc itself has to say is one line on stderr that begins with
// "muxc: ", lower case, without a full stop. Questions go to the terminal.
// What takes longer than a second says so, on a terminal only.

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"muxd/control"
	"muxd/internal/term"
	"muxd/socket"
)

// ui is the person's side of an operation; it implements control.Handler.
type ui struct {
	dest string // as typed
	pid  int    // of muxd
	conn *socket.Conn
	tty  [3]bool
	log  logTo // where our lines go; nil is stderr
	wait waitLine

	passes bool     // FdPass: the connection is for whoever started us
	pair   *os.File // our end of it, owned by the main goroutine

	quiet   bool           // -q was given, which is known before there is a plan
	verbose bool           // -v was
	json    bool           // ErrorFormat=json was given, likewise
	size    control.Window // the terminal's, as the request told it

	// asking is held while a question is on the terminal, which is then Ask's
	// to read and to give back, and while a child runs. It is taken before mu.
	asking      sync.Mutex
	toldProgram bool // guarded by asking; said that SSH_ASKPASS cannot be run

	mu       sync.Mutex
	op       *control.Op // guarded by mu; written by the main goroutine, which needs no lock to read it
	state    *term.State // guarded by mu; the terminal's, while it is raw
	opened   bool        // guarded by mu
	openedAt time.Time   // guarded by mu
	plan     *control.Plan
	input    *input             // guarded by mu; who reads stdin, where that may have to stop or to wait
	watched  bool               // guarded by mu; watchEnd was called
	sized    bool               // guarded by mu; watchSize was called
	ending   bool               // guarded by mu; a signal ends this process
	signal   syscall.Signal     // guarded by mu; that signal
	withdraw context.CancelFunc // guarded by mu; takes the question back that is asked, or ends the child
	noReader bool               // owned by Op.Wait; stdout has no reader any more
	printed  bool               // owned by Op.Wait; stdout was written

	midLine atomic.Bool // the terminal of a session was left in the middle of a line
}

func newUI(dest string) *ui { return &ui{dest: dest, wait: waitLine{host: dest}} }

// begin is called when the request was sent.
func (u *ui) begin(op *control.Op) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.op = op
	u.wait.begin(op)
	u.watchEnd()
}

// operation is the one under way.
func (u *ui) operation() *control.Op {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.op
}

// isOpen reports that the session is open, or was.
func (u *ui) isOpen() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.opened
}

// Opened implements control.Handler.
func (u *ui) Opened(p *control.Plan) {
	if p.FdPass || u.passes {
		u.passOn(p)
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.wait.end()
	u.opened, u.openedAt, u.plan = true, time.Now(), p
	if p.Background {
		u.mu.Unlock()
		u.toBackground()
	}
	if p.TTY && u.tty[0] && !p.StdinNull { // raw and unread, it would not even take ^C
		if st, err := term.Raw(0); err == nil {
			u.state = st
		}
		u.watchSize()
	} else if p.Serves {
		go u.relaySize(u.op)
	}
	if !u.op.WantsStdin() { // it is read by muxd, or by nobody
		return
	}
	if u.state != nil {
		u.input = newInput()
	}
	if isNull(0) { // cron's, a service's, a loop's: the end is all there is to read
		u.op.CloseStdin()
		return
	}
	go u.stdin(u.op, p, u.input)
}

// Stdout implements control.Handler.
func (u *ui) Stdout(b []byte) error {
	if u.noReader {
		return nil // said once
	}
	if !u.printed { // it may be a text, and no session
		u.printed = true
		u.wait.end()
	}
	err := writeAll(1, b)
	u.noReader = err != nil
	u.wrote(b)
	return err
}

// Stderr implements control.Handler.
func (u *ui) Stderr(b []byte) error {
	u.wrote(b)
	return writeAll(2, b)
}

// StdoutEOF implements control.Handler: whoever reads our stdout may wait for
// its end. Something must stay under its number, or the next file would.
func (u *ui) StdoutEOF() {
	if null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0); err == nil {
		unix.Dup2(int(null.Fd()), 1)
		null.Close()
	}
}

// wrote notes where output leaves the cursor of a session's terminal.
func (u *ui) wrote(b []byte) {
	if n := len(b); n > 0 && u.op.Plan().TTY {
		u.midLine.Store(b[n-1] != '\n')
	}
}

// say writes a line of ours, on a line of its own also when the remote prompt
// stands before it.
func (u *ui) say(text string, end string) {
	if u.log != nil {
		u.log.logged(text)
		return
	}
	if u.midLine.Swap(false) && u.tty[2] {
		text = end + text
	}
	u.wait.aside(func() { writeAll(2, []byte(text+end)) })
}

// Notice implements control.Handler.
func (u *ui) Notice(text string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.print(text)
}

// print writes text of ours, with the line ends that a raw terminal needs.
// Called with mu held.
func (u *ui) print(text string) {
	end := "\n"
	if u.state != nil {
		end = "\r\n"
	}
	u.say(strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", end), end)
}

// Prompt implements control.Handler.
func (u *ui) Prompt(ctx context.Context, q control.Prompt) (control.Answer, error) {
	u.asking.Lock()
	defer u.asking.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if !u.mayAsk(cancel) {
		return control.Answer{}, control.ErrInterrupted
	}
	holds := u.isOpen() // it is about others' requests, and a no ends theirs and not this process
	b, err := term.Ask(ctx, term.Question{Above: askedBy(q.Host), Prompt: q.Phrased(), Echo: q.Kind != control.PromptSecret})
	if holds && err != nil {
		if u.withdrawn(false) {
			u.die()
		}
		return control.Answer{}, control.ErrNobody
	}
	u.asked(err)
	if err != nil {
		return control.Answer{}, control.ErrNobody
	}
	a := control.Answer{Text: string(b)}
	clear(b)
	return a, nil
}

// mayAsk says whether the person can still be asked, and lets a signal take
// the question back.
func (u *ui) mayAsk(withdraw context.CancelFunc) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.wait.hold()
	u.withdraw = withdraw
	return !u.ending
}

// asked ends this process when the question was interrupted: this client
// alone, and nobody else's wait for the same login. ^C says enough by itself;
// an SSH_ASKPASS that failed does not, nor does one that cannot be run.
func (u *ui) asked(err error) {
	ending := u.withdrawn(false)
	by, ended := term.EndedBy(err)
	var dialog *term.AskpassError
	var program *term.ProgramError
	switch {
	case errors.As(err, &dialog):
		u.leave(u.line(failure{phase: control.Refused, host: u.dest, text: err.Error()}), exitFailed)
	case errors.Is(err, term.ErrDeclined):
		u.leave("", exitFailed)
	case ending:
		u.die()
	case ended: // and watchEnd has not come to it yet, if it will
		u.mu.Lock()
		u.ending, u.signal = true, by
		u.mu.Unlock()
		u.die()
	case errors.As(err, &program) && !u.quiet && !u.toldProgram:
		u.toldProgram = true
		u.say("muxc: "+u.prefix()+err.Error(), "\n")
	}
}

// withdrawn says that nothing is asked any more, and whether a signal ends this
// process. After a child the line about the wait comes again.
func (u *ui) withdrawn(child bool) (ending bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.withdraw = nil
	u.wait.release(child && !u.ending)
	return u.ending
}

// restore gives the terminal back as it was found. It may be called again.
func (u *ui) restore() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.wait.end()
	if u.state != nil {
		u.state.Restore()
		u.state = nil
	}
}

// exitCode is the status of this process for a command's end: the command's
// own, or 128+n and a line for a signal n.
func (u *ui) exitCode(x control.Exit) int {
	if x.Signal == "" {
		return int(x.Code & 0xff)
	}
	n := control.SignalNumber(x.Signal)
	if x.Signal == "PIPE" && (u.noReader || unread(1)) {
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
		u.say("muxc: "+text, "\n")
	}
	return 128 + n
}

// leave ends this process at once: the terminal first, then a line if there is
// something to say. The closed socket tells muxd.
func (u *ui) leave(text string, code int) {
	u.restore()
	if text != "" {
		u.say(text, "\n")
	}
	os.Exit(code)
}

// Waiting implements control.Prompter.
func (u *ui) Waiting(w control.Waiting) {
	if u.op.Plan().Quiet {
		u.wait.end()
		return
	}
	u.wait.update(w)
}

// Impatient implements control.Prompter; Enter is told by Op.Retry.
func (*ui) Impatient() <-chan struct{} { return nil }
