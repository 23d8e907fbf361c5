package alive

import (
	"testing"
	"time"
)

func TestDrift(t *testing.T) {
	type reading struct{ mono, boot, want float64 }
	for _, c := range []struct {
		name     string
		tick     float64
		readings []reading
	}{
		{"the first call knows nothing", 5, []reading{{1000, 9000, 0}}},
		{"the first call at zero", 5, []reading{{0, 0, 0}, {5, 5, 0}}},
		{"quiet", 5, []reading{{1, 1, 0}, {6, 6, 0}, {11.1, 11.1, 0}}},
		{"suspended", 5, []reading{{1, 1, 0}, {6, 3606, 3600}, {11, 3611, 0}}},
		{"suspended for 2 s", 5, []reading{{1, 1, 0}, {6, 8, 2}}},
		{"for less", 5, []reading{{1, 1, 0}, {6, 7.999, 0}}},
		{"short ones do not add up", 5, []reading{{1, 1, 0}, {6, 7.5, 0}, {11, 14, 0}, {16, 20.5, 0}}},
		{"late by two ticks", 5, []reading{{1, 1, 0}, {16, 16, 10}, {21, 21, 0}}},
		{"late by less", 5, []reading{{1, 1, 0}, {15.999, 15.999, 0}}},
		{"both", 5, []reading{{1, 1, 0}, {21, 121, 115}}},
		{"no pace, no delay", 0, []reading{{1, 1, 0}, {1001, 1001, 0}, {1002, 1005, 3}}},
		{"a clock that ran back", 5, []reading{{10, 100, 0}, {9, 50, 0}, {14, 55, 0}}},
	} {
		d := Drift{Tick: sec(c.tick)}
		for i, r := range c.readings {
			got := d.Observe(sec(r.mono), sec(r.boot))
			if (got - sec(r.want)).Abs() > time.Microsecond {
				t.Errorf("%s: reading %d: lost %v, want %v s", c.name, i, got, r.want)
			}
		}
	}
}
