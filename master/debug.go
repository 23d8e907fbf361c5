package master

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"golang.org/x/crypto/ssh"

	"muxd/control"
	"muxd/internal/sshconf"
)

// A request with -v is told what is done for it, and nobody else is: debug
// lines are notices to whoever asked for them, not the log.

// debugger is a Prompter behind which several requests stand, some of which
// want to know more than others.
type debugger interface{ debug(level int, text string) }

// verbosity is how many -v the log level comes to, 0 to 3.
func verbosity(conf *sshconf.Config) int {
	switch conf.LogLevel() {
	case "DEBUG":
		return 1
	case "DEBUG2":
		return 2
	case "DEBUG3":
		return 3
	}
	return 0
}

// debugf tells the request, or the requests, behind p about d.
func debugf(p control.Prompter, d *destination, level int, format string, args ...any) {
	d.debug(p, level, fmt.Sprintf(format, args...))
}

// debug is a line in ssh's form, if the request wants it; where several stand
// behind p, each decides.
func (d *destination) debug(p control.Prompter, level int, text string) {
	if all, ok := p.(debugger); ok {
		all.debug(level, text)
	} else if p != nil && d.verbose >= level {
		p.Notice(fmt.Sprintf("debug%d: %s", level, text))
	}
}

// debug implements debugger: of those who wait for the dial, each is told as
// much as it asked for.
func (a *asker) debug(level int, text string) {
	for _, w := range a.waiting(func(*waiter) bool { return true }) {
		w.dest.debug(w.p, level, text)
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
		ls.dest.debug(ls.p, level, fmt.Sprintf(format, args...))
	}
}

// tellLogin says what a login came to.
func tellLogin(p control.Prompter, d *destination, l *link) {
	debugf(p, d, 1, "remote software version %s", l.conn.ServerVersion())
	if c, ok := l.conn.(ssh.AlgorithmsConnMetadata); ok {
		a := c.Algorithms()
		debugf(p, d, 1, "kex %s, host key algorithm %s, ciphers %s in, %s out", a.KeyExchange, a.HostKey, a.Read.Cipher, a.Write.Cipher)
	}
	debugf(p, d, 1, "authenticated to %s as %s by %s", d.addr(), d.user, l.auth)
}

// tellLink says which connection a request came to.
func (ls *lease) tellLink() {
	if ls.dest.verbose > 0 {
		l := ls.link
		ls.dest.debug(ls.p, 1, fmt.Sprintf("using connection %d, up for %v, last byte %v ago", l.id,
			time.Since(l.since).Round(time.Millisecond), l.silence().Round(time.Millisecond)))
	}
}

// ignored are the keywords that are accepted and cannot be honoured, with what
// a person who set one should know.
var ignored = map[string]string{
	"compression":             "Compression: the SSH library of muxd has none; nothing is compressed",
	"tunnel":                  "Tunnel: muxd makes no tunnel devices",
	"gssapiauthentication":    "GSSAPIAuthentication: the SSH library of muxd has no GSSAPI",
	"hostbasedauthentication": "HostbasedAuthentication: muxd does not log in by the host's key",
	"verifyhostkeydns":        "VerifyHostKeyDNS: muxd does not look host keys up in the DNS",
	"obscurekeystroketiming":  "ObscureKeystrokeTiming: muxd sends keys when they are typed",
}

// tellIgnored says under -v, once for a request, which keywords have no effect.
func tellIgnored(d *destination, p control.Prompter) {
	if d.verbose == 0 {
		return
	}
	d.debug(p, 1, fmt.Sprintf("%s is %s@%s, connection %.12s", d.name, d.user, d.addr(), d.key))
	for _, k := range slices.Sorted(maps.Keys(ignored)) {
		if isSet(d.conf, k) {
			d.debug(p, 1, ignored[k])
		}
	}
}
