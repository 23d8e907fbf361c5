package forward

import (
	"net"
	"strconv"
	"testing"

	"muxd/control"
)

// FuzzPermitted: a target is let through by the pattern that is itself, and by
// none that names another host and another port.
func FuzzPermitted(f *testing.F) {
	f.Add("db:5432", "db", uint16(5432))
	f.Add("[::1]:22", "::1", uint16(22))
	f.Add("*:*", "h", uint16(0))
	f.Add("[", "", uint16(1))
	f.Add("h/22", "h", uint16(22))
	f.Fuzz(func(t *testing.T, pattern, host string, port uint16) {
		to := control.Endpoint{Host: host, Port: int(port)}
		got := permitted([]string{pattern}, to)
		own, p, ok := cutPort(pattern)
		if got && pattern != "any" && (!ok || own != "*" && own != host || p != "*" && portNumber(p) != int(port)) {
			t.Errorf("%q lets %v through", pattern, to)
		}
		if self := net.JoinHostPort(host, strconv.Itoa(int(port))); host != "" && host[0] != '[' && !permitted([]string{self}, to) && portable(host) {
			t.Errorf("%q does not let itself through", self)
		}
	})
}

// portable is a host that a pattern can name.
func portable(host string) bool {
	for _, r := range host {
		if r == ']' || r == '[' {
			return false
		}
	}
	return true
}
