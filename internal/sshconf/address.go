package sshconf

import (
	"net/netip"
	"strings"

	"muxd/internal/inet"
)

// looksNumeric reports whether a name can be nothing but an address (ssh.c,
// is_addr_fast).
func looksNumeric(s string) bool {
	return strings.ContainsAny(s, "%:") || strings.Trim(s, "0123456789.") == ""
}

// parseAddress reads an address of the family any, inet or inet6 and returns it
// as getnameinfo(3) prints it.
func parseAddress(s, family string) (string, bool) {
	addr, err := netip.ParseAddr(s)
	if err != nil {
		var ok bool
		if addr, ok = inet.ParseIPv4(s); !ok {
			return "", false
		}
	}
	if addr.Is4() && family == "inet6" || !addr.Is4() && family == "inet" {
		return "", false
	}
	if b := addr.As16(); addr.Is6() && !addr.Is4In6() && [12]byte(b[:12]) == [12]byte{} && (b[12] != 0 || b[13] != 0) {
		return "::" + netip.AddrFrom4([4]byte(b[12:])).String(), true // ::1.2.3.4, long obsolete
	}
	return addr.String(), true
}
