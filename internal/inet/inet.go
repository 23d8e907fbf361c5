// Package inet reads IPv4 addresses in the forms that C's inet_aton(3) takes and
// Go's parsers do not: "127.1", "0x7f.1", "2130706433". It exists because ssh
// takes them wherever it takes an address, and two packages must agree on what
// is one: what is read as a name goes to a resolver.
//
// It refuses everything else: no IPv6, no names, no ports.
package inet

import (
	"net/netip"
	"strconv"
	"strings"
)

// ParseIPv4 reads one to four numbers, each decimal, octal with 0 or hexadecimal
// with 0x, of which the last fills all bytes that are left.
func ParseIPv4(s string) (netip.Addr, bool) {
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
