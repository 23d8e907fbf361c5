package alive

import (
	"strings"
	"testing"
	"time"
)

// What ssh itself does, as measured: with interval 1 a silent peer is given up
// after CountMax+1 seconds.
func TestOpenSSHArithmetic(t *testing.T) {
	tell(t, []story{
		{"1x3", every(1, 3), nil, 99, "1s probe, 4s dead"},
		{"1x1", every(1, 1), nil, 99, "1s probe, 2s dead"},
		{"1x0, no probe ever", every(1, 0), nil, 99, "1s dead"},
		{"15x3", every(15, 3), nil, 99, "15s probe, 18s doubt, 1m0s dead"},
		{"0x3", every(0, 3), nil, 1e6, ""},
		{"0x0", every(0, 0), nil, 1e6, ""},
		{"negative interval", every(-1, 3), nil, 1e6, ""},
		{"negative count", every(2, -7), nil, 99, "2s dead"},
		{"unset", unset, nil, 1e6, "15s probe, 18s doubt, 15m0s dead"},
		{"unset, whatever else is set", Config{Interval: 1, CountMax: 1}, nil, 1e6, "15s probe, 18s doubt, 15m0s dead"},
	})
}

func TestAnyByteResets(t *testing.T) {
	tell(t, []story{
		{"before the probe", every(5, 1), []input{byteAt(4.5)}, 99, "9.5s probe, 12.5s doubt, 14.5s dead"},
		{"last moment", every(5, 1), []input{byteAt(9.999)}, 99, "5s probe, 8s doubt, 17.999s doubt, 19.999s dead"},
		{"answered", every(5, 1), []input{sentAt(5.5), byteAt(6), answerAt(6)}, 99,
			"5s probe, 11s probe, 14s doubt, 16s dead"},
		{"at N=0", every(5, 0), []input{byteAt(4.5)}, 99, "9.5s dead"},
		{"reported late", every(5, 1), []input{lateByteAt(4.5, 1)}, 99, "6s probe, 9s doubt, 11s dead"},
		{"an old stamp is no news", every(5, 1), []input{byteAt(2), lateByteAt(6, 1), lateByteAt(8, 2)}, 99,
			"7s probe, 10s doubt, 12s dead"},
		{"from before the login", every(5, 1), []input{lateByteAt(3, -1)}, 99, "5s probe, 8s doubt, 10s dead"},
		{"one doubt per silence", unset, []input{byteAt(100), answerAt(100)}, 200,
			"15s probe, 18s doubt, 1m55s probe, 2m0s doubt"},
	})
}

func TestSendingIsNoLife(t *testing.T) {
	tell(t, []story{{"probes", every(5, 1), []input{sentAt(5.1), sentAt(6), sentAt(7), sentAt(9)}, 99,
		"5s probe, 8s doubt, 10s dead"}})
}

// One probe is on the wire, and ticks are counted instead of stacking more.
func TestOneProbeOnTheWire(t *testing.T) {
	tell(t, []story{
		{"a byte does not free the wire", every(5, 3), []input{byteAt(6)}, 99, "5s probe, 14s doubt, 26s dead"},
		{"an answer does", every(5, 3), []input{byteAt(6), answerAt(7)}, 99, "5s probe, 11s probe, 16s doubt, 26s dead"},
		{"the caller's own probe takes it", every(5, 1), []input{sentAt(3)}, 99, "8s doubt, 10s dead"},
		{"one answer, one place", every(5, 1), []input{byteAt(6), answerAt(6), answerAt(10)}, 99,
			"5s probe, 11s probe, 15s doubt, 16s dead"},
		{"suspicion waits for it", every(20, 3), []input{byteAt(21), suspectAt(22), byteAt(22.5), answerAt(23)}, 30,
			"20s probe, 23s probe, 28s doubt"},
		{"waiting for it is no stall", every(20, 3), []input{byteAt(21), suspectAt(22), byteAt(27), answerAt(29)}, 120,
			"20s probe, 25s doubt, 29s probe, 34s doubt, 1m47s dead"},
		{"owed, and sent unasked", every(20, 3), []input{{2, func(p *Prober, now time.Time) {
			p.Suspect(now)
			p.Sent(now)
		}}, byteAt(2.5), answerAt(2.5)}, 23, "22.5s probe"},
	})
}

