package wire

import (
	"errors"
	"net"
	"testing"

	"muxd/internal/sshtest"
)

// Nothing is written to a connection whose reading has ended: a channel open
// that went out in between would never be answered, and its goroutine stay.
func TestNoWriteBehindTheLastRead(t *testing.T) {
	near, far := sshtest.Pipe()
	w := New(near)
	defer w.Close()
	if _, err := w.Write([]byte("before")); err != nil {
		t.Fatal(err)
	}
	far.Close()
	for b := make([]byte, 16); ; {
		if _, err := w.Read(b); err != nil {
			break
		}
	}
	if n, err := w.Write([]byte("behind")); n != 0 || !errors.Is(err, net.ErrClosed) {
		t.Errorf("%d, %v", n, err)
	}
}
