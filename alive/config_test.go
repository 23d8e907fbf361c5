package alive

import (
	"math"
	"slices"
	"testing"
	"time"
)

func TestTightest(t *testing.T) {
	for _, c := range []struct {
		name string
		cfgs []Config
		want Config
	}{
		{"none", nil, unset},
		{"one", []Config{every(7, 7)}, every(7, 7)},
		{"gives up first", []Config{every(15, 3), every(30, 0)}, every(30, 0)},
		{"not the shortest interval", []Config{every(5, 100), every(15, 3)}, every(15, 3)},
		{"a tie: probes first", []Config{every(20, 0), every(10, 1), every(5, 3)}, every(5, 3)},
		{"the count is one more", []Config{every(10, 2), every(25, 0)}, every(25, 0)},
		{"off loses to on", []Config{off, every(3600, 100)}, every(3600, 100)},
		{"off wins over unset", []Config{unset, off}, off},
		{"on wins over unset, however long", []Config{every(86400, 9), unset}, every(86400, 9)},
		{"unset numbers mean nothing", []Config{{Interval: 1}, every(86400, 9)}, every(86400, 9)},
		{"a negative count is 0", []Config{every(10, 1), every(19, -5)}, every(19, -5)},
		{"and not less", []Config{every(10, 1), every(30, -5)}, every(10, 1)},

		{"the shortest warm of equals", []Config{warm(unset, 20), warm(unset, 9), warm(unset, 12)}, warm(unset, 9)},
		{"warm of a looser one", []Config{warm(every(60, 3), 5), every(15, 3)}, warm(every(15, 3), 5)},
		{"warm of an unset one", []Config{warm(unset, 7), every(15, 3)}, warm(every(15, 3), 7)},
		{"on wins over none", []Config{cold(unset), warm(unset, 40)}, warm(unset, 40)},
		{"none wins over not said", []Config{unset, cold(unset)}, cold(unset)},
		{"none has one form", []Config{{Warm: -9 * time.Second}}, cold(unset)},
		{"three ways", []Config{unset, cold(every(9, 9)), warm(off, 11)}, warm(every(9, 9), 11)},
	} {
		for range len(c.cfgs) + 1 { // in every rotation, and reversed
			reversed := slices.Clone(c.cfgs)
			slices.Reverse(reversed)
			for _, cfgs := range [][]Config{c.cfgs, reversed} {
				if got := Tightest(cfgs...); got != c.want {
					t.Errorf("%s: of %v: %v", c.name, cfgs, got)
				}
			}
			if len(c.cfgs) > 0 {
				c.cfgs = append(slices.Clone(c.cfgs[1:]), c.cfgs[0])
			}
		}
	}
}

// Numbers that ssh accepts overflow a Duration when multiplied.
func TestHugeNumbers(t *testing.T) {
	for _, c := range []Config{
		{math.MaxInt64, math.MaxInt, true, math.MaxInt64},
		{math.MaxInt64, 0, true, 1},
		{1, math.MaxInt, true, math.MaxInt64},
		{time.Minute, math.MaxInt32, true, 0},
		{math.MaxInt32 * time.Second, math.MaxInt32, true, math.MinInt64},
	} {
		e := c.terms()
		if e.ask <= 0 || e.ask > e.interval || warm(off, 1e12).terms().ask != longest {
			t.Errorf("%v asks after %v", c, e.ask)
		}
		if b := e.budget(); b <= 0 || b > longest || b < e.interval {
			t.Errorf("%v bears %v", c, b)
		}
		p := New(c, epoch)
		p.Suspect(at(sec(1)))
		p.Configure(every(15, 3), at(sec(1)))
		p.Configure(c, at(sec(1)))
		if left := p.end().Sub(epoch); left <= 0 || left > longest+sec(1) {
			t.Errorf("%v ends after %v", c, left)
		}
	}
}

func TestConfigure(t *testing.T) {
	tight, loose := every(5, 1), every(15, 3)
	tell(t, []story{
		{"from now, not from the last byte", unset, []input{configureAt(14, tight)}, 99, "19s probe, 22s doubt, 24s dead"},
		{"into a silence longer than the new budget", off, []input{configureAt(1000, tight)}, 9999,
			"16m45s probe, 16m48s doubt, 16m50s dead"},
		{"a byte from before it", unset, []input{configureAt(14, tight), lateByteAt(15, 13)}, 99, "19s probe, 22s doubt, 24s dead"},
		{"a byte after it", unset, []input{configureAt(14, tight), byteAt(16)}, 99, "21s probe, 24s doubt, 26s dead"},
		{"to off", tight, []input{configureAt(4, off)}, 9999, ""},
		{"to off, in question", tight, []input{configureAt(6, off)}, 9999, "5s probe, 8s doubt"},
		{"off with a question, to on", off, []input{suspectAt(1), configureAt(2, tight)}, 99, "1s probe, 4s doubt, 12s dead"},
		{"the same values", tight, []input{configureAt(4, tight), configureAt(9.9, tight)}, 99, "5s probe, 8s doubt, 10s dead"},
		{"the same in other words", unset, []input{configureAt(14, Config{CountMax: 7}), configureAt(14.5, every(15, 59))}, 20,
			"15s probe, 18s doubt"},
		{"N=0 from now", loose, []input{configureAt(14, every(5, 0))}, 99, "19s dead"},

		// In question: never sooner than the new budget …
		{"tightened", loose, []input{configureAt(20, tight)}, 99, "15s probe, 18s doubt, 30s dead"},
		// … and never later than the end that was near already.
		{"tightened at the end", loose, []input{configureAt(59, tight)}, 99, "15s probe, 18s doubt, 1m0s dead"},
		{"tightened just before an interval", loose, []input{configureAt(52, tight)}, 99, "15s probe, 18s doubt, 1m0s dead"},
		{"loosened", tight, []input{configureAt(9, loose)}, 99, "5s probe, 8s doubt, 1m0s dead"},
		{"loosened with a silence behind it", every(55, 1), []input{configureAt(109, every(58, 1))}, 199,
			"55s probe, 58s doubt, 1m56s dead"},
		{"tightened and loosened", loose, []input{configureAt(20, tight), configureAt(21, loose)}, 99,
			"15s probe, 18s doubt, 1m0s dead"},
		{"not in question: a probe gets its time", every(100, 0), []input{configureAt(99, every(30, 3))}, 999,
			"2m9s probe, 2m12s doubt, 3m39s dead"},
		{"a negative count is 0", loose, []input{configureAt(14, every(5, -7))}, 99, "19s dead"},
		// The tick of second 8 is late by 5, though the old end is past by 1 only.
		{"it hides no stall", every(4, 2), []input{stallAt(7.5, 13), configureAt(13, every(4, 1))}, 99,
			"4s probe, 7s doubt, 21s dead"},
		{"while we were stopped", loose, []input{stallAt(50, 100), configureAt(90, tight)}, 999,
			"15s probe, 18s doubt, 1m50s dead"},
	})
}

// Short requests with values of their own come and go. The dead connection
// that they are no longer given does not live on their account.
func TestRequestsThatComeAndGoKeepNothingAlive(t *testing.T) {
	var inputs []input
	for s := 16.0; s < 600; s += 3 {
		inputs = append(inputs, configureAt(s, every(5, 3)), configureAt(s+1, every(15, 3)))
	}
	tell(t, []story{{"dead on time", every(15, 3), inputs, 700, "15s probe, 18s doubt, 1m0s dead"}})
}
