package dest

import (
	"testing"
	"time"

	"muxd/control"
)

func TestPatience(t *testing.T) {
	resolved(t, func(t *testing.T, r *rig) {
		for _, c := range []struct {
			seen bool
			args []string
			want time.Duration
		}{
			{false, nil, time.Minute}, {true, nil, Forever}, {true, []string{"-q"}, time.Minute}, {true, []string{"-E", "/dev/null"}, time.Minute},
			{false, []string{"-oWaitForReady=yes"}, Forever}, {true, []string{"-oWaitForReady=90"}, 90 * time.Second},
			{true, []string{"-oWaitForReady=2m"}, 2 * time.Minute}, {true, []string{"-oWaitForReady=no"}, 0}, {true, []string{"-oWaitForReady=0"}, 0},
		} {
			v := &control.Invocation{Args: append(c.args, "host"), Dir: r.home, TTY: [3]bool{false, false, c.seen}}
			plan, err := r.Resolve(t.Context(), v, silent())
			if err != nil {
				t.Fatal(err)
			}
			if got := plan.Dest.(*Destination).Patience; got != c.want {
				t.Errorf("%v %q: %v, want %v", c.seen, c.args, got, c.want)
			}
		}
	})
}