func TestSuspect(t *testing.T) {
	tell(t, []story{
		{"at once", unset, []input{suspectAt(7)}, 99, "7s probe, 10s doubt"},
		{"it shortens no budget", every(10, 1), []input{suspectAt(7)}, 99, "7s probe, 10s doubt, 20s dead"},
		{"answered", every(10, 1), []input{suspectAt(7), byteAt(9.999)}, 19, "7s probe"},
		{"twice", unset, []input{suspectAt(7), suspectAt(9), suspectAt(12)}, 99, "7s probe, 10s doubt"},
		{"after an idle probe", unset, []input{suspectAt(17)}, 99, "15s probe, 18s doubt"},
		{"a byte from before does not answer it", unset, []input{suspectAt(7), lateByteAt(8, 6.9)}, 20,
			"7s probe, 10s doubt"},
		{"a byte of the same instant, then the answer", unset, []input{byteAt(7), suspectAt(7), answerAt(7)}, 21, "7s probe"},
		{"off: no timer, no end", off, []input{suspectAt(7)}, 1e6, "7s probe, 10s doubt"},
		{"N=0: still no probe by the timer", every(10, 0), []input{suspectAt(7)}, 99, "7s probe, 10s dead"},
		{"two silences, two doubts", off, []input{suspectAt(7), byteAt(11), answerAt(11), suspectAt(20)}, 99,
			"7s probe, 10s doubt, 20s probe, 25s doubt"},
	})
}

// The verdict is 3 x SRTT + 1 s between 3 and 5 s.
func TestShortVerdict(t *testing.T) {
	measured := func(rtt float64) []input {
		return []input{suspectAt(0), byteAt(rtt), answerAt(rtt), suspectAt(12)}
	}
	tell(t, []story{
		{"unknown", off, []input{suspectAt(12)}, 99, "12s probe, 15s doubt"},
		{"fast", off, measured(0.1), 99, "0s probe, 12s probe, 15s doubt"},
		{"1 s", off, measured(1), 99, "0s probe, 12s probe, 16s doubt"},
		{"1.25 s", off, measured(1.25), 99, "0s probe, 12s probe, 16.75s doubt"},
		{"2 s", off, measured(2), 99, "0s probe, 12s probe, 17s doubt"},
		{"from the hand-over", off, []input{suspectAt(0), sentAt(1), byteAt(2), answerAt(2), suspectAt(12)}, 99,
			"0s probe, 12s probe, 16s doubt"},
	})
}

func TestRoundTripIsSmoothed(t *testing.T) {
	p := New(off, epoch)
	for _, step := range []struct{ sample, want time.Duration }{
		{sec(0.8), sec(0.8)},
		{sec(1.6), sec(0.9)},
		{sec(0.1), sec(0.8)},
		{sec(60), sec(1.325)}, // an outage counts as 5 s
		{-1, sec(1.325) - sec(1.325)/8},
	} {
		p.measure(step.sample)
		if diff := p.srtt - step.want; diff < -2 || diff > 2 {
			t.Errorf("after a round trip of %v: %v, want %v", step.sample, p.srtt, step.want)
		}
	}
}

