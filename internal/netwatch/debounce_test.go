package netwatch

import (
	"testing"
	"time"
)

func TestDebouncer(t *testing.T) {
	type ms = int
	base := time.Unix(1000, 0)
	at := func(n ms) time.Time { return base.Add(time.Duration(n) * time.Millisecond) }
	every := func(step, end ms) (all []ms) {
		for n := 0; n <= end; n += step {
			all = append(all, n)
		}
		return all
	}
	for _, c := range []struct {
		name    string
		looked  []ms // of a look before: begun, done
		notices []ms
		want    ms // -1: never
	}{
		{"nothing", nil, nil, -1},
		{"one notice", nil, []ms{0}, 1000},
		{"two at once", nil, []ms{0, 0}, 1000},
		{"later ones do not move it", nil, []ms{0, 10, 500, 750}, 1000},
		{"but want quiet", nil, []ms{0, 751}, 1001},
		{"fifty within a second", nil, every(20, 1000), 1250},
		{"no quiet at all", nil, every(100, 2900), 3000},
		{"up to the last moment", nil, every(250, 2750), 3000},
		{"a cheap look holds up nothing", []ms{-100, -99}, []ms{0}, 1000},
		{"one that took 100 ms rests for 2 s", []ms{-100, 0}, []ms{0}, 2000},
		{"and of that nothing but the rest", []ms{-1600, -1500}, []ms{0}, 1000},
		{"a rest is longer than the limit", []ms{-1000, 0}, every(100, 5000), 20000},
	} {
		var d debouncer
		if c.looked != nil {
			d.notice(at(c.looked[0] - 1000))
			d.looked(at(c.looked[0]), at(c.looked[1]))
			if _, ok := d.due(); ok {
				t.Errorf("%s: due after a look, without a notice", c.name)
			}
		}
		for _, n := range c.notices {
			d.notice(at(n))
		}
		due, ok := d.due()
		if want := at(c.want); ok != (c.want >= 0) || ok && !due.Equal(want) {
			t.Errorf("%s: due %v after the first notice (%v), want %d ms", c.name, due.Sub(base), ok, c.want)
		}
	}
}
