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

// debugf tells the request, or the requests, behind p about d.
func debugf(p control.Prompter, d *dest.Destination, level int, format string, args ...any) {
	d.Debug(p, level, fmt.Sprintf(format, args...))
}

// Debug implements dest.Debugger: of those who wait for the dial, each is told as
// much as it asked for.
func (a *asker) Debug(level int, text string) {
	for _, w := range a.waiting(func(*waiter) bool { return true }) {
		w.dest.Debug(w.p, level, text)
	}
}

// Debug implements dest.Debugger.
func (s *suspending) Debug(level int, text string) {
	if all, ok := s.Prompter.(dest.Debugger); ok {
		all.Debug(level, text)
	}
}

// tellLogin says what a login came to.
func tellLogin(p control.Prompter, d *dest.Destination, l *link) {
	debugf(p, d, 1, "remote software version %s", l.Conn.ServerVersion())
	if c, ok := l.Conn.(ssh.AlgorithmsConnMetadata); ok {
		a := c.Algorithms()
		debugf(p, d, 1, "kex %s, host key algorithm %s, ciphers %s in, %s out", a.KeyExchange, a.HostKey, a.Read.Cipher, a.Write.Cipher)
	}
	debugf(p, d, 1, "authenticated to %s as %s by %s", d.Addr(), d.User, l.Auth)
}

// tellLink says which connection a request came to.
func (ls *lease) tellLink() {
	if ls.Dest.Verbose > 0 {
		l := ls.link
		ls.Dest.Debug(ls.P, 1, fmt.Sprintf("using connection %d, up for %v, last byte %v ago", l.ID,
			time.Since(l.Since).Round(time.Millisecond), l.Silence().Round(time.Millisecond)))
	}
}
