package client

import (
	"os"
	"sync"
	"time"
)

var errTimeout = os.ErrDeadlineExceeded

// deadline is one that may be moved while somebody waits for it. The zero value
// never passes.
type deadline struct {
	mu      sync.Mutex
	timer   *time.Timer   // guarded by mu
	late    chan struct{} // guarded by mu; closed when it has passed
	changed chan struct{} // guarded by mu; closed when another one was set
}

// get returns channels of the present deadline: it has passed, or it is another
// one now.
func (d *deadline) get() (late, changed <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.changed == nil {
		d.late, d.changed = make(chan struct{}), make(chan struct{})
	}
	return d.late, d.changed
}

// set sets another deadline; the zero time is none.
func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop() // one that fires all the same closes the channel of its own
		d.timer = nil
	}
	if d.changed != nil {
		close(d.changed)
	}
	late := make(chan struct{})
	d.late, d.changed = late, make(chan struct{})
	switch left := time.Until(t); {
	case t.IsZero():
	case left <= 0:
		close(late)
	default:
		d.timer = time.AfterFunc(left, func() { close(late) })
	}
}
