package alive

import (
	"encoding/json"
	"math/rand/v2"
	"testing"
	"time"
)

// answer reports n probes answered at the interval in force.
func (w *Warmth) answer(n int) {
	for range n {
		w.Answered(w.Interval())
	}
}

func TestWarmthLengthens(t *testing.T) {
	var w Warmth
	for _, c := range []struct {
		answers int
		want    float64
	}{{0, 15}, {39, 15}, {1, 18.75}, {39, 18.75}, {1, 23.4375}, {40, 29.296875}, {40, 30}, {1000, 30}} {
		if w.answer(c.answers); w.Interval() != sec(c.want) {
			t.Errorf("after %d more: %v, want %v s", c.answers, w.Interval(), c.want)
		}
	}
	// Where nothing can be longer nothing changes, and nothing is written.
	for _, w := range []Warmth{w, {Every: sec(5), Fatal: sec(6)}, {Every: sec(9), Fatal: sec(12)}} {
		before := w
		if w.answer(1007); w != before {
			t.Errorf("%+v became %+v", before, w)
		}
	}
	w = Warmth{Row: -1000, Fatal: -1} // from a file
	if w.answer(40); w.Interval() != sec(18.75) {
		t.Errorf("never counted up: %+v", w)
	}
}

func TestOnlyATestOfTheIntervalCounts(t *testing.T) {
	var w Warmth
	for range 1000 {
		w.Answered(sec(14) - 1)
	}
	if w != (Warmth{}) {
		t.Errorf("early probes taught %+v", w)
	}
	w.answer(39)
	w.Answered(sec(3)) // a request's probe; it breaks no row
	if w.Answered(sec(15)); w.Interval() != sec(18.75) {
		t.Errorf("the fortieth: %v", w.Interval())
	}
}

func TestWarmthShortens(t *testing.T) {
	for _, c := range []struct {
		name   string
		start  Warmth
		losses []float64
		want   float64 // interval
		grown  float64 // after any number of answers
	}{
		{"at the interval", Warmth{}, []float64{15}, 7.5, 11.25},
		{"half of the silence", Warmth{Every: sec(30)}, []float64{30}, 15, 22.5},
		{"a long silence needs none shorter", Warmth{}, []float64{300}, 15, 30},
		{"just not", Warmth{}, []float64{30}, 15, 22.5},
		{"again", Warmth{}, []float64{15, 11}, 5.5, 8.25},
		{"the shortest counts, in any order", Warmth{}, []float64{11, 15}, 5.5, 8.25},
		{"never below 5 s", Warmth{}, []float64{8}, 5, 6},
		{"nor to grow below it", Warmth{}, []float64{6}, 5, 5},
		{"at once", Warmth{}, []float64{0.001}, 5, 5},
		{"no silence, no lesson", Warmth{}, []float64{0, -4}, 15, 30},
	} {
		w := c.start
		for _, s := range c.losses {
			w.Lost(sec(s), epoch)
		}
		if w.Interval() != sec(c.want) {
			t.Errorf("%s: %v, want %v s", c.name, w.Interval(), c.want)
		}
		if w.answer(2000); w.Interval() != sec(c.grown) {
			t.Errorf("%s: grown to %v, want %v s", c.name, w.Interval(), c.grown)
		}
	}
}

func TestLossBeginsTheRowAnew(t *testing.T) {
	var w Warmth
	w.answer(39)
	w.Lost(sec(100), epoch)
	if w.answer(39); w.Interval() != sec(15) {
		t.Errorf("%v", w.Interval())
	}
	if w.answer(1); w.Interval() != sec(18.75) {
		t.Errorf("%v", w.Interval())
	}
	if !w.LostAt.Equal(epoch) || w.Fatal != sec(100) {
		t.Errorf("%+v", w)
	}
}

// Whatever happens and whatever a file held: within 5 and 30 s; no answer
// shortens, no loss lengthens; never more than half of a loss just met, nor
// grown above 3/4 of the shortest.
func TestWarmthProperties(t *testing.T) {
	for seed := range uint64(3000) {
		r := rand.New(rand.NewPCG(seed, 2))
		var w Warmth
		if seed%4 == 0 { // nonsense from a file
			w = Warmth{Every: time.Duration(r.Int64()) - 1<<62, Row: r.IntN(200) - 100, Fatal: time.Duration(r.Int64()) - 1<<62}
		}
		for range 400 {
			old, before, shortest := w, w.Interval(), w.Fatal
			if r.IntN(100) == 0 {
				silence := time.Duration(r.Int64N(int64(2 * time.Minute)))
				w.Lost(silence, epoch)
				if after := w.Interval(); after > before || after > max(silence/2, 5*time.Second) {
					t.Fatalf("seed %d: %v after a loss at %v, was %v", seed, after, silence, before)
				}
				if silence > 0 && (w.Fatal <= 0 || w.Fatal > silence || shortest > 0 && w.Fatal > shortest) {
					t.Fatalf("seed %d: shortest %v", seed, w.Fatal)
				}
			} else {
				w.Answered(before + time.Duration(r.Int64N(1e9)))
				after := w.Interval()
				if after < before || after > before && w.Fatal > 0 && after > w.Fatal/4*3 {
					t.Fatalf("seed %d: %v after an answer, was %v, lost at %v", seed, after, before, w.Fatal)
				}
			}
			if w.Every != old.Every && w.Every != w.Interval() {
				t.Fatalf("seed %d: %v is kept for %v", seed, w.Every, w.Interval())
			}
			if i := w.Interval(); i < 5*time.Second || i > 30*time.Second {
				t.Fatalf("seed %d: %v", seed, i)
			}
		}
	}
}

// A path that forgets after a fixed time is learned and then kept: the interval
// comes to rest below its limit, after few losses.
func TestWarmthFindsThePathsLimit(t *testing.T) {
	for limit := 6 * time.Second; limit < 2*time.Minute; limit += time.Second / 2 {
		var w Warmth
		losses := 0
		for range 5000 {
			if i := w.Interval(); i < limit {
				w.Answered(i)
			} else {
				w.Lost(i, epoch)
				losses++
			}
		}
		if w.Interval() >= limit || losses > 3 {
			t.Errorf("limit %v: %v, with %d losses", limit, w.Interval(), losses)
		}
	}
}

func TestWarmthIsSerialisable(t *testing.T) {
	var w Warmth
	w.Lost(sec(12.5), time.Now())
	w.answer(7)
	b, err := json.Marshal(w)
	if err != nil {
		t.Fatal(err)
	}
	var got Warmth
	if err := json.Unmarshal(b, &got); err != nil || got != w {
		t.Errorf("%s: %+v, want %+v, %v", b, got, w, err)
	}
	if b, _ := json.Marshal(Warmth{}); string(b) != "{}" {
		t.Errorf("nothing learned: %s", b)
	}
}
