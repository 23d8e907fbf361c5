package master

import (
	"fmt"
	"time"

	"golang.org/x/crypto/ssh"

	"muxd/control"
	"muxd/internal/dest"
)

// A request with -v is told what is done for it, and nobody else is: debug
// lines are notices to whoever asked for them, not the log.

// debugger is a Prompter behind which several requests stand, some of which
// want to know more than others.
type debugger interface{ debug(level int, text string) }

// debugf tells the request, or the requests, behind p about d.
func debugf(p control.Prompter, d *dest.Destination, level int, format string, args ...any) {
	debugLine(p, d, level, fmt.Sprintf(format, args...))
}

// debugLine is a line of debugf's; where several stand behind p, each decides.
func debugLine(p control.Prompter, d *dest.Destination, level int, text string) {
	if all, ok := p.(debugger); ok {
		all.debug(level, text)
	} else {
		d.Debug(p, level, text)
	}
}

// debug implements debugger: of those who wait for the dial, each is told as
// much as it asked for.
func (a *asker) debug(level int, text string) {
	for _, w := range a.waiting(func(*waiter) bool { return true }) {
		debugLine(w.p, w.dest, level, text)
	}
}

// debug implements debugger.
func (s *suspending) debug(level int, text string) {
	if all, ok := s.Prompter.(debugger); ok {
		all.debug(level, text)
	}
}

// debugf tells the requests that hold the link.
func (l *link) debugf(level int, format string, args ...any) {
	l.mu.Lock()
	var told []*lease
	for ls := range l.verbose {
		told = append(told, ls)
	}
	l.mu.Unlock()
	for _, ls := range told {
		debugLine(ls.p, ls.dest, level, fmt.Sprintf(format, args...))
	}
}

// tellLogin says what a login came to.
func tellLogin(p control.Prompter, d *dest.Destination, l *link) {
	debugf(p, d, 1, "remote software version %s", l.conn.ServerVersion())
	if c, ok := l.conn.(ssh.AlgorithmsConnMetadata); ok {
		a := c.Algorithms()
		debugf(p, d, 1, "kex %s, host key algorithm %s, ciphers %s in, %s out", a.KeyExchange, a.HostKey, a.Read.Cipher, a.Write.Cipher)
	}
	debugf(p, d, 1, "authenticated to %s as %s by %s", d.Addr(), d.User, l.auth)
}

// tellLink says which connection a request came to.
func (ls *lease) tellLink() {
	if ls.dest.Verbose > 0 {
		l := ls.link
		debugLine(ls.p, ls.dest, 1, fmt.Sprintf("using connection %d, up for %v, last byte %v ago", l.id,
			time.Since(l.since).Round(time.Millisecond), l.silence().Round(time.Millisecond)))
	}
}
