package main

import (
	"muxd/control"
	"muxd/internal/term"
)

// stdinPiece is how much standard input travels in one frame.
const stdinPiece = 64 << 10

// stdin sends standard input for as long as the session takes it. It never
// reads more than there is credit for: what is not sent stays for whoever
// reads this input next.
func (u *ui) stdin(p *control.Plan) {
	b := make([]byte, control.StdinRoom+stdinPiece)
	var esc *term.Escaper
	if p.TTY && p.Escape != control.NoEscape {
		esc = term.NewEscaper(p.Escape)
	}
	for {
		n := u.op.Credit()
		if n == 0 {
			return
		}
		n, err := readSome(0, b[control.StdinRoom:control.StdinRoom+min(n, stdinPiece)])
		if n == 0 || err != nil {
			u.op.CloseStdin()
			return
		}
		if esc == nil {
			err = u.op.Stdin(b[:control.StdinRoom+n])
		} else {
			err = u.typed(esc, b[control.StdinRoom:control.StdinRoom+n])
		}
		if err != nil {
			return
		}
	}
}
