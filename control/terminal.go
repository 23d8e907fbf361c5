package control

import (
	"errors"
	"sync"
	"time"

	"muxd/internal/fdio"
)

// A key that travels through the client wakes it twice, on its way and on the
// echo's. So who types has muxd read and write the terminal itself, once the
// client has shown by a key of its own reading that it is in the foreground:
//
//	server ── Pass ──► client     behind the last frame of output
//	server ◄─ Passed ─ client     with the terminal, which muxd writes from now on
//	server ── Pass ──► client     and now its input
//	server ◄─ Passed ─ client     behind the last frame of input
//	server ── Back ──► client     at an escape, for a question, or at the least doubt
//
// What muxd reads is only ever bytes for the session. All the rest, which is
// escapes, job control and hanging up, is the client's as before: for it muxd
// gives the terminal back, and the kernel stops whom it has to stop.

// terminalPiece is how much is read at once: what a terminal holds.
const terminalPiece = 4 << 10

// terminalStuck is how long the session may take to take what was typed. Longer,
// and the client reads again: somebody who waits for a connection that is dead
// must be heard when they end the session by an escape.
const terminalStuck = 200 * time.Millisecond

// TerminalPasser is a Passer with a terminal that the server may use.
type TerminalPasser interface {
	Passer
	// Terminal is the descriptor of the terminal that standard input, output and
	// error are, or NotPassed.
	Terminal() int
	// TerminalBack says that the server has stopped writing there, or reading, and
	// whether its output ended in the middle of a line.
	TerminalBack(midLine bool)
}

// The flags of a Back frame.
const (
	backMidLine   = 1 << 0 // the output ended in the middle of a line
	backLineStart = 1 << 1 // the input that was read ended at the end of one
)

// line is what is to be known of a terminal by whoever reads and writes it next.
type line struct {
	escape int // written before the pumps begin; the escape character, or NoEscape

	mu        sync.Mutex
	lineStart bool // guarded by mu; what is typed next begins a line
	midLine   bool // guarded by mu; the output ended in the middle of one
}

// terminal returns the client's, nil while that uses it itself.
func (p *passed) terminal() *fdio.Terminal {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.term
}

// toRead is terminal for who reads there, which is the client while it asks.
func (p *passed) toRead() *fdio.Terminal {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.term == nil || p.asking > 0 {
		return nil
	}
	p.term.Resume()
	return p.term
}

// forQuestion leaves reading the terminal to the client, which has a question for
// the person, until answered is called.
func (p *passed) forQuestion() (answered func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asking++
	if p.term != nil {
		p.term.Interrupt()
	}
	return func() {
		p.mu.Lock()
		p.asking--
		p.mu.Unlock()
	}
}

// takeTerminal is a Passed frame that speaks of the terminal: for output it comes
// with it, and for input without.
func (o *operation) takeTerminal(which uint8) error {
	p := &o.passed
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	switch {
	case which&passedStdin != 0 && p.wanted&passedStdin != 0:
		p.wanted &^= passedStdin
		o.line.mu.Lock()
		o.line.lineStart = which&passedMidLine == 0
		o.line.mu.Unlock()
		o.in.lend(true)
		return nil
	case which&passedStdin != 0 || p.wanted&passedStdout == 0 || len(p.came) == 0:
		return errPassed
	}
	p.wanted &^= passedStdout
	t, err := fdio.NewTerminal(p.came[0], o.pid)
	p.came = p.came[1:]
	switch {
	case err == nil:
		p.term = t
	case errors.Is(err, fdio.ErrAway): // by now; it may come back, and type again
		p.asked = false
		o.typed.Store(false)
	}
	p.answer <- struct{}{}
	return nil
}

