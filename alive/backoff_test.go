package alive

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
)

// steps plays a Backoff without jitter from a line such as "0 start, 2 fail":
// a second and what happened then. "?3" appends what Next says with a cap of
// 3 s, as a second, and how many attempts failed.
func steps(t *testing.T, b *Backoff, line string) string {
	t.Helper()
	var out []string
	for _, s := range strings.Split(line, ", ") {
		var s1 float64
		if strings.HasPrefix(s, "?") {
			fmt.Sscanf(s, "?%g", &s1)
			next := "at once"
			if n := b.Next(sec(s1)); !n.IsZero() {
				next = n.Sub(epoch).Round(time.Millisecond).String()
			}
			out = append(out, fmt.Sprintf("%s/%d", next, b.Attempts()))
			continue
		}
		var what string
		var spread float64
		fmt.Sscanf(s, "%g %s %g", &s1, &what, &spread)
		switch now := at(sec(s1)); what {
		case "start":
			b.Started(now)
		case "fail":
			b.Failed(now, false)
		case "busy":
			b.Failed(now, true)
		case "up":
			b.Up(now)
		case "lost":
			b.Lost(now)
		case "soft":
			b.Reset(now, sec(spread), false)
		case "hard":
			b.Reset(now, sec(spread), true)
		default:
			t.Fatalf("step %q", s)
		}
	}
	return strings.Join(out, " ")
}

