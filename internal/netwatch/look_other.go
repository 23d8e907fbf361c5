//go:build !linux

package netwatch

import (
	"net"
	"net/netip"
)

// look takes a snapshot of what Go's library and defaultRoutes know.
func look() (s snapshot, err error) {
	links, err := net.Interfaces()
	if err != nil {
		return s, err
	}
	for _, l := range links {
		own := outwardOf(l)
		for _, a := range own {
			s.add("address %v on %s", a, l.Name)
		}
		if len(own) > 0 {
			s.add("link %s, usable %v", l.Name, usable(l))
		}
	}
	for _, g := range defaultRoutes() {
		s.add("default route by %s", g)
	}
	s.sort()
	return s, nil
}

// Online reports whether this machine has an address beyond loopback and
// link-local ones, on a link that is up and has a carrier. In doubt it has.
func Online() bool {
	links, err := net.Interfaces()
	if err != nil {
		return true
	}
	for _, l := range links {
		if usable(l) && l.Flags&net.FlagLoopback == 0 && len(outwardOf(l)) > 0 {
			return true
		}
	}
	return false
}

func usable(l net.Interface) bool { return l.Flags&net.FlagUp != 0 && l.Flags&net.FlagRunning != 0 }

func outwardOf(l net.Interface) (found []netip.Prefix) {
	all, _ := l.Addrs()
	for _, a := range all {
		if p, err := netip.ParsePrefix(a.String()); err == nil && outward(p.Addr()) {
			found = append(found, p)
		}
	}
	return found
}