// onTerminal writes b[frameHeader:] to the terminal, and returns what is left for
// frames, with room for a header before it. A client that does not have its
// terminal in front writes, or waits, as the kernel has it do.
func (o *operation) onTerminal(b []byte) []byte {
	t := o.passed.terminal()
	if t == nil {
		return b
	}
	n, err := t.Write(b[frameHeader:])
	if n > 0 {
		o.line.mu.Lock()
		o.line.midLine = b[frameHeader+n-1] != '\n'
		o.line.mu.Unlock()
	}
	if err == nil {
		return nil
	}
	o.passed.mu.Lock()
	closed := o.passed.closed
	if o.passed.term == t {
		o.passed.term, o.passed.asked = nil, false
	}
	o.passed.mu.Unlock()
	if closed {
		return nil // the client has left
	}
	o.typed.Store(false)
	t.Close() // and whoever reads there gives that back
	return b[n:]
}

// carryTerminal copies what is typed to the session until that is the client's
// affair again, which it reports, or nobody's any more.
func (o *operation) carryTerminal(st Stream, m *Meter) bool {
	t := o.passed.toRead()
	if t == nil {
		o.giveBack(nil)
		return true
	}
	b := make([]byte, terminalPiece)
	for {
		n, err := t.Read(b)
		if err != nil {
			if o.passed.over() {
				return false
			}
			o.giveBack(nil)
			return true
		}
		session, rest := o.line.sort(b[:n])
		back, err := o.hurry(st, m, session, rest)
		switch {
		case err != nil: // the session takes no more, but the client is still to hear an escape
			if !back {
				o.giveBack(rest)
			}
			return false
		case back:
			return true
		case len(rest) > 0:
			o.giveBack(rest)
			return true
		}
	}
}

// askInput asks for the client's input, if so much of it has come that it is
// bulk, or somebody types. Of a terminal its output comes first.
func (o *operation) askInput(taken int) (asked bool) {
	if !o.onTTY {
		return taken >= passFrom && o.askFor(passedStdin)
	}
	o.typed.Store(true)
	return o.passed.terminal() != nil && o.askFor(passedStdin|passedTerminal)
}

// endTerminal tells a client whose terminal muxd has used where the output ended.
func (o *operation) endTerminal() {
	if o.passed.terminal() != nil {
		o.w.hold(frameBack, []byte{o.line.flags()})
	}
}

// hurry writes to the session. Where that takes its time, the terminal is given
// back meanwhile, with the rest that stands behind.
func (o *operation) hurry(st Stream, m *Meter, b, rest []byte) (back bool, err error) {
	if len(b) == 0 {
		return false, nil
	}
	gave := make(chan struct{})
	late := time.AfterFunc(terminalStuck, func() {
		defer close(gave)
		o.giveBack(rest)
	})
	n, err := st.Write(b)
	m.In.Add(int64(n))
	if !late.Stop() {
		<-gave
		back = true
	}
	return back, err
}

// giveBack has the client read its terminal again, after the bytes that muxd read
// and are not the session's. From here on its frames count again.
func (o *operation) giveBack(rest []byte) {
	o.in.lend(false)
	o.w.post(frameBack, append([]byte{o.line.flags()}, rest...), heldCancels)
}

// flags are those of a Back frame.
func (l *line) flags() (f uint8) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.midLine {
		f |= backMidLine
	}
	if l.lineStart {
		f |= backLineStart
	}
	return f
}

// sort tells what is the session's from what may be an escape, and what comes
// behind that: at the beginning of a line, the client looks (term.Escaper).
func (l *line) sort(b []byte) (session, rest []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, c := range b {
		if l.lineStart && int(c) == l.escape {
			return b[:i], b[i:]
		}
		l.lineStart = c == '\r' || c == '\n'
	}
	return b, nil
}

// errLent ends the frames of a client whose terminal is read here.
var errLent = errors.New("the client's terminal is read here")

// lend says whether the client's terminal is read here, and so its frames are at
// an end for a while.
func (q *stdinQueue) lend(on bool) {
	q.mu.Lock()
	q.lent = on
	q.mu.Unlock()
	q.cond.Signal()
}

// over reports that the operation has ended, or its client.
func (p *passed) over() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closed
}
