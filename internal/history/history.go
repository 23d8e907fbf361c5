// Package history keeps the newest events, for whoever asks later what happened.
//
// It refuses to keep all of them: a host that goes up and down for a week must not
// cost the memory of a week. What was dropped is counted, so that nobody takes a
// history that begins late for one in which nothing happened before.
package history

import (
	"time"

	"muxd/control"
)

// Most is how many events are kept: some hours of a bad network with twenty
// hosts, and at most half a megabyte.
const Most = 2048

// maxText bounds the text of one that is kept, in bytes.
const maxText = 512

// Ring is the newest events. The zero value has none; it has no lock.
type Ring struct {
	kept    []entry // oldest at next, once it is full
	next    int
	dropped int
	last    time.Time // of the newest one that was dropped
}

type entry struct {
	event control.Event
	key   string
}

// Add keeps e, which is about the host of that key or of none.
func (r *Ring) Add(e control.Event, key string) {
	if len(e.Text) > maxText {
		e.Text = string([]byte(e.Text[:maxText-len("…")])) + "…" // a copy: the rest may be large
	}
	if len(r.kept) < Most {
		r.kept = append(r.kept, entry{e, key})
		return
	}
	r.dropped++
	r.last = r.kept[r.next].event.Time
	r.kept[r.next] = entry{e, key}
	r.next = (r.next + 1) % Most
}

// Since returns the events from then on, oldest first, that are about the host of
// that key or of none; "" is all. Forgotten is how many may be missing at the
// beginning, of all hosts together.
func (r *Ring) Since(then time.Time, key string) (events []control.Event, forgotten int) {
	for i := range r.kept {
		e := &r.kept[(r.next+i)%len(r.kept)]
		if (key == "" || e.key == "" || e.key == key) && !e.event.Time.Before(then) {
			events = append(events, e.event)
		}
	}
	if r.dropped > 0 && !r.last.Before(then) {
		forgotten = r.dropped
	}
	return events, forgotten
}
