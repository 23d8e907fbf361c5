package alive

import (
	"math"
	"testing"
	"time"
)

// Beside ServerAliveInterval a keep-warm probe comes sooner, is doubted sooner,
// and the connection is given up when OpenSSH would.
func TestWarmMovesNoEnd(t *testing.T) {
	tell(t, []story{
		{"unset, sooner", warm(unset, 7), nil, 1e6, "7s probe, 10s doubt, 15m0s dead"},
		{"unset, later", warm(unset, 30), nil, 1e6, "30s probe, 33s doubt, 15m0s dead"},
		{"unset, as late as half the budget", warm(unset, 450), nil, 1e6, "7m30s probe, 7m33s doubt, 15m0s dead"},
		{"15x3, sooner", warm(every(15, 3), 4), nil, 1e6, "4s probe, 7s doubt, 1m0s dead"},
		{"15x3, as long", warm(every(15, 3), 15), nil, 1e6, "15s probe, 18s doubt, 1m0s dead"},
		{"15x3, longer adds nothing", warm(every(15, 3), 40), nil, 1e6, "15s probe, 18s doubt, 1m0s dead"},
		{"15x3, none", cold(every(15, 3)), nil, 1e6, "15s probe, 18s doubt, 1m0s dead"},
		{"N=0: a probe where ssh sends none", warm(every(15, 0), 4), nil, 1e6, "4s probe, 7s doubt, 15s dead"},
		{"N=0, as long: the end comes first", warm(every(15, 0), 15), nil, 1e6, "15s dead"},
		{"off: warm, and no end", warm(off, 9), nil, 1e6, "9s probe, 12s doubt"},
		{"off, none", cold(off), nil, 1e6, ""},
	})
}

func TestWarmCountsFromTheLastByte(t *testing.T) {
	tell(t, []story{
		{"any byte puts it off", warm(unset, 7), []input{byteAt(6), byteAt(12)}, 30, "19s probe, 22s doubt"},
		{"answered, and again", warm(every(15, 3), 4), []input{byteAt(4.5), answerAt(4.5), byteAt(9), answerAt(9)}, 12.9,
			"4s probe, 8.5s probe"},
		{"one probe on the wire", warm(every(5, 3), 2), []input{byteAt(2.5)}, 99, "2s probe, 7.5s doubt, 22.5s dead"},
		{"one question a silence", warm(every(5, 3), 2), []input{suspectAt(1)}, 99, "1s probe, 4s doubt, 20s dead"},
		{"off, answered", warm(off, 9), []input{byteAt(10), answerAt(10), byteAt(19.5), answerAt(19.5)}, 28.4, "9s probe, 19s probe"},
		{"late within the slack", warm(unset, 7), []input{stallAt(1, 9)}, 1e6, "9s probe, 12s doubt, 15m0s dead"},
		{"a stall of ours", warm(every(15, 3), 4), []input{stallAt(1, 40)}, 1e6, "40s probe, 43s doubt, 1m40s dead"},
		{"off: a wake asks", warm(off, 9), []input{resumedAt(3)}, 99, "3s probe, 6s doubt"},
	})
}

// KeepWarm 0 and no ServerAliveInterval: an idle connection costs nothing and
// is condemned for no silence; a question gives up 15 min after it was put.
func TestNothingIsSentWhereNoneIsWanted(t *testing.T) {
	tell(t, []story{
		{"idle for days", cold(unset), nil, 1e6, ""},
		{"suspected in the second hour", cold(unset), []input{suspectAt(5000)}, 1e6, "1h23m20s probe, 1h23m23s doubt, 1h38m20s dead"},
		{"and answered", cold(unset), []input{suspectAt(5000), byteAt(5001), answerAt(5001)}, 1e6, "1h23m20s probe"},
		{"twice: the first question counts", cold(unset), []input{suspectAt(100), suspectAt(500)}, 1e6, "1m40s probe, 1m43s doubt, 16m40s dead"},
		{"a byte from before the question", cold(unset), []input{suspectAt(100), lateByteAt(102, 99)}, 1e6,
			"1m40s probe, 1m43s doubt, 16m40s dead"},
		{"owed past a byte, then unanswered", cold(unset), []input{suspectAt(10), byteAt(11), suspectAt(12), byteAt(13), answerAt(14)}, 1e6,
			"10s probe, 14s probe, 19s doubt, 15m14s dead"},
		{"a wake asks", cold(unset), []input{resumedAt(60)}, 1e6, "1m0s probe, 1m3s doubt, 16m0s dead"},
		{"a stall asks nothing, nothing was due", cold(unset), []input{stallAt(1, 5000)}, 1e6, ""},
		{"a stall with a question", cold(unset), []input{suspectAt(10), stallAt(20, 5000)}, 1e6, "10s probe, 13s doubt, 1h38m20s dead"},
		{"so late a probe is no better", warm(unset, 451), nil, 1e6, "7m31s probe, 7m34s doubt, 22m31s dead"},
		{"nor one after the budget", warm(unset, 3600), nil, 1e6, "1h0m0s probe, 1h0m3s doubt, 1h15m0s dead"},
		{"answered every time", warm(unset, 3600), []input{byteAt(3601), answerAt(3601)}, 7200, "1h0m0s probe"},
	})
}

