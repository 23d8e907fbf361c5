package alive

import (
	"math/rand/v2"
	"testing"
	"time"
)

// tellAligned is tell with a beat since the epoch, for connections that logged in
// that many seconds after it.
func tellAligned(t *testing.T, login float64, stories []story) {
	for _, s := range stories {
		t.Run(s.name, func(t *testing.T) {
			p := New(s.cfg, at(sec(login)))
			p.Align(epoch)
			if got := play(t, p, s.inputs, s.until); got != s.want {
				t.Errorf("got  %s\nwant %s", got, s.want)
			}
		})
	}
}

// The question comes at the last beat before it is due. The end does not move:
// it is counted from the last byte.
func TestAligned(t *testing.T) {
	tellAligned(t, 0.7, []story{
		{"15x3", every(15, 3), nil, 99, "15s probe, 18s doubt, 1m0.7s dead"},
		{"unset", unset, nil, 1e6, "15s probe, 18s doubt, 15m0.7s dead"},
		{"answered", every(15, 3), []input{byteAt(15.02), answerAt(15.02), byteAt(30.9), answerAt(30.9)}, 50,
			"15s probe, 30s probe, 45s probe, 48s doubt"},
		{"a byte between", unset, []input{byteAt(8.25)}, 25, "23s probe"},
		{"a byte on the beat", unset, []input{byteAt(8)}, 25, "23s probe"},
		{"a shorter beat", every(3, 1), nil, 99, "3.6s probe, 6.6s doubt, 6.7s dead"},
		{"no longer beat", every(60, 1), nil, 99, "1m0s probe, 1m3s doubt"},
		{"no probe ever", every(15, 0), nil, 99, "15.7s dead"},
		{"off", every(0, 3), nil, 1e6, ""},
		{"suspected between", unset, []input{suspectAt(4.4), byteAt(4.5), answerAt(4.5)}, 25, "4.4s probe, 19s probe, 22s doubt"},
		{"other values", every(15, 3), []input{configureAt(4.25, every(6, 1))}, 99, "10s probe, 13s doubt, 16.25s dead"},
		{"suspended", unset, []input{stallAt(5, 100.3)}, 104, "1m40.3s probe, 1m43.3s doubt"},
	})
	// Nothing was counted before the epoch.
	p := New(unset, at(-sec(20)))
	p.Align(epoch)
	if got := p.Deadline(); !got.Equal(at(-sec(5))) {
		t.Errorf("due at %v", got.Sub(epoch))
	}
}

// Whatever is heard and asked, a question that is aligned comes never later, and
// less than a beat sooner, than one that is not; and both give up together.
func TestAlignedComesNeverLater(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		cfg := every(float64(1+r.IntN(30)), r.IntN(4))
		if r.IntN(3) == 0 {
			cfg = unset
		}
		now := at(time.Duration(r.Int64N(1e9)))
		own, aligned := New(cfg, now), New(cfg, now)
		aligned.Align(epoch)
		for range 20 {
			now = now.Add(time.Duration(r.Int64N(int64(cfg.terms().interval))))
			own.Received(now)
			aligned.Received(now)
			a, b := aligned.askAt, own.askAt
			if most := beat(cfg.terms().ask); a.After(b) || b.Sub(a) >= most {
				t.Fatalf("seed %d: %v of %v", seed, a.Sub(epoch), b.Sub(epoch))
			}
			if since := aligned.askAt.Sub(epoch); cfg.terms().countMax > 0 && since%beat(cfg.terms().ask) != 0 {
				t.Fatalf("seed %d: %v is no beat", seed, since)
			}
			if aligned.next != own.next || aligned.counted != own.counted {
				t.Fatalf("seed %d: the end moved", seed)
			}
		}
	}
}
