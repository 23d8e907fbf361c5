package dest

import (
	"fmt"
	"maps"
	"slices"

	"muxd/control"
	"muxd/internal/sshconf"
)

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

// Debugger is a Prompter behind which several requests stand, some of which want
// to know more than others.
type Debugger interface{ Debug(level int, text string) }

// Debug tells p, which may be nil, a line in ssh's form, if the request wants
// to know as much (-v). level is 1 to 3. Where several stand behind p, each
// decides.
func (d *Destination) Debug(p control.Prompter, level int, text string) {
	if all, ok := p.(Debugger); ok {
		all.Debug(level, text)
		return
	}
	if p != nil && d.Verbose >= level {
		p.Notice(fmt.Sprintf("debug%d: %s", level, text))
	}
}

// Debugf is Debug of a text that is put together.
func (d *Destination) Debugf(p control.Prompter, level int, format string, args ...any) {
	d.Debug(p, level, fmt.Sprintf(format, args...))
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
func tellIgnored(d *Destination, p control.Prompter) {
	if d.Verbose == 0 {
		return
	}
	d.Debug(p, 1, fmt.Sprintf("%s is %s@%s, connection %.12s", d.Name, d.User, d.Addr(), d.Key))
	for _, k := range slices.Sorted(maps.Keys(ignored)) {
		if d.Conf.IsSet(k) {
			d.Debug(p, 1, ignored[k])
		}
	}
}
