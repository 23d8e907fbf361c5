package main

import (
	"golang.org/x/sys/unix"

	"muxd/control"
	"muxd/internal/term"
)

// stdinPiece is how much standard input travels in one frame.
const stdinPiece = 64 << 10

// stdin sends standard input for as long as the session takes it. It never
// reads more than there is credit for: what is not sent stays for whoever
// reads this input next.
//
// in, where it is not nil, makes it stop while the terminal goes on being read:
// by the line that waits for the next session, and then by that.
func (u *ui) stdin(op *control.Op, p *control.Plan, in *input) {
	defer in.left()
	b := make([]byte, control.StdinRoom+stdinPiece)
	var esc *term.Escaper
	if p.TTY && p.Escape != control.NoEscape {
		esc = term.NewEscaper(p.Escape)
	}
	ahead := u.wait.typedAhead()
	for {
		if len(ahead) == 0 && op.WantsTerminal() {
			var over bool
			if ahead, over = lend(op, esc); over {
				return
			}
		}
		n := op.Credit()
		if n == 0 || len(ahead) == 0 && !in.ready() {
			return
		}
		if len(ahead) == 0 && in != nil && u.answered() {
			continue
		}
		room := b[control.StdinRoom : control.StdinRoom+min(n, stdinPiece)]
		var err error
		if n = copy(room, ahead); n > 0 {
			ahead = ahead[n:]
		} else if n, err = readSome(0, room); n == 0 || err != nil {
			op.CloseStdin()
			return
		}
		if esc == nil {
			err = op.Stdin(b[:control.StdinRoom+n])
		} else {
			err = u.typed(op, esc, room[:n])
		}
		if err != nil {
			return
		}
	}
}

// answered waits while a question stands on the terminal, and reports that it has
// taken what there was to read. A read must not wait there: it would take the
// answer. Nor may it hold the turn of the questions, because the kernel may stop
// us in it, and have us wait in it once the shell has read what there was.
func (u *ui) answered() bool {
	u.asking.Lock()
	defer u.asking.Unlock()
	n, err := unix.Poll([]unix.PollFd{{Events: unix.POLLIN}}, 0)
	return n == 0 && err == nil
}

// lend has muxd read the terminal, and returns what it gave back, or that the
// session is over. An escape of which the half was typed is finished here.
func lend(op *control.Op, esc *term.Escaper) (ahead []byte, over bool) {
	midLine, whole := false, true
	if esc != nil {
		midLine, whole = esc.MidLine()
	}
	if !whole {
		return nil, false
	}
	ahead, lineStart, ok := op.LendTerminal(midLine)
	if esc != nil {
		esc.Resume(lineStart)
	}
	return ahead, !ok
}
