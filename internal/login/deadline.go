package login

import (
	"context"
	"sync"
	"time"

	"muxd/control"
	"muxd/internal/dest"
	"muxd/internal/wire"
)

// deadline closes a connection whose handshake takes too long. Its clock stands
// still while a person is asked something, however long that takes (a prompt
// has a limit of its own).
type deadline struct {
	w    *wire.Conn
	lend func() // gives the slot back, may be called again; nil: there is none

	mu      sync.Mutex
	timer   *time.Timer   // guarded by mu
	left    time.Duration // guarded by mu; of the budget, while suspended
	pauses  int           // guarded by mu; that are under way: a touch and the PIN for it are two
	since   time.Time     // guarded by mu; when the clock last started
	stopped bool          // guarded by mu
	lending *time.Timer   // guarded by mu; calls lend, while suspended
}

// thinkingTime is how long a person may think about a question before the slot
// of the login is given to another one. A program that answers takes less, so
// that the slots hold for it; four people who went to lunch at a prompt must not
// keep everybody else from a bastion, for which two minutes each are a long time.
const thinkingTime = 5 * time.Second

func newDeadline(w *wire.Conn, d *dest.Destination, lend func()) *deadline {
	left := d.Conf.ConnectTimeout()
	if left <= 0 {
		left = Timeout
	}
	dl := &deadline{w: w, left: left, lend: lend}
	dl.run()
	return dl
}

// run starts the clock. It is called with mu held, or before anybody knows dl.
// The connection's own read deadline would do for the reading, but not for a
// write that waits; closing frees both.
func (dl *deadline) run() {
	if !dl.stopped {
		dl.since = time.Now()
		dl.timer = time.AfterFunc(dl.left, func() { dl.w.Expire() })
	}
}

// start ends a pause.
func (dl *deadline) start() {
	dl.mu.Lock()
	defer dl.mu.Unlock()
	if dl.pauses--; dl.pauses == 0 {
		dl.settle()
		dl.run()
	}
}

func (dl *deadline) pause() {
	dl.mu.Lock()
	defer dl.mu.Unlock()
	if dl.pauses++; dl.pauses == 1 && dl.timer != nil {
		dl.timer.Stop()
		dl.left -= time.Since(dl.since)
		if dl.lend != nil {
			dl.lending = time.AfterFunc(thinkingTime, dl.lend)
		}
	}
}

// settle keeps the slot, if it was not given back yet. Called with mu held.
func (dl *deadline) settle() {
	if dl.lending != nil {
		dl.lending.Stop()
	}
}

func (dl *deadline) stop() {
	dl.mu.Lock()
	defer dl.mu.Unlock()
	dl.stopped = true
	dl.settle()
	if dl.timer != nil {
		dl.timer.Stop()
	}
}

// hold stops the clock until the function that it returns is called.
func (dl *deadline) hold() (done func()) {
	dl.pause()
	return dl.start
}

// suspend returns p with the clock stopped around its prompts.
func (dl *deadline) suspend(p control.Prompter) control.Prompter { return &suspending{p, dl} }

type suspending struct {
	control.Prompter
	dl *deadline
}

// Prompt implements control.Prompter.
func (s *suspending) Prompt(ctx context.Context, q control.Prompt) (control.Answer, error) {
	s.dl.pause()
	defer s.dl.start()
	return s.Prompter.Prompt(ctx, q)
}

// Run implements control.Prompter.
func (s *suspending) Run(ctx context.Context, c control.Command) (control.Ran, error) {
	s.dl.pause()
	defer s.dl.start()
	return s.Prompter.Run(ctx, c)
}

// Debug implements dest.Debugger.
func (s *suspending) Debug(level int, text string) {
	if all, ok := s.Prompter.(dest.Debugger); ok {
		all.Debug(level, text)
	}
}
