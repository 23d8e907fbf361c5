package main

import (
	"math"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"testing"

	"muxd/internal/sshtest"
)

func TestQuantile(t *testing.T) {
	for _, c := range []struct {
		sorted []float64
		q      float64
		want   float64
	}{
		{[]float64{7}, 0.5, 7},
		{[]float64{1, 2, 3}, 0.5, 2},
		{[]float64{1, 2, 3, 4}, 0.5, 2.5},
		{[]float64{1, 2, 3, 4, 5}, 0.25, 2},
		{[]float64{1, 2}, 0, 1},
		{[]float64{1, 2}, 1, 2},
	} {
		if got := quantile(c.sorted, c.q); got != c.want {
			t.Errorf("quantile(%v, %v) = %v, want %v", c.sorted, c.q, got, c.want)
		}
	}
	if got := quantile(nil, 0.5); !math.IsNaN(got) {
		t.Errorf("the median of nothing is %v", got)
	}
}

// A machine that is three times slower for half of the time must not widen the
// ratio's interval, because both sides of a pair met it.
func TestRatioPairsItsMeasurements(t *testing.T) {
	var a, b []float64
	for i := range 100 {
		speed := 1 + 2*float64(i%2)
		a, b = append(a, 2*speed), append(b, 4*speed)
	}
	before := append([]float64(nil), a...)
	if got := ratioOf(a, b); got.Ratio != 0.5 || got.Low != 0.5 || got.High != 0.5 {
		t.Errorf("ratio %+v, want 0.5 without spread", got)
	}
	for i := range a {
		if a[i] != before[i] {
			t.Fatal("the measurements were sorted, and are no pairs any more")
		}
	}
}

// The copy differs in one field of one line: sshd reads it in place of the
// system's.
func TestPasswdChangesOneShell(t *testing.T) {
	u, err := user.Current()
	if err != nil {
		t.Skip("no name for this user: ", err)
	}
	path := filepath.Join(t.TempDir(), "passwd")
	if err := writePasswd(path, u); err != nil {
		t.Skip("no password file: ", err)
	}
	was, _ := os.ReadFile("/etc/passwd")
	is, _ := os.ReadFile(path)
	old, now := strings.Split(string(was), "\n"), strings.Split(string(is), "\n")
	if len(old) != len(now) {
		t.Fatalf("%d lines of %d", len(now), len(old))
	}
	for i := range old {
		mine := strings.HasPrefix(old[i], u.Username+":")
		switch {
		case mine && !strings.HasSuffix(now[i], ":"+loginShell):
			t.Errorf("own line is %q", now[i])
		case !mine && old[i] != now[i]:
			t.Errorf("%q became %q", old[i], now[i])
		}
	}
}

func TestParts(t *testing.T) {
	if all, err := choose(parts, ""); err != nil || len(all) != len(parts) {
		t.Errorf("all: %d parts, %v", len(all), err)
	}
	if two, err := choose(parts, "memory,warm"); err != nil || len(two) != 2 || two[0].name != "memory" {
		t.Errorf("two: %v, %v", two, err)
	}
	if _, err := choose(parts, "warm,speed"); err == nil || !strings.Contains(err.Error(), "speed") {
		t.Errorf("an unknown part: %v", err)
	}
}

// However little is asked for, something is measured, and more for more.
func TestScale(t *testing.T) {
	for _, c := range []struct {
		scale float64
		want  int
	}{{0.001, 1}, {0.1, 30}, {1, 300}, {3, 900}} {
		if got := (options{scale: c.scale}).times(300); got != c.want {
			t.Errorf("-n %v: %d times, want %d", c.scale, got, c.want)
		}
	}
}

// benchLab is a lab, or a benchmark that is skipped.
func benchLab(b *testing.B) *lab {
	b.Helper()
	sshtest.Require(b, "sshd", "ssh")
	l, err := newLab()
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(l.close)
	return l
}

// BenchmarkCommand is one warm command each, for profiles and for a quick look.
// The comparison is made by the program: here the two do not take turns.
func BenchmarkCommand(b *testing.B) {
	l := benchLab(b)
	if _, err := l.startMaster("lab"); err != nil {
		b.Fatal(err)
	}
	defer l.stopMaster("lab")
	for name, p := range map[string]program{"muxc": l.muxc("lab", "true"), "ssh": l.muxSSH("lab", "true")} {
		b.Run(name, func(b *testing.B) {
			s, err := newSpawner()
			if err != nil {
				b.Fatal(err)
			}
			defer s.close()
			for b.Loop() {
				if _, err := s.run(p); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkTransfer is 64 MiB each on a warm connection.
func BenchmarkTransfer(b *testing.B) {
	const size = 64 << 20
	l := benchLab(b)
	for _, t := range allTransfers() {
		b.Run(strings.ReplaceAll(t.name, " ", "-"), func(b *testing.B) {
			b.SetBytes(size)
			for b.Loop() {
				if _, _, err := t.measure(size, way{func(c ...string) program { return l.muxc(t.host, c...) }, 0}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
