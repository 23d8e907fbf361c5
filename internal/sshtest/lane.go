package sshtest

import (
	"io"
	"sync"
	"syscall"
	"time"
)

// wire is what both ends of a Pipe share. One lock and one condition serve
// both lanes: at most four goroutines wait on a pipe at a time, and a fault
// concerns both directions at once.
type wire struct {
	mu    sync.Mutex
	cond  *sync.Cond // on mu; broadcast after every change
	reset bool       // guarded by mu; never unset
}

// wait releases mu until something changed or the instant has come; the zero
// instant never comes. The timer takes mu before it broadcasts, so it cannot
// fire between the caller's last look and the wait.
func (w *wire) wait(until time.Time) {
	if !until.IsZero() {
		t := time.AfterFunc(time.Until(until), w.wake)
		defer t.Stop()
	}
	w.cond.Wait()
}

func (w *wire) wake() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cond.Broadcast()
}

// change runs f under the lock and lets everybody look again.
func (w *wire) change(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
	w.cond.Broadcast()
}

// segment is a run of bytes that become readable at the same instant.
type segment struct {
	due  time.Time // zero: at once
	data []byte
}

// Lane is one direction of a Pipe. Its methods may be called at any time from
// any goroutine.
type Lane struct {
	w    *wire
	back *Lane // the opposite direction

	// guarded by w.mu
	limit     int // most bytes held
	queue     []segment
	held      int // bytes in queue
	delay     time.Duration
	stalled   bool
	finished  bool // the writer has closed; EOF stands behind the queue
	eofDue    time.Time
	abandoned bool // the reader has closed
	delivered int64
	cutAt     int64 // value of delivered at which the wire is cut; negative: never
}

// Stall keeps every byte from the reader, those already on the way included;
// the writer fills the buffer and then waits, and neither end learns of the
// other's Close. That is what a dropped route looks like.
func (l *Lane) Stall() { l.w.change(func() { l.stalled = true }) }

// Resume ends Stall: what was held is readable at once, in order.
func (l *Lane) Resume() { l.w.change(func() { l.stalled = false }) }

// Slow makes every byte written from now on readable only d later. It adds
// latency and leaves the rate alone; order is kept when d shrinks.
func (l *Lane) Slow(d time.Duration) { l.w.change(func() { l.delay = d }) }

// CutAfter cuts the connection as Conn.Cut does once n more bytes of this lane
// have been read: the reader gets exactly those n and then the reset. With n
// of zero or less the cut is now.
func (l *Lane) CutAfter(n int64) {
	l.w.change(func() {
		l.cutAt = l.delivered + max(n, 0)
		l.w.reset = l.w.reset || n <= 0
	})
}

// Delivered returns how many bytes of this lane have been read.
func (l *Lane) Delivered() int64 {
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	return l.delivered
}

// Held returns how many bytes were written and not yet read.
func (l *Lane) Held() int {
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	return l.held
}

// put appends as much of p as fits and says how much; w.mu is held.
func (l *Lane) put(p []byte) int {
	n := min(len(p), l.limit-l.held)
	if n <= 0 {
		return 0
	}
	due := l.dueLocked()
	if k := len(l.queue); k > 0 && l.queue[k-1].due.Equal(due) {
		l.queue[k-1].data = append(l.queue[k-1].data, p[:n]...)
	} else {
		l.queue = append(l.queue, segment{due, append([]byte(nil), p[:n]...)})
	}
	l.held += n
	return n
}

// dueLocked says when something sent now may be read at the earliest; zero is
// at once. What was sent before it goes first in any case.
func (l *Lane) dueLocked() time.Time {
	if l.delay <= 0 {
		return time.Time{}
	}
	return time.Now().Add(l.delay)
}

// take moves what may be read now into p; w.mu is held. With nothing to give
// it returns the instant at which to look again, zero for "when woken".
func (l *Lane) take(p []byte) (n int, again time.Time, err error) {
	if l.stalled {
		return 0, time.Time{}, nil
	}
	now := time.Now()
	for n < len(p) && len(l.queue) > 0 && l.cutAt != l.delivered {
		head := &l.queue[0]
		if now.Before(head.due) {
			break
		}
		n += l.bite(head, p[n:])
	}
	switch {
	case n > 0:
		return n, time.Time{}, nil
	case len(l.queue) > 0:
		return 0, l.queue[0].due, nil
	case l.finished && now.Before(l.eofDue):
		return 0, l.eofDue, nil
	case l.finished:
		return 0, time.Time{}, io.EOF
	}
	return 0, time.Time{}, nil
}

// bite copies from the head segment, up to the byte at which to cut.
func (l *Lane) bite(head *segment, p []byte) int {
	if l.cutAt >= 0 {
		p = p[:min(int64(len(p)), l.cutAt-l.delivered)]
	}
	n := copy(p, head.data)
	head.data = head.data[n:]
	if len(head.data) == 0 {
		l.queue = l.queue[1:]
	}
	l.held -= n
	l.delivered += int64(n)
	if l.delivered == l.cutAt {
		l.w.reset = true
	}
	return n
}

// refused says whether the writer may know that nobody reads any more: the
// news travels on the opposite lane and is lost while that is stalled.
func (l *Lane) refused() error {
	if l.abandoned && !l.back.stalled {
		return syscall.EPIPE
	}
	return nil
}
