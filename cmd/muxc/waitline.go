package main

import (
	"os"
	"os/signal"
	"strconv"
	"sync"
	"syscall"
	"time"

	"muxd/control"
	"muxd/internal/term"
)

// patience is how long a login may take before a person is told about it.
const patience = time.Second

// tickEvery is how often the line looks at the clock and for Enter. What it
// writes changes once a second.
const tickEvery = 100 * time.Millisecond

// waitLine is the one line that tells a person how the wait for the connection
// stands, and hears whether another attempt is wanted now. It counts on by
// itself between what muxd tells. All methods may be called from any goroutine;
// on one that is not allowed to show anything they do nothing.
type waitLine struct {
	host    string
	allowed bool // stderr is a terminal, and lines of ours go there; set before use

	mu    sync.Mutex    // taken after ui.mu
	waits bool          // guarded by mu; between begin and end
	held  bool          // guarded by mu; the terminal is another's
	quit  chan struct{} // guarded by mu; ends run, nil while there is no line to come
	timer *time.Timer   // guarded by mu; patience
	line  *term.StatusLine
	enter *term.Enter // guarded by mu; nil where Enter cannot be heard
	drawn bool        // guarded by mu; patience is over and the line is shown
	op    *control.Op // guarded by mu; what waits
	told  bool        // guarded by mu; muxd said how it stands:
	state control.Waiting
	at    time.Time
	ahead []byte // guarded by mu; taken from the terminal, and the session's
}

// begin is called when op begins to wait; again for another muxd to which the
// same request goes. The line comes after patience.
func (w *waitLine) begin(op *control.Op) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.op, w.waits = op, true
	w.start()
}

// start has the line come after patience. Called with mu held.
func (w *waitLine) start() {
	if w.quit != nil || !w.waits || w.held || !w.allowed {
		return
	}
	quit := make(chan struct{})
	w.quit = quit
	w.timer = time.AfterFunc(patience, func() { w.run(quit) })
}

// end is the end of the wait. When it returns nothing of the line reads the
// terminal or writes to it any more.
func (w *waitLine) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waits = false
	w.stop()
}

// hold leaves the terminal to a question or a child, until release. The line
// comes again by itself only after a child: who just answered knows that things
// go on, and is told only when muxd has something to tell.
func (w *waitLine) hold() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.held = true
	w.stop()
}

func (w *waitLine) release(again bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.held = false; again {
		w.start()
	}
}

// stop takes the line away. Called with mu held.
func (w *waitLine) stop() {
	if w.quit == nil {
		return
	}
	close(w.quit)
	w.timer.Stop()
	w.quit = nil
	if w.drawn {
		w.line.Erase()
	}
	w.drawn = false
	if w.enter != nil {
		w.enter.Close()
		w.enter = nil
	}
}

// forget is for a wait that has nothing to do with the last one.
func (w *waitLine) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.told = false
}

// update is what muxd says about the wait.
func (w *waitLine) update(s control.Waiting) {
	w.mu.Lock()
	defer w.mu.Unlock()
	again := !w.told || s.Cause != w.state.Cause
	w.told, w.state, w.at = true, s, time.Now()
	if w.drawn && (again || !w.line.Dumb()) {
		w.line.Show(w.text(w.at))
	}
	w.start()
}

// aside has f write to the terminal without the line, which then is there
// again.
func (w *waitLine) aside(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.drawn {
		w.line.Erase()
	}
	f()
	if w.drawn && !w.line.Dumb() {
		w.line.Show(w.text(time.Now()))
	}
}

// typedAhead returns, once, what goes before everything that is read.
func (w *waitLine) typedAhead() []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	b := w.ahead
	w.ahead = nil
	return b
}

// run shows the line until quit is closed.
func (w *waitLine) run(quit chan struct{}) {
	// A shell had the terminal, or it has another width.
	moved := make(chan os.Signal, 1)
	signal.Notify(moved, syscall.SIGCONT, syscall.SIGWINCH)
	defer signal.Stop(moved)
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	for fresh := true; ; {
		w.draw(quit, fresh)
		select {
		case <-quit:
			return
		case <-moved:
			fresh = true
		case <-tick.C:
			fresh = false
		}
	}
}

