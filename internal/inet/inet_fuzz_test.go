package inet

import (
	"net/netip"
	"strings"
	"testing"
)

// FuzzParseIPv4: what Go reads as an IPv4 address is the same here, and what is
// read here stands for one address in every form that it can be written in.
func FuzzParseIPv4(f *testing.F) {
	for _, s := range []string{"127.0.0.1", "127.1", "0x7f.1", "0177.0.0.01", "4294967295", "1..2", "0x", "::1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, ok := ParseIPv4(s)
		if want, err := netip.ParseAddr(s); err == nil && want.Is4() && (!ok || a != want) {
			t.Errorf("%q is %v, %v; want %v", s, a, ok, want)
		}
		if !ok {
			return
		}
		if again, ok := ParseIPv4(a.String()); !ok || again != a {
			t.Errorf("%q is %v and then %v", s, a, again)
		}
		if strings.Trim(s, "0123456789abcdefxABCDEFX.") != "" {
			t.Errorf("%q is taken for an address", s)
		}
	})
}
