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
		text = Cut(text, l.Width())
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

// Width is how many columns may be used: not the last one, where some
// terminals would go to the next line.
func (l *StatusLine) Width() int {
	w, err := Size(l.fd)
	if err != nil || w.Cols == 0 {
		return 79
	}
	return int(w.Cols) - 1
}

// Columns is how wide text is at most: a character that may be two columns wide
// counts as two.
func Columns(text string) int {
	n := 0
	for _, r := range text {
		n += columns(r)
	}
	return n
}

// columns takes everything from the first wide script on for wide: a line that
// is cut too early is a line still, one that wraps is not.
func columns(r rune) int {
	if r >= 0x1100 {
		return 2
	}
	return 1
}

// Cut keeps text within so many columns, by an ellipsis.
func Cut(text string, most int) string {
	switch {
	case Columns(text) <= most:
		return text
	case most <= 0:
		return ""
	}
	used := 0
	for i, r := range text {
		if used += columns(r); used > most-columns('…') {
			return strings.TrimRight(text[:i], " ") + "…"
		}
	}
	return text
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
