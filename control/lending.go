package control

import "context"

// lending is the client's side of terminal.go.
type lending struct {
	wanted    bool   // the server asks for the terminal's input
	lent      bool   // and reads it
	rest      []byte // what it read and gave back
	lineStart bool   // what it read before that ended at the end of a line
}

// passTerminal answers for the output, and notes that the input is wanted, for
// whoever reads it.
func (o *Op) passTerminal(h Handler, which uint8) {
	fd := NotPassed
	p, ok := h.(TerminalPasser)
	if _, can := o.conn.(FDConn); ok && can {
		fd = p.Terminal()
	}
	switch {
	case which&passedStdin != 0:
		o.mu.Lock()
		o.term.wanted = fd != NotPassed
		o.mu.Unlock()
	case fd == NotPassed:
		o.sendPassed(Stdio{NotPassed, NotPassed, NotPassed})
	default:
		o.w.sendFDs(framePassed, []byte{which}, []int{fd})
	}
}

// terminalBack is a Back frame.
func (o *Op) terminalBack(h Handler, b []byte) error {
	d := decoder{b: b}
	flags := d.u8()
	if d.err != nil {
		return d.err
	}
	if p, ok := h.(TerminalPasser); ok {
		p.TerminalBack(flags&backMidLine != 0)
	}
	o.mu.Lock()
	o.term = lending{rest: append([]byte(nil), d.b...), lineStart: flags&backLineStart != 0}
	o.mu.Unlock()
	o.cond.Broadcast()
	return nil
}

// awaitBack waits until the server does not read the terminal, which it gives back
// for a question.
func (o *Op) awaitBack(ctx context.Context) {
	defer context.AfterFunc(ctx, func() {
		o.mu.Lock() // or it would be missed between the look and the wait
		defer o.mu.Unlock()
		o.cond.Broadcast()
	})()
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.term.lent && !o.over && ctx.Err() == nil {
		o.cond.Wait()
	}
}

// WantsTerminal reports that the server asks for the input of the terminal. All
// that was read before must have been sent.
func (o *Op) WantsTerminal() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.term.wanted
}

// LendTerminal has the server read the terminal, until it has had enough of it. It
// returns what was typed and is the client's, and whether what the session had
// before that ended at the end of a line, as midLine says of what was sent
// before. False is the end of the operation.
func (o *Op) LendTerminal(midLine bool) (rest []byte, lineStart, ok bool) {
	which := uint8(passedStdin | passedTerminal)
	if midLine {
		which |= passedMidLine
	}
	o.mu.Lock()
	o.term = lending{lent: true}
	o.mu.Unlock()
	o.w.send(framePassed, []byte{which})
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.term.lent && !o.over {
		o.cond.Wait()
	}
	return o.term.rest, o.term.lineStart, !o.over
}