func TestLateTickNeverCondemns(t *testing.T) {
	tell(t, []story{
		{"stopped for 5 min", every(15, 3), []input{stallAt(1, 301)}, 999,
			"5m1s probe, 5m4s doubt, 6m1s dead"},
		{"stopped after the probe", every(15, 3), []input{stallAt(16, 301)}, 999,
			"15s probe, 5m4s doubt, 6m1s dead"},
		{"stopped after the doubt", every(15, 3), []input{stallAt(50, 301)}, 999,
			"15s probe, 18s doubt, 6m1s dead"},
		{"N=0", every(15, 0), []input{stallAt(1, 301)}, 999, "5m1s probe, 5m4s doubt, 5m16s dead"},
		{"exactly 2 s is late, no stall", every(15, 0), []input{stallAt(1, 17)}, 999, "17s dead"},
		{"a bit more is one", every(15, 0), []input{stallAt(1, 17.001)}, 999, "17.001s probe, 20.001s doubt, 32.001s dead"},
		{"half an interval is late", every(1, 0), []input{stallAt(0.5, 1.5)}, 99, "1.5s dead"},
		{"a bit more is a stall", every(1, 0), []input{stallAt(0.5, 1.501)}, 99, "1.501s probe, 2.501s dead"},
		{"a late probe gets its interval", every(4, 1), []input{stallAt(1, 6)}, 99, "6s probe, 9s doubt, 10s dead"},
		{"off: 1.5 s late is no stall", off, []input{suspectAt(1), stallAt(2, 5.5)}, 99, "1s probe, 5.5s doubt"},
		{"off, with a question", off, []input{suspectAt(1), stallAt(2, 100)}, 999, "1s probe, 1m43s doubt"},
		{"answered while stopped", every(15, 3), []input{stallAt(16, 301), lateByteAt(301, 300.9), answerAt(301)}, 330,
			"15s probe, 5m15.9s probe, 5m20.9s doubt"},
	})
}

func TestResumed(t *testing.T) {
	tell(t, []story{
		{"budgets restart", every(15, 3), []input{resumedAt(10)}, 999, "10s probe, 13s doubt, 1m10s dead"},
		{"in doubt, at the end", every(15, 3), []input{resumedAt(59)}, 999, "15s probe, 18s doubt, 1m59s dead"},
		{"unset", unset, []input{resumedAt(890)}, 9999, "15s probe, 18s doubt, 29m50s dead"},
		{"off: nothing to restart", off, []input{resumedAt(10)}, 9999, ""},
		{"off: a question restarts", off, []input{suspectAt(9), resumedAt(11)}, 9999, "9s probe, 14s doubt"},
		// Bytes that lay in the buffer overnight say nothing of the morning.
		{"an unread byte answers nothing", every(15, 3), []input{{10, func(p *Prober, now time.Time) {
			p.Resumed(now)
			p.Received(now.Add(1))
		}}}, 14, "10s probe, 13s doubt"},
		{"an unread answer answers nothing", every(15, 3), []input{resumedAt(17), byteAt(17.5), answerAt(17.5)}, 23,
			"15s probe, 17.5s probe, 22.5s doubt"},
		{"a byte from before restarts nothing", every(15, 1), []input{resumedAt(10), lateByteAt(11, 9)}, 99,
			"10s probe, 13s doubt, 40s dead"},
	})
}

func TestDeadIsFinal(t *testing.T) {
	p := New(every(1, 0), epoch)
	if v := p.Tick(at(sec(1))); v != Dead {
		t.Fatal(v)
	}
	p.Received(at(sec(2)))
	p.Answered(at(sec(2)))
	p.Suspect(at(sec(2)))
	p.Resumed(at(sec(3)))
	p.Configure(every(5, 5), at(sec(3)))
	if v := p.Tick(at(sec(3))); v != Dead || !p.Deadline().IsZero() {
		t.Errorf("%v, next at %v", v, p.Deadline())
	}
}

// A step of the wall clock moves nothing as long as no operation strips the
// monotonic reading, which the textual form of a time shows.
func TestDeadlineIsMonotonic(t *testing.T) {
	p := New(every(5, 3), epoch)
	check := func(when string) {
		if d := p.Deadline().String(); !strings.Contains(d, " m=") {
			t.Errorf("%s: %s has no monotonic reading", when, d)
		}
	}
	check("at the start")
	p.Received(at(sec(1)))
	check("after a byte")
	p.Tick(at(sec(6)))
	check("after a probe")
	p.Configure(every(2, 3), at(sec(7)))
	check("after new values")
	p.Resumed(at(sec(8)))
	check("after a sleep")
}

func TestVerdictString(t *testing.T) {
	for v, want := range map[Verdict]string{Fine: "fine", Probe: "probe", Doubt: "doubt", Dead: "dead", 99: "unknown verdict"} {
		if got := v.String(); got != want {
			t.Errorf("%d: %q, want %q", int(v), got, want)
		}
	}
}
