package forward

import (
	"net"
	"strconv"
	"strings"

	"muxd/control"
)

// permitted reports whether PermitRemoteOpen lets a connection through: each
// pattern is host:port, either of them * for any, with an IPv6 address in
// brackets; "any" is every target and "none" no one. Names are compared as they
// are and nothing is looked up (readconf.c; channels.c, open_match). No pattern
// at all is any.
func permitted(patterns []string, to control.Endpoint) bool {
	if len(patterns) == 0 {
		return true
	}
	for _, p := range patterns {
		if p == "any" {
			return true
		}
		host, port, ok := cutPort(p)
		if ok && (host == "*" || host == to.Host) && (port == "*" || portNumber(port) == to.Port) {
			return true
		}
	}
	return false
}

// cutPort splits a pattern at its last colon; a slash does as well where there
// is no other (misc.c, hpdelim).
func cutPort(p string) (host, port string, ok bool) {
	if rest, bracket := strings.CutPrefix(p, "["); bracket {
		host, port, ok = strings.Cut(rest, "]")
		return host, strings.TrimLeft(port, ":/"), ok && len(port) > 1
	}
	i := strings.LastIndexAny(p, ":/")
	if i < 0 {
		return "", "", false
	}
	return p[:i], p[i+1:], true
}

// portNumber is a port by number or by its service's name, -1 for neither.
func portNumber(s string) int {
	if n, err := strconv.Atoi(s); err == nil {
		return n
	}
	if n, err := net.LookupPort("tcp", s); err == nil {
		return n
	}
	return -1
}
