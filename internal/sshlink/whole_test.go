package sshlink

import (
	"errors"
	"io"
	"testing"
)

// granting gives bytes with the error of the write that grants for them, and
// then the end.
type granting struct{ left int }

func (g *granting) Read(p []byte) (int, error) {
	if g.left == 0 {
		return 0, io.EOF
	}
	g.left--
	p[0] = 'x'
	return 1, errors.New("connection reset by peer")
}

// What came is read to its end also where nothing can be written any more.
func TestReadToTheEnd(t *testing.T) {
	if b, err := io.ReadAll(whole{&granting{left: 5}}); string(b) != "xxxxx" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
}
