package sshmux

import (
	"slices"
	"strings"
	"sync"
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
		p.env = sync.OnceValue(func() []string { return environOf(pid) })
		p.args = sync.OnceValue(func() []string { return argsOf(pid) })
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

// asksOnly reports a client that is there for an -O alone: what it asks for is
// not for a session that follows.
func (p *peer) asksOnly() bool {
	return slices.ContainsFunc(p.args(), func(a string) bool { return strings.HasPrefix(a, "-O") })
}

// known reports that the client's command line could be read.
func (p *peer) known() bool { return len(p.args()) > 0 }

func getenv(env []string, name string) string {
	for _, kv := range env {
		if value, ok := strings.CutPrefix(kv, name+"="); ok {
			return value
		}
	}
	return ""
}