func TestBackoff(t *testing.T) {
	for _, c := range []struct{ name, line, want string }{
		{"new", "?300", "at once/0"},
		{"while it is tried", "10 start, ?3", "11s/0"},
		{"first retry at once", "0 start, 5 fail, ?3", "5s/1"},
		{"but 1 s after the start", "0 start, 0.2 fail, ?3", "1s/1"},
		{"the ladder", "0 start, 5 fail, 5 start, 6 fail, ?300, 7 start, 8 fail, ?300, 9 start, 20 fail, ?300, 30 start, 40 fail, ?300",
			"6.8s/2 9.28s/3 22.048s/4 43.277s/5"},
		{"capped", "0 start, 1 fail, 1 fail, 1 fail, 1 fail, 1 fail, 1 fail, 1 fail, ?3, ?30, ?300, ?3, ?0, ?-5",
			"4s/7 9.389s/7 9.389s/7 4s/7 1s/7 1s/7"},
		{"a start ends the pause", "0 start, 1 fail, 1 fail, 1 fail, 1.5 start, ?300", "2.5s/3"},

		// busy
		{"refused: 5 s, then a pause", "0 start, 1 busy, ?3", "6.8s/1"},
		{"whatever the cap", "0 start, 1 busy, ?0", "6s/1"},
		{"doubling to 60 s", "0 busy, ?0, 10 busy, ?0, 20 busy, ?0, 50 busy, ?0, 100 busy, ?0, 200 busy, ?0",
			"5s/1 20s/2 40s/3 1m30s/4 2m40s/5 4m20s/6"},
		{"another failure ends the row", "0 busy, 5 fail, 6 busy, ?0", "11s/3"},
		{"and so does a login", "0 busy, 5 busy, 15 start, 16 up, ?0, 50 lost, 51 busy, ?0", "16s/2 56s/1"},
		{"no soft reset shortens it", "0 start, 0.5 busy, 1 soft, ?3, 2 soft 4, ?3", "5.5s/0 5.5s/0"},
		{"a hard one does", "0 start, 0.5 busy, 0.7 hard, ?3, 5 hard, ?3", "1s/0 1s/0"},
		{"but not the row", "0 busy, 1 hard, 2 busy, ?0", "12s/1"},
		{"soft, busy again", "0 busy, 1 soft, 5 start, 5.1 busy, ?0", "15.1s/1"},

		// a login is not health
		{"accepted and dropped", "0 start, 1 up, 2 lost, ?3, 2 start, 3 up, 4 lost, ?3, 5 start, 6 up, 7 lost, ?30", "2s/1 4.8s/2 8.28s/3"},
		{"dropped at once", "0 start, 0 up, 0 lost, ?3", "1s/1"},
		{"at 30 s less a bit", "0 start, 1 fail, 1 start, 2 up, 31.999 lost, ?3", "32.799s/2"},
		{"at 30 s", "0 start, 1 fail, 1 start, 2 up, 32 lost, ?3", "32s/0"},
		{"and it fails then", "0 start, 1 fail, 1 start, 2 up, 32 lost, 32 start, 33 fail, ?3", "33s/1"},
		{"lost twice", "0 start, 1 up, 2 lost, 2 lost, ?3", "2s/1"},
		{"lost and never up", "0 start, 9 lost, ?3", "1s/0"},
		// replacements beside it
		{"health before a replacement fails", "0 fail, 0 fail, 0 start, 1 up, 31 start, 32 fail, ?3, 33 start, 34 fail, ?3", "32s/1 34.8s/2"},
		{"not yet health", "0 fail, 0 fail, 0 start, 1 up, 29 start, 30 fail, ?3", "31.28s/3"},

		{"the health of the next connection", "0 start, 1 up, 40 start, 41 fail, 42 start, 43 up, 80 start, 81 fail, ?3", "1m21s/1"},
		{"lost after replacements failed", "0 start, 1 up, 31 start, 32 fail, 33 start, 34 fail, 50 lost, ?3", "50s/0"},

		// reset
		{"at once", "0 start, 1 fail, 1 fail, 1 fail, 1.5 soft, ?300", "1.5s/0"},
		{"not within 1 s of a start", "0 start, 0.1 fail, 0.2 hard, ?300", "1s/0"},
		{"the ladder from its foot", "0 fail, 0 fail, 0 fail, 1 soft, 1 start, 2 fail, ?3, 3 start, 4 fail, ?3", "2s/1 4.8s/2"},
		{"spread", "0 start, 1 fail, 1 fail, 5 soft 4, ?300", "9s/0"},
		{"delays no earlier one", "0 start, 5 soft, 6 soft 4, ?300", "5s/0"},
		{"hurried by one at once", "0 start, 5 soft 4, 6 hard, ?300", "6s/0"},
		{"of two draws the sooner", "0 start, 5 soft 4, 6 soft 2, ?300, 7 soft 9, ?300", "8s/0 8s/0"},
		{"a start uses it up", "0 start, 5 soft, 6 start, 8 soft 4, ?300", "12s/0"},
		{"a failure uses it up", "0 start, 5 soft, 6 fail, 8 soft 4, ?300", "12s/0"},
		{"its draw outlives the loss", "0 start, 1 up, 50 soft 4, 51 lost, ?300", "54s/0"},
		{"negative is none", "0 start, 5 soft -4, ?300", "5s/0"},
	} {
		if got := steps(t, new(Backoff), c.line); got != c.want {
			t.Errorf("%s: %s\n got %s\nwant %s", c.name, c.line, got, c.want)
		}
	}
}

func TestHugeBackoff(t *testing.T) {
	var b Backoff
	for range 100000 {
		b.Failed(epoch, true)
	}
	for _, cap := range []time.Duration{0, CapForwards, math.MaxInt64, math.MinInt64} {
		want := min(max(cap, 0), longest) + refusedMost
		if got := b.Next(cap).Sub(epoch); got != want {
			t.Errorf("cap %v: %v, want %v", cap, got, want)
		}
	}
	b.Reset(epoch, math.MaxInt64, true)
	if got := b.Next(0).Sub(epoch); got != longest {
		t.Errorf("spread: %v", got)
	}
}

func TestBackoffIsMonotonic(t *testing.T) {
	b := Backoff{Rand: func() float64 { return 0.5 }}
	check := func(when string) {
		if s := b.Next(CapPinned).String(); !strings.Contains(s, " m=") {
			t.Errorf("%s: %s has no monotonic reading", when, s)
		}
	}
	b.Started(epoch)
	check("started")
	b.Failed(at(sec(2)), true)
	b.Failed(at(sec(3)), true)
	check("refused")
	b.Reset(at(sec(4)), sec(3), true)
	check("reset")
}
