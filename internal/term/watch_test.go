package term

import (
	"fmt"
	"io"
	"testing"

	"golang.org/x/sys/unix"
)

// Whoever ends by the signal that ended a question ends by that one: of HUP not as
// by ^C, though both are ErrInterrupted.
func TestEndedBy(t *testing.T) {
	for _, s := range []unix.Signal{unix.SIGHUP, unix.SIGTERM, unix.SIGQUIT} {
		err := fmt.Errorf("box: %w: %w", ErrInterrupted, reason(s))
		if by, ok := EndedBy(err); by != s || !ok {
			t.Errorf("%v: %v, %v", s, by, ok)
		}
	}
	if by, ok := EndedBy(reason(unix.SIGINT)); by != unix.SIGINT || !ok {
		t.Errorf("^C: %v, %v", by, ok)
	}
	if by, ok := EndedBy(io.EOF); ok {
		t.Errorf("EOF: %v", by)
	}
}