func TestConfigureWarm(t *testing.T) {
	loose := every(15, 3)
	tell(t, []story{
		{"shorter, not yet due", unset, []input{configureAt(4, warm(unset, 7))}, 1e6, "7s probe, 10s doubt, 15m0s dead"},
		{"shorter, due already: at once", unset, []input{configureAt(14, warm(unset, 7))}, 1e6, "14s probe, 17s doubt, 15m0s dead"},
		// Nobody was late: a minute's silence was allowed until now.
		{"long due: at once, and no stall", warm(unset, 60), []input{configureAt(50, warm(unset, 7))}, 1e6, "50s probe, 53s doubt, 15m0s dead"},
		{"longer", warm(unset, 7), []input{configureAt(5, warm(unset, 30))}, 1e6, "30s probe, 33s doubt, 15m0s dead"},
		{"to none", unset, []input{configureAt(5, cold(unset))}, 1e6, ""},
		{"to none, in question", unset, []input{configureAt(20, cold(unset))}, 1e6, "15s probe, 18s doubt, 15m15s dead"},
		{"from none", cold(unset), []input{configureAt(5000, unset)}, 1e6, "1h23m35s probe, 1h23m38s doubt, 1h38m20s dead"},
		{"from none, in question", cold(unset), []input{suspectAt(100), configureAt(700, unset)}, 1e6,
			"1m40s probe, 1m43s doubt, 16m40s dead"},
		{"from none to tight, in question", cold(unset), []input{suspectAt(100), configureAt(120, every(5, 1))}, 1e6,
			"1m40s probe, 1m43s doubt, 2m10s dead"},
		{"in question it asks no more", loose, []input{configureAt(20, warm(loose, 5))}, 1e6, "15s probe, 18s doubt, 1m0s dead"},
		{"comes and goes", loose, []input{configureAt(3, warm(loose, 9)), configureAt(6, loose), configureAt(8, warm(loose, 9))}, 1e6,
			"9s probe, 12s doubt, 1m0s dead"},
		{"after a stall", warm(loose, 60), []input{resumedAt(5), byteAt(6), configureAt(7, warm(loose, 4))}, 9.9, "5s probe"},
		{"off and on", off, []input{configureAt(100, warm(off, 30))}, 1e6, "1m40s probe, 1m43s doubt"},
	})
}

func TestProbeAfter(t *testing.T) {
	for _, c := range []struct {
		cfg  Config
		want float64
	}{
		{unset, 15}, {cold(unset), 0}, {warm(unset, 7), 7}, {warm(unset, 3600), 3600},
		{off, 0}, {cold(off), 0}, {warm(off, 9), 9},
		{every(20, 3), 20}, {cold(every(20, 3)), 20}, {warm(every(20, 3), 5), 5}, {warm(every(20, 3), 25), 20},
		{every(20, 0), 0}, {warm(every(20, 0), 5), 5}, {warm(every(20, 0), 20), 0}, {every(-1, 3), 0},
	} {
		if got := c.cfg.ProbeAfter(); got != sec(c.want) {
			t.Errorf("%+v: %v, want %v s", c.cfg, got, c.want)
		}
		// and it says what a Prober does, a minute's silence before its end
		p := New(c.cfg, epoch)
		if first := play(t, p, nil, math.Min(c.want, 1e6)); c.want > 0 && first != sec(c.want).String()+" probe" {
			t.Errorf("%+v: %q", c.cfg, first)
		}
	}
}

func TestLearned(t *testing.T) {
	w := Warmth{Every: 8 * time.Second}
	for _, c := range []struct{ cfg, want Config }{
		{unset, warm(unset, 8)},
		{cold(unset), cold(unset)}, {warm(unset, 20), warm(unset, 20)},
		{off, off}, {every(60, 3), every(60, 3)}, {warm(every(60, 3), 20), warm(every(60, 3), 20)},
	} {
		if got := c.cfg.Learned(func() Warmth { return w }); got != c.want {
			t.Errorf("%+v: %+v", c.cfg, got)
		}
	}
	if got := unset.Learned(func() Warmth { return Warmth{} }); got.terms() != unset.terms() {
		t.Errorf("nothing learned: %+v", got)
	}
}
