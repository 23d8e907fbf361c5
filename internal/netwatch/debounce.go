package netwatch

import "time"

const (
	// settle is from the first notice to the look: a DHCP client sets an address
	// and then a route, and half of it is of no use to a dial.
	settle = time.Second
	// quiet is what must have passed since the last notice, so that a link that
	// bounces for a second is one change and not the two halves of it.
	quiet = 250 * time.Millisecond
	// limit ends the wait for quiet: some networks have none.
	limit = 3 * time.Second
	// share is how many times as long as a look took the next one waits: on a
	// router with a million routes that change every second, a look takes a
	// second, and this caps them at a twentieth of one processor.
	share = 20
)

// debouncer says when to look. It reads no clock; the zero value has seen
// nothing. It is not safe for concurrent use.
type debouncer struct {
	open        bool
	first, last time.Time // of the notices since the last look, while open
	rest        time.Time // no look before this
}

// notice takes note that there may be something to see.
func (d *debouncer) notice(now time.Time) {
	if !d.open {
		d.open, d.first = true, now
	}
	d.last = now
}

// due returns when to look next; false: not before another notice.
func (d *debouncer) due() (time.Time, bool) {
	if !d.open {
		return time.Time{}, false
	}
	at := later(d.first.Add(settle), d.last.Add(quiet))
	if end := d.first.Add(limit); at.After(end) {
		at = end
	}
	return later(at, d.rest), true
}

// looked takes note of a look. What is noticed from its beginning on is another
// one's.
func (d *debouncer) looked(begun, done time.Time) {
	d.open = false
	d.rest = done.Add(share * done.Sub(begun))
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
