package forward

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"muxd/control"
)

// forward is one that is wanted. Its state, for a listener here and for one at
// the server:
//
//	local:  opening ──bound──► active ──listener broke──► degraded
//	           └─taken──► degraded ──1, 2, 4 … 30 s──► active
//	                         └──asked for again──► opening
//
//	remote: waiting ◄──the server it stands on is gone, none serves── any
//	           └──a server serves──► opening ──it listens──► active ──another serves──► opening
//	                                    └─refused──► degraded ──1, 2, 4 … 30 s──► active
//	                                                    └──another serves, or asked for again──► opening
//
// A timer's attempt leaves it degraded while it lasts, so that Since says since
// when it is; what a person waits for is opening. Where there are no owners any
// more there is no forward, whatever its state.
type forward struct {
	set     *Set
	want    control.Forward // as it was asked for
	how     control.ForwardOptions
	ctx     context.Context // ends with it
	cancel  context.CancelFunc
	coming  context.Context // of connections until they go through: ends with it as well, unless spares
	refuse  context.CancelFunc
	again   chan struct{} // holds one: a local forward is attempted now
	after   []*forward    // that were to leave its address when it came
	vacated chan struct{} // closed when a local one has no listener any more

	waiting, open  atomic.Int64
	total, in, out atomic.Int64

	// What follows is guarded by set.mu.
	claims   []*claim
	spares   bool // its end is not that of what comes through it
	state    string
	since    time.Time
	moved    chan struct{} // closed when the state changes, and replaced
	tries    int           // attempts that failed since one did not
	next     time.Time     // of the next attempt; zero: none, or at once
	failure  error         // why it is degraded
	lastErr  string        // of the last attempt to listen or connect, else of failure or partly
	partly   error         // what of it does not stand although it does
	troubled bool          // its owners know that it is degraded

	listening *listeners // of a local one; nil: none

	port   int           // of a remote one: as asked for or, once it was, chosen
	on     Server        // that listens for it
	left   Server        // that listened for it before asking or on, from which connections may be on their way
	asking Server        // that was asked to
	asked  chan struct{} // closed when asking ended
}

// claim is one owner's.
type claim struct {
	*Owner
	adding int // calls of Add that have not returned: they tell it themselves
}

// add puts a new forward at the end of the list, with the port that it is to have
// at the server; mu is held.
func (s *Set) add(f control.Forward, how control.ForwardOptions, port int) *forward {
	w := &forward{set: s, want: f, how: how, again: make(chan struct{}, 1), state: control.ForwardOpening,
		since: time.Now(), moved: make(chan struct{}), vacated: make(chan struct{}), port: port}
	w.ctx, w.cancel = context.WithCancel(s.ctx)
	w.coming, w.refuse = context.WithCancel(s.ctx)
	if f.Kind.Remote() && !s.served() {
		w.state = control.ForwardWaiting
	}
	s.list = append(s.list, w)
	w.changed()
	if f.Kind.Remote() {
		s.wake()
	} else {
		for _, l := range s.leaving {
			if samePlace(l.want.Listen, f.Listen) {
				w.after = append(w.after, l)
			}
		}
		go w.tend()
	}
	return w
}

// end is the forward's, which whoever calls it takes off the list; mu is held.
func (w *forward) end() {
	w.cancel()
	if !w.spares {
		w.refuse()
	}
	w.listening = nil
	if !w.want.Kind.Remote() {
		w.set.leaving = append(w.set.leaving, w)
	}
	if w.on != nil {
		w.set.undos = append(w.set.undos, undo{w.on, w.at()})
		w.set.wake()
	}
	w.turn("")
}

// turn is where states change; mu is held.
func (w *forward) turn(state string) {
	if w.state == state {
		return
	}
	w.state, w.since = state, time.Now()
	close(w.moved)
	w.moved = make(chan struct{})
	w.changed()
}

// changed has Config.Changed called; mu is held.
func (w *forward) changed() {
	st := w.status()
	w.set.notes = append(w.set.notes, func() { w.set.cfg.Changed(st) })
}

