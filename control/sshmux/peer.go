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

// asksOnly reports a client that is there for an -O alone: what it asks for is
// not for a session that follows. One that cannot be seen, or that is no ssh, is
// taken for one, as a master of OpenSSH takes every client.
func (p *peer) asksOnly() bool {
	args := p.args()
	if len(args) == 0 {
		return true
	}
	line, err := getopt.ParseSSH(args[1:])
	return err != nil || slices.ContainsFunc(line.Options, func(o getopt.Option) bool { return o.Name == 'O' })
}

func getenv(env []string, name string) string {
	for _, kv := range env {
		if value, ok := strings.CutPrefix(kv, name+"="); ok {
			return value
		}
	}
	return ""
}
