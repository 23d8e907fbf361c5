package netwatch

import (
	"net/netip"
	"testing"
)

func TestOutward(t *testing.T) {
	for s, want := range map[string]bool{
		"192.0.2.7": true, "10.0.0.1": true, "2001:db8::1": true, "fd00::1": true, "::ffff:192.0.2.7": true,
		"127.0.0.1": false, "127.1.2.3": false, "::1": false, "169.254.7.7": false, "::ffff:169.254.7.7": false,
		"fe80::1": false, "fe80::1%eth0": false, "224.0.0.1": false, "ff02::1": false, "0.0.0.0": false, "::": false,
	} {
		if got := outward(netip.MustParseAddr(s)); got != want {
			t.Errorf("%s: %v", s, got)
		}
	}
	if outward(netip.Addr{}) {
		t.Error("no address at all is outward")
	}
}

func TestHasAddressOfLoopback(t *testing.T) {
	for s, want := range map[string]bool{"127.0.0.1": true, "::ffff:127.0.0.1": true, "203.0.113.77": false} {
		if got := HasAddress(netip.MustParseAddr(s)); got != want {
			t.Errorf("HasAddress(%s) = %v", s, got)
		}
	}
	if !HasAddress(netip.Addr{}) {
		t.Error("in doubt it is not had")
	}
}

func TestRoutedToLoopback(t *testing.T) {
	for _, a := range []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::ffff:127.0.0.1"), {}} {
		if !Routed(a) {
			t.Errorf("no way to %v", a)
		}
	}
}

func TestNameIsOpaqueAndExact(t *testing.T) {
	// Names are on disks: another way to make them forgets what was learned.
	if got := name("a", "b"); got != "59b271ae1bbcb1d3" {
		t.Errorf("not the same again: %s", got)
	}
	if name("a", "b") == name("ab") || name("a", "b") == name("a", "c") {
		t.Error("two networks have one name")
	}
}
