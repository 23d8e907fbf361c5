package term

import (
	"strings"

	"golang.org/x/sys/unix"
)

// StatusLine is one line at a terminal that is drawn again in its place. While
// the process is in the background nothing is drawn: the line under the cursor
// is then the shell's. Used by one goroutine at a time.
type StatusLine struct {
	fd    int
	dumb  bool   // the terminal knows no escapes: a line stays where it is
	shown string // what stands there, "" for nothing
}

// NewStatusLine returns a line at the terminal fd. name is the value of TERM:
// without one, or with "dumb", there are no escapes and so no drawing again.
func NewStatusLine(fd int, name string) *StatusLine {
	return &StatusLine{fd: fd, dumb: name == "" || name == "dumb"}
}

// Dumb reports a terminal at which lines stay: show it what is new only.
func (l *StatusLine) Dumb() bool { return l.dumb }

// Show draws text in place of what stands there, cut to the terminal's width.
// It writes nothing if that is the same.
func (l *StatusLine) Show(text string) {
	switch {
	case inBackground(l.fd):
		l.shown = ""
	case l.dumb:
		l.write(text + "\n")
	default:
		text = cut(text, l.width())
		if text != l.shown {
			l.write("\r" + text + "\x1b[K")
		}
		l.shown = text
	}
}

// Erase takes the line away and leaves the cursor where it began.
func (l *StatusLine) Erase() {
	if l.shown != "" && !inBackground(l.fd) {
		l.write("\r\x1b[K")
	}
	l.shown = ""
}

// Forget says that somebody else wrote to the terminal, and the next Show is to
// draw where the cursor is.
func (l *StatusLine) Forget() { l.shown = "" }

// Up says that the person's Enter moved the cursor below the line: it goes
// back, and the next Show draws over what stands there.
func (l *StatusLine) Up() {
	if l.shown != "" && !inBackground(l.fd) {
		l.write("\x1b[A")
	}
	l.shown = ""
}

// width is how many columns may be used: not the last one, where some
// terminals would go to the next line.
func (l *StatusLine) width() int {
	w, err := Size(l.fd)
	if err != nil || w.Cols == 0 {
		return 79
	}
	return int(w.Cols) - 1
}

// cut keeps text within so many columns, by an ellipsis. Where a character may
// be two columns wide it counts as two, so that the line never wraps.
func cut(text string, columns int) string {
	used, end := 0, 0
	for i, r := range text {
		if used < columns {
			end = i // what is before it leaves room for the ellipsis
		}
		used++
		if r >= 0x1100 {
			used++
		}
	}
	switch {
	case used <= columns:
		return text
	case columns <= 0:
		return ""
	}
	return strings.TrimRight(text[:end], " ") + "…"
}

// write gives up rather than wait: a line that is missing is drawn again, and
// behind a ^S nobody reads it.
func (l *StatusLine) write(s string) {
	for b := []byte(s); len(b) > 0; {
		n, err := unix.Write(l.fd, b)
		switch err {
		case nil:
			b = b[n:]
		case unix.EINTR:
		default:
			return
		}
	}
}
