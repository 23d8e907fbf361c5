package sshconf

import (
	"net/netip"
	"strconv"
	"strings"
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
		if addr, ok = parseLegacy(s); !ok {
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

// parseLegacy reads the forms that only inet_aton(3) knows: one to four numbers,
// decimal, octal or hexadecimal, of which the last fills what is left.
func parseLegacy(s string) (netip.Addr, bool) {
	parts := strings.Split(s, ".")
	if len(parts) > 4 {
		return netip.Addr{}, false
	}
	var v uint64
	for i, part := range parts {
		bits := 8
		if i == len(parts)-1 {
			bits = 8 * (4 - i)
		}
		n, ok := parseC(part, bits)
		if !ok {
			return netip.Addr{}, false
		}
		v = v<<bits | n
	}
	return netip.AddrFrom4([4]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)}), true
}

// parseC reads a number as C writes it.
func parseC(s string, bits int) (uint64, bool) {
	base := 10
	switch {
	case len(s) > 2 && (s[:2] == "0x" || s[:2] == "0X"):
		base, s = 16, s[2:]
	case len(s) > 1 && s[0] == '0':
		base = 8
	}
	if s == "" || s[0] == '+' || s[0] == '-' {
		return 0, false
	}
	n, err := strconv.ParseUint(s, base, bits)
	return n, err == nil
}