// stands is an attempt that succeeded, with what it could not do beside; mu is
// held.
func (w *forward) stands(partly error) {
	w.tries, w.next, w.failure, w.partly = 0, time.Time{}, nil, partly
	w.lastErr = ""
	if partly != nil {
		w.lastErr = partly.Error()
	}
	w.turn(control.ForwardActive)
	if w.troubled {
		w.troubled = false
		w.tell(w.named().String() + " stands now")
	}
	w.log(slog.LevelDebug, "forward stands", nil)
}

// fails is an attempt that did not, and returns the pause until the next one; mu
// is held.
func (w *forward) fails(err error) time.Duration {
	d := w.postpone(err)
	w.failure = err
	w.turn(control.ForwardDegraded)
	if !w.troubled {
		w.troubled = true
		w.tell(w.named().String() + ": " + err.Error() + "; trying again for as long as it is wanted")
		w.log(slog.LevelInfo, "forward does not stand", err)
	}
	return d
}

// postpone puts the next attempt off, with a pause one rung up; mu is held.
func (w *forward) postpone(err error) time.Duration {
	d := pause(w.tries, w.set.cfg.Rand())
	w.tries, w.next, w.lastErr = w.tries+1, time.Now().Add(d), err.Error()
	return d
}

// The ladder of attempts: 1, 2, 4, 8, 16 and then 30 s. sshd holds the port of a
// connection that it does not know to be dead for minutes (TCPKeepAlive), and
// asking costs one round trip.
const (
	firstPause = time.Second
	mostPause  = 30 * time.Second
)

// pause is the one after so many failures before this one; r, from [0,1), takes
// up to a quarter off it, so that many forwards do not come back at one moment.
func pause(failures int, r float64) time.Duration {
	d := min(firstPause<<min(failures, 5), mostPause)
	return d - time.Duration(r*float64(d/4))
}

// tell has the owners told, but for those that Add will tell; mu is held.
func (w *forward) tell(text string) {
	for _, c := range w.claims {
		if c.Tell != nil && c.adding == 0 {
			w.set.notes = append(w.set.notes, func() { c.Tell(text) })
		}
	}
}

// remember takes what came of a connection, nil where nothing failed.
func (w *forward) remember(err error) {
	w.set.mu.Lock()
	defer w.set.unlock()
	w.lastErr = w.trouble()
	if err != nil {
		w.lastErr = err.Error()
		w.log(slog.LevelDebug, "forward: a connection failed", err)
	}
}

// forget takes an error out of the status, nil or another than the last being
// none of its.
func (w *forward) forget(err error) {
	w.set.mu.Lock()
	defer w.set.mu.Unlock()
	if err != nil && w.lastErr == err.Error() {
		w.lastErr = w.trouble()
	}
}

// trouble is what listening suffers from, which no connection that goes well
// mends; mu is held.
func (w *forward) trouble() string {
	switch {
	case w.state == control.ForwardDegraded:
		return w.failure.Error()
	case w.state == control.ForwardActive && w.partly != nil:
		return w.partly.Error()
	}
	return ""
}

// log has a line logged once mu is free, which is held.
func (w *forward) log(level slog.Level, text string, err error) {
	args := []any{"forward", w.named().String()}
	if err != nil {
		args = append(args, "err", err)
	}
	w.set.notes = append(w.set.notes, func() { w.set.cfg.Log.Log(context.Background(), level, text, args...) })
}

// at is where a remote forward listens, as the server is told; mu is held.
func (w *forward) at() control.Endpoint {
	e := w.want.Listen
	e.Port = w.port
	return e
}

// named is the forward with the port that was chosen for it; mu is held.
func (w *forward) named() control.Forward {
	f := w.want
	f.Listen.Port = w.port
	return f
}

// status is the forward as it is now; mu is held.
func (w *forward) status() control.ForwardStatus {
	st := control.ForwardStatus{Forward: w.named(), State: w.state, Since: w.since, Waiting: int(w.waiting.Load()),
		Open: int(w.open.Load()), Total: w.total.Load(), In: w.in.Load(), Out: w.out.Load(), LastErr: w.lastErr, Next: w.next}
	for _, c := range w.claims {
		if c.Sticky {
			st.Sticky = true
		} else {
			st.Owners = append(st.Owners, c.PID)
		}
	}
	return st
}