// draw shows the line, and hears Enter. It does nothing once the wait is over,
// which may be between a tick and here.
func (w *waitLine) draw(quit chan struct{}, fresh bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.quit != quit {
		return
	}
	first := !w.drawn
	if first {
		w.drawn = true
		w.line = term.NewStatusLine(2, os.Getenv("TERM"))
		w.enter, _ = term.OpenEnter()
	}
	if fresh {
		w.line.Forget()
	}
	if w.enter != nil {
		w.listen()
	}
	if first || !w.line.Dumb() {
		w.line.Show(w.text(time.Now()))
	}
}

// listen hears Enter. Called with mu held, so nothing else of this process
// reads the terminal.
func (w *waitLine) listen() {
	pressed, echoed, other := w.enter.Pressed()
	w.ahead = append(w.ahead, other...)
	if pressed {
		go w.op.Retry() // a muxd that is stopped takes nothing
	}
	if echoed {
		w.line.Up()
	}
}

// text is the line at a time. Called with mu held.
func (w *waitLine) text(now time.Time) string {
	s := "muxc: "
	if w.host != "" {
		s += w.host + ": "
	}
	if !w.told {
		return s + "waiting for the connection (^C cancels)"
	}
	if w.line.Dumb() {
		return s + standing(w.state, 0, false) + inBrackets(w.state.Cause) + "  ^C cancels"
	}
	hints := []string{"  ^C cancels", ""}
	if w.enter != nil && !w.state.Dialling && w.enter.Heard() {
		hints = []string{"  Enter retries now, ^C cancels", "  Enter retries now", ""}
	}
	return fitting(forms(s, w.state, now.Sub(w.at)), w.state.Cause, hints, w.line.Width())
}

// forms are the line without its cause, the fullest first: the number of the
// attempt says least, and then how long the other side has been silent.
func forms(s string, w control.Waiting, since time.Duration) []string {
	full := standing(w, since, true)
	w.Attempt = 0
	return []string{s + full, s + standing(w, since, true), s + doing(w, since, true)}
}

// leastCause is how many columns of a cause say something: "connection refused"
// is 18.
const leastCause = 24

// fitting is the line in so many columns, as one of the forms, the fullest first,
// and with the longest of the hints that leaves room for the cause, or for what
// says something of it: why it does not work is more to a person than what Enter
// does, and that more than the number of the attempt. What is too long then is cut
// by whoever draws it.
func fitting(forms []string, cause string, hints []string, columns int) string {
	told := inBrackets(cause)
	for i, hint := range hints {
		wanted := forms
		if i == 0 {
			wanted = forms[:1] // nothing else goes to make room for what ^C does
		}
		for _, s := range wanted {
			if term.Columns(s+told+hint) <= columns {
				return s + told + hint
			}
		}
	}
	for _, hint := range hints {
		for _, s := range forms {
			if room := columns - term.Columns(s+hint+" ()"); cause != "" && room >= leastCause {
				return s + inBrackets(term.Cut(cause, room)) + hint
			}
		}
	}
	return forms[len(forms)-1] + told
}

func inBrackets(cause string) string {
	if cause == "" {
		return ""
	}
	return " (" + cause + ")"
}

// standing says how a wait stands, some time after that was told; with the
// countdown to the next attempt where it is shown again each second.
func standing(w control.Waiting, since time.Duration, counts bool) string {
	if w.Silence > 0 {
		return "no byte for " + seconds(w.Silence+since) + " s, " + doing(w, since, counts)
	}
	return doing(w, since, counts)
}

// doing is standing without the silence.
func doing(w control.Waiting, since time.Duration, counts bool) string {
	s := "connecting"
	switch {
	case !w.Dialling && w.Next <= 0:
		s = "waiting"
	case w.Silence > 0:
		s = "reconnecting"
	}
	if w.Attempt > 1 || w.Attempt == 1 && w.Cause != "" {
		s += ", attempt " + strconv.Itoa(w.Attempt)
	}
	if left := w.Next - since; counts && !w.Dialling && w.Next > 0 {
		// Rounded up: a person who reads 1 has that second.
		if left > 0 {
			s += ", next try in " + seconds(left+time.Second-1) + " s"
		} else {
			s += ", next try now"
		}
	}
	return s
}

func seconds(d time.Duration) string { return strconv.FormatInt(int64(d/time.Second), 10) }
