package master

import (
	"fmt"
	"time"
)

// A request with -v is told what is done for it, and nobody else is: debug
// lines are notices to whoever asked for them, not the log.

// Debug implements dest.Debugger: of those who wait for the dial, each is told as
// much as it asked for.
func (a *asker) Debug(level int, text string) {
	for _, w := range a.waiting(func(*waiter) bool { return true }) {
		w.dest.Debug(w.p, level, text)
	}
}

// tellLink says which connection a request came to.
func (ls *lease) tellLink() {
	if ls.Dest.Verbose > 0 {
		l := ls.link
		ls.Dest.Debug(ls.P, 1, fmt.Sprintf("using connection %d, up for %v, last byte %v ago", l.ID,
			time.Since(l.Since).Round(time.Millisecond), l.Silence().Round(time.Millisecond)))
	}
}
