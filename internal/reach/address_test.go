package reach

import (
	"net"
	"net/netip"
	"testing"
)

func TestNumeric(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.1": "192.0.2.1", "127.1": "127.0.0.1", "10.1.515": "10.1.2.3", "0x7f.1": "127.0.0.1", "0177.0.0.01": "127.0.0.1",
		"2130706433": "127.0.0.1", "0xc0.0xB": "192.0.0.11", "::1": "::1", "::ffff:192.0.2.1": "192.0.2.1", "fe80::1%eth0": "fe80::1%eth0",
		"host": "", "host.": "", "": "", "127.0.0.1.": "", "1.2.3.4.5": "", "256.1.1.1": "", "1.2.3.256": "", "1.16777216": "",
		"08.1": "", "0b1": "", "0o17": "", "1_0": "", "+1": "", "-1": "", "1e3": "", "4294967296": "",
	} {
		a, ok := numeric(in)
		if got := a.String(); ok != (want != "") || ok && got != want {
			t.Errorf("%q: %s, %v; want %q", in, got, ok, want)
		}
	}
}

func TestOfInterface(t *testing.T) {
	list := func(all ...string) (addrs []net.Addr) {
		for _, s := range all {
			ip, n, _ := net.ParseCIDR(s)
			addrs = append(addrs, &net.IPNet{IP: ip, Mask: n.Mask})
		}
		return addrs
	}
	for _, c := range []struct {
		addrs   []net.Addr
		network string
		want    string
	}{
		{list("127.0.0.1/8", "10.1.2.3/8", "10.9.9.9/8"), "tcp4", "10.1.2.3"},
		{list("127.0.0.1/8", "::1/128"), "tcp4", "127.0.0.1"},
		{list("127.0.0.1/8", "::1/128"), "tcp6", "::1"},
		{list("fe80::1/64", "2001:db8::1/64"), "tcp6", "2001:db8::1"},
		{list("10.1.2.3/8", "fe80::1/64"), "tcp6", "fe80::1%eth7"},
		{list("169.254.1.1/16"), "tcp4", "169.254.1.1"},
		{list("10.1.2.3/8"), "tcp6", ""},
		{append(list("10.1.2.3/8"), &net.UnixAddr{}), "tcp6", ""},
	} {
		a, ok := ofInterface(c.addrs, c.network, "eth7")
		if ok != (c.want != "") || ok && a.String() != c.want {
			t.Errorf("%v %s: %v, want %q", c.addrs, c.network, a, c.want)
		}
	}
}

// The local address fits the family of the one that is dialled.
func TestLocalAddress(t *testing.T) {
	for _, c := range []struct{ address, ifc, to, want string }{
		{"127.0.0.2", "", "192.0.2.1", "127.0.0.2:0"},
		{"127.0.0.2", "", "::1", "bind address 127.0.0.2: no address of this family"},
		{"::1", "", "::1", "[::1]:0"},
		{"*", "", "192.0.2.1", "bind address *: no address of this family"},
		{"", "nosuch0", "192.0.2.1", "bind interface nosuch0: no such network interface"},
	} {
		a, err := (&TCP{BindAddress: c.address, BindInterface: c.ifc}).local(t.Context(), netip.MustParseAddr(c.to))
		got := ""
		if err != nil {
			got = err.Error()
		} else {
			got = a.String()
		}
		if got != c.want {
			t.Errorf("%s%s to %s: %q, want %q", c.address, c.ifc, c.to, got, c.want)
		}
	}
}
