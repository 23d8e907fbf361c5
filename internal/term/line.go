package term

import "fmt"

// line collects an answer. Its buffer never grows: growing would leave copies
// of a secret behind.
type line struct {
	buf  []byte
	done bool // its end was seen
	long bool // it did not fit; what follows is dropped, not left to a shell
}

// add takes the next byte.
func (l *line) add(c byte) {
	if l.buf == nil {
		l.buf = make([]byte, 0, maxAnswer)
	}
	switch {
	case l.done:
	case c == '\n' || c == '\r':
		l.done = true
	case len(l.buf) == cap(l.buf):
		l.long = true
	default:
		l.buf = append(l.buf, c)
	}
}

// take returns the answer; an empty one is not nil.
func (l *line) take() ([]byte, error) {
	if l.long {
		l.wipe()
		return nil, fmt.Errorf("the answer is longer than %d bytes", maxAnswer)
	}
	if l.buf == nil {
		l.buf = []byte{}
	}
	return l.buf, nil
}

func (l *line) wipe() { clear(l.buf[:cap(l.buf)]) }
