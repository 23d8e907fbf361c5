package control_test

import (
	"context"
	"errors"
	"os"
	"syscall"
	"testing"

	"muxd/control"
	"muxd/control/controltest"
	"muxd/internal/sshtest"
)

// Output for which there is no room is no success, whether the client writes it or
// muxd does; a reader that went away is no error.
func TestOutputForWhichThereIsNoRoom(t *testing.T) {
	for _, c := range []struct {
		err  error
		size int // beyond control.PassFrom muxd writes
		want string
	}{
		{syscall.ENOSPC, 10, "h: standard output: no space left on device; some of the output is missing"},
		{syscall.EFBIG, 10, "h: standard output: file too large; some of the output is missing"},
		{syscall.EPIPE, 10, ""},
		{nil, 4 * control.PassFrom, "h: standard output: no space left on device; some of the output is missing"},
	} {
		r := newRig(t, sessions(false, func(_ context.Context, s *controltest.Stream) {
			s.Out.Write(noise(c.size, 1))
			s.End(control.Exit{}, nil)
		}))
		sshtest.Require(t, "/dev/full")
		f, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		h := newPasser()
		h.out[1] = number(t, f)
		h.OnStdout = func([]byte) error { return c.err }
		_, ch := r.run(h)
		o := controltest.Get(t, ch)
		var e *control.Error
		switch {
		case c.want == "" && o.err == nil:
		case !errors.As(o.err, &e) || e.Phase != control.Running || e.Error() != c.want:
			t.Errorf("%v, %d bytes: %+v, want %q", c.err, c.size, o, c.want)
		}
	}
}
