package sshmux

import (
	"slices"
	"strings"
	"sync"

	"muxd/internal/getopt"
	"muxd/internal/proc"
)

// peer is the process at the other end, as far as this machine shows it. What is
// read is used to do more of what the client wants, never to trust it more: the
// uid was looked at before, and a process of that uid says what it likes anyway.
type peer struct {
	pid  int
	env  func() []string // nil where it cannot be read
	args func() []string
}

func newPeer(pid int) peer {
	p := peer{pid: pid, env: func() []string { return nil }, args: func() []string { return nil }}
	if pid > 0 {
		p.env = sync.OnceValue(func() []string { return proc.Environ(pid) })
		p.args = sync.OnceValue(func() []string { return proc.Args(pid) })
	}
	return p
}

// environment is the client's, or where it cannot be read the one given.
func (p *peer) environment(else_ []string) []string {
	if env := p.env(); env != nil {
		return env
	}
	return else_
}

// line is the client's command line, nil where it cannot be seen or is not ssh's.
func (p *peer) line() *getopt.CommandLine {
	args := p.args()
	if len(args) == 0 {
		return nil
	}
	line, err := getopt.ParseSSH(args[1:])
	if err != nil {
		return nil
	}
	return line
}

// asksOnly reports a client that is there for an -O alone: what it asks for is
// not for a session that follows. One that cannot be seen, or that is no ssh, is
// taken for one, as a master of OpenSSH takes every client.
func (p *peer) asksOnly() bool {
	line := p.line()
	return line == nil || has(line, "O", "")
}

// leaves reports a client whose forwards are to stay when it is gone: one that
// asks only, and one with -f -N, which ends at once where there is a master.
func (p *peer) leaves() bool {
	return p.asksOnly() || p.wantsNoCommand() && has(p.line(), "f", "ForkAfterAuthentication=yes")
}

// wantsNoCommand reports a client with -N, which the protocol does not tell.
func (p *peer) wantsNoCommand() bool {
	line := p.line()
	return line != nil && has(line, "N", "SessionType=none")
}

// insists reports a client that is to end where a forward cannot be had. Its
// configuration is not seen, its command line is, where the first value holds.
func (p *peer) insists() bool {
	line := p.line()
	if line == nil {
		return false
	}
	for _, o := range line.Options {
		if name, value, _ := strings.Cut(setting(o), "="); strings.EqualFold(name, "ExitOnForwardFailure") {
			return strings.EqualFold(value, "yes") || strings.EqualFold(value, "true")
		}
	}
	return false
}

// has reports an option, by its letter or as a keyword and its value.
func has(line *getopt.CommandLine, letter, keyword string) bool {
	return slices.ContainsFunc(line.Options, func(o getopt.Option) bool {
		return o.Name == letter[0] || o.Name == 'o' && strings.EqualFold(setting(o), keyword)
	})
}

// setting is a keyword and its value as NAME=VALUE, "" for any other option.
func setting(o getopt.Option) string {
	if o.Name != 'o' {
		return ""
	}
	return strings.Join(strings.FieldsFunc(o.Value, func(r rune) bool { return r == '=' || r == ' ' || r == '\t' || r == '"' }), "=")
}

func getenv(env []string, name string) string {
	for _, kv := range env {
		if value, ok := strings.CutPrefix(kv, name+"="); ok {
			return value
		}
	}
	return ""
}
