package alive

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// Any events in any order, against a record of what they promise.
func TestBackoffProperties(t *testing.T) {
	for seed := range uint64(3000) {
		r := rand.New(rand.NewPCG(seed, 3))
		checkBackoff(t, r)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func FuzzBackoff(f *testing.F) {
	f.Add(uint64(1), uint64(2))
	f.Fuzz(func(t *testing.T, a, b uint64) { checkBackoff(t, rand.New(rand.NewPCG(a, b))) })
}

func checkBackoff(t *testing.T, r *rand.Rand) {
	b := Backoff{Rand: r.Float64}
	now, started, barred, refusals := epoch, time.Time{}, time.Time{}, 0
	for range 120 {
		now = now.Add(time.Duration(r.ExpFloat64() * float64(3*time.Second)))
		before := b.Attempts()
		ceiling, checks := time.Duration(0), true // how far off Next may be, with CapForwards
		switch k := r.IntN(10); k {
		case 0, 1, 2:
			b.Started(now)
			started = now
		case 3, 4, 5:
			busy := k == 3
			if b.Failed(now, busy); busy {
				refusals++
				barred = now.Add(min(5*time.Second<<min(refusals-1, 10), time.Minute))
			} else {
				refusals = 0
			}
			n := b.Attempts() - 1
			if n < 0 {
				t.Errorf("a failure that counts as %d", b.Attempts())
			}
			if n > 0 || busy {
				ceiling = min(CapForwards, time.Duration(math.Min(1e18, 5e8*math.Pow(1.6, float64(max(n, 1))))))
			}
		case 6:
			b.Up(now)
			barred, refusals = time.Time{}, 0
			checks = false
		case 7:
			b.Lost(now)
			checks = false
		case 8:
			spread := time.Duration(r.Int64N(int64(10 * time.Second)))
			b.Reset(now, spread, false)
			ceiling = spread
		case 9:
			b.Reset(now, 0, true)
			barred = time.Time{}
			if b.Attempts() != 0 {
				t.Errorf("%d attempts after a reset, before %d", b.Attempts(), before)
			}
		}
		next := b.Next(CapForwards)
		if !started.IsZero() && next.Before(started.Add(time.Second)) {
			t.Errorf("next start %v after the last", next.Sub(started))
		}
		if next.Before(barred) {
			t.Errorf("%v before the end of the penalty", barred.Sub(next))
		}
		if latest := latest(latest(now, barred), started.Add(time.Second)); checks && next.Sub(latest) > ceiling {
			t.Errorf("next is %v off, more than %v", next.Sub(latest), ceiling)
		}
		last := b.Next(0)
		for _, cap := range []time.Duration{CapWaiting, CapPinned, CapForwards, math.MaxInt64} {
			n := b.Next(cap)
			if n.Before(last) || n != b.Next(cap) {
				t.Errorf("cap %v: %v, with a lower one %v", cap, n, last)
			}
			last = n
		}
	}
}

// Who obeys Next never starts twice within 1 s, through an until loop, a
// server that drops every login, and resets by the tenth of a second.
func TestUntilLoop(t *testing.T) {
	for _, end := range []func(b *Backoff, now time.Time){
		func(b *Backoff, now time.Time) { b.Failed(now, false) },
		func(b *Backoff, now time.Time) { b.Up(now); b.Lost(now) },
	} {
		r := rand.New(rand.NewPCG(7, 7))
		b := Backoff{Rand: r.Float64}
		var starts []time.Duration
		for now := time.Duration(0); now < 10*time.Minute; now += 100 * time.Millisecond {
			b.Reset(at(now), 0, true)
			if n := b.Next(CapWaiting); !n.After(at(now)) {
				b.Started(at(now))
				starts = append(starts, now)
				end(&b, at(now+10*time.Millisecond))
			}
		}
		for i := 1; i < len(starts); i++ {
			if gap := starts[i] - starts[i-1]; gap < time.Second {
				t.Fatalf("starts %v apart", gap)
			}
		}
		if len(starts) != 600 {
			t.Errorf("%d starts in 10 min: a person waits for no reason", len(starts))
		}
	}
}

// A server that accepts and drops is met ever more slowly: with a pinned host
// some 220 logins an hour and not 3,000.
func TestAcceptAndDropIsNotHammered(t *testing.T) {
	b := Backoff{Rand: rand.New(rand.NewPCG(5, 5)).Float64}
	logins, hour := 0, at(time.Hour)
	for now := epoch; now.Before(hour); now = latest(now, b.Next(CapPinned)) {
		b.Started(now)
		now = now.Add(200 * time.Millisecond)
		b.Up(now)
		now = now.Add(time.Second)
		b.Lost(now)
		logins++
	}
	if logins < 100 || logins > 350 { // 3600 s / (1.2 s + 15 s on average)
		t.Errorf("%d logins in an hour", logins)
	}
}

// 1,000 hosts wake together: no tenth of a second sees more than 5 % of them.
// The pauses of their retries use the whole range, evenly.
func TestSpread(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 9))
	var wake, retry [50]int
	for range 1000 {
		b := Backoff{Rand: r.Float64}
		b.Reset(epoch, 5*time.Second, false)
		wake[b.Next(CapPinned).Sub(epoch)*50/(5*time.Second)]++
		for range 20 {
			b.Failed(epoch, false)
		}
		retry[b.Next(CapPinned).Sub(epoch)*50/CapPinned]++
	}
	for i := range 50 {
		if wake[i] > 50 || wake[i] == 0 || retry[i] > 50 || retry[i] == 0 {
			t.Errorf("part %d of 50: %d woke, %d retried", i, wake[i], retry[i])
		}
	}
}

// Next draws nothing: asked a thousand times it is as it was.
func TestNextDrawsNothing(t *testing.T) {
	draws := 0
	b := Backoff{Rand: func() float64 { draws++; return 0.25 }}
	b.Started(epoch)
	b.Failed(at(sec(2)), false)
	b.Failed(at(sec(2)), true)
	b.Reset(at(sec(3)), sec(4), true)
	if draws != 3 {
		t.Errorf("%d draws for three events", draws)
	}
	for range 1000 {
		if n := b.Next(CapPinned); n != at(sec(4)) {
			t.Fatalf("%v", n.Sub(epoch))
		}
	}
	if draws != 3 {
		t.Errorf("Next drew %d times", draws-3)
	}
}
