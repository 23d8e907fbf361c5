package alive

import "time"

const (
	// warmest is the shortest keep-warm interval that is ever learned. Paths
	// that forget a TCP connection sooner than after 10 s are broken for
	// everybody, and a probe every 5 s is what a phone's radio bears.
	warmest = 5 * time.Second

	// coolest is the longest. It saves half of the probes; more would save
	// less and put every path to the test whose limit is a minute.
	coolest = 30 * time.Second

	// enough answers in a row at one interval are 10 min at 15 s: a path that
	// forgets at all has had the time to do so.
	enough = 40
)

// A Warmth is what was learned of how long a path, from one network to one
// destination, lets a connection be silent. It is small and made to be kept:
// copy it, compare it, write it to a file. The zero value knows nothing yet.
// It is not safe for concurrent use.
type Warmth struct {
	// Every is the keep-warm interval in force; zero means 15 s. Read it by
	// Interval, which bears any value a file may hold.
	Every time.Duration `json:"every_ns,omitempty"`

	// Row is how many probes were answered in a row at Every.
	Row int `json:"row,omitempty"`

	// Fatal is the shortest silence after which a connection was found dead
	// without a local cause; zero while none was.
	Fatal time.Duration `json:"fatal_ns,omitempty"`

	// LostAt is when one was last found dead, by the wall clock.
	LostAt time.Time `json:"lost_at,omitzero"`
}

// Interval is the silence after which a connection is to be probed: 15 s to
// begin with, and always between 5 and 30 s.
func (w Warmth) Interval() time.Duration {
	if w.Every <= 0 {
		return UnsetInterval
	}
	return min(max(w.Every, warmest), coolest)
}

// Answered reports that a probe was answered which had been sent after the
// given silence. Only one that put Interval to the test teaches, as far as the
// timer does, which may ask a beat sooner (see Prober.Align): a probe sent before
// that, for a request or by a shorter KeepWarm, says nothing about it.
//
// Every 40 in a row lengthen the interval by a quarter, to 30 s at most, and
// where a connection was ever lost to 3/4 of the shortest silence that lost one.
func (w *Warmth) Answered(silence time.Duration) {
	now := w.Interval()
	if silence < now-beat(now) {
		return
	}
	limit := coolest
	if w.Fatal > 0 {
		limit = min(limit, w.Fatal/4*3)
	}
	longer := min(now+now/4, limit)
	if longer <= now {
		return // as long as it may be: nothing left to count for
	}
	w.Every = now
	if w.Row = max(w.Row, 0) + 1; w.Row >= enough {
		w.Every, w.Row = longer, 0
	}
}

// Lost reports that an idle connection was found dead at the given time after
// so much silence, and that nothing here explains it: no suspend, no change of
// the network, no end that the server announced. The interval becomes at most
// half of that silence, though never less than 5 s. A silence of zero or less
// teaches nothing.
func (w *Warmth) Lost(silence time.Duration, now time.Time) {
	if silence <= 0 {
		return
	}
	w.Every = min(w.Interval(), max(silence/2, warmest))
	w.Row = 0
	if w.Fatal <= 0 || silence < w.Fatal {
		w.Fatal = silence
	}
	// The one instant of this package that goes through a file: as a date.
	w.LostAt = now.UTC().Round(0)
}
