package netwatch

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func message(typ uint16, parts ...[]byte) []byte {
	var body []byte
	for _, p := range parts {
		body = append(body, p...)
	}
	b := binary.NativeEndian.AppendUint32(nil, uint32(unix.SizeofNlMsghdr+len(body)))
	b = binary.NativeEndian.AppendUint16(b, typ)
	return append(append(b, make([]byte, 10)...), body...)
}

func linkMessage(typ uint16, family byte, more ...[]byte) []byte {
	head := make([]byte, unix.SizeofIfInfomsg)
	head[0] = family
	binary.NativeEndian.PutUint32(head[4:], 3)
	binary.NativeEndian.PutUint32(head[8:], unix.IFF_UP|unix.IFF_RUNNING)
	return message(typ, append([][]byte{head, attr(unix.IFLA_IFNAME, []byte("eth0\x00"))}, more...)...)
}

func addressMessage(typ uint16, prefix string, more ...[]byte) []byte {
	p := netip.MustParsePrefix(prefix)
	head := []byte{unix.AF_INET, byte(p.Bits()), 0, 0, 3, 0, 0, 0}
	if p.Addr().Is6() {
		head[0] = unix.AF_INET6
	}
	return message(typ, append([][]byte{head, attr(unix.IFA_ADDRESS, p.Addr().AsSlice())}, more...)...)
}

// routeMessage is of a route in table main; to "" is one that says no
// destination.
func routeMessage(typ uint16, to string, change func(head []byte), more ...[]byte) []byte {
	head := make([]byte, unix.SizeofRtMsg)
	head[0], head[4], head[7] = unix.AF_INET, unix.RT_TABLE_MAIN, unix.RTN_UNICAST
	parts := [][]byte{head}
	if to != "" {
		p := netip.MustParsePrefix(to)
		head[1] = byte(p.Bits())
		if p.Addr().Is6() {
			head[0] = unix.AF_INET6
		}
		parts = append(parts, attr(unix.RTA_DST, p.Addr().AsSlice()))
	}
	if change != nil {
		change(head)
	}
	return message(typ, append(parts, more...)...)
}

func join(all ...[]byte) (b []byte) {
	for _, m := range all {
		b = append(b, m...)
	}
	return b
}

var datagrams = []struct {
	name string
	b    []byte
	want bool
}{
	{"nothing", nil, false},
	{"a link", linkMessage(unix.RTM_NEWLINK, unix.AF_UNSPEC), true},
	{"a link gone", linkMessage(unix.RTM_DELLINK, unix.AF_UNSPEC), true},
	{"a bridge's port", linkMessage(unix.RTM_NEWLINK, unix.AF_BRIDGE), false},
	{"the radio", linkMessage(unix.RTM_NEWLINK, unix.AF_UNSPEC, attr(unix.IFLA_WIRELESS, make([]byte, 20))), false},
	{"an address", addressMessage(unix.RTM_NEWADDR, "192.0.2.7/24"), true},
	{"an address gone", addressMessage(unix.RTM_DELADDR, "2001:db8::7/64"), true},
	{"a link-local one", addressMessage(unix.RTM_NEWADDR, "fe80::7/64"), false},
	{"of IPv4", addressMessage(unix.RTM_DELADDR, "169.254.7.7/16"), false},
	{"loopback's", addressMessage(unix.RTM_NEWADDR, "127.0.0.1/8"), false},
	{"an address of no size", message(unix.RTM_NEWADDR, []byte{2, 24, 0, 0, 3, 0, 0, 0}, attr(unix.IFA_ADDRESS, []byte{1, 2, 3})), true},
	{"a route", routeMessage(unix.RTM_NEWROUTE, "192.0.2.0/24", nil), true},
	{"a default route", routeMessage(unix.RTM_DELROUTE, "", nil), true},
	{"a route to link-local", routeMessage(unix.RTM_NEWROUTE, "fe80::/64", nil), false},
	{"a multicast route", routeMessage(unix.RTM_NEWROUTE, "ff00::/8", nil), false},
	{"of table local", routeMessage(unix.RTM_NEWROUTE, "192.0.2.7/32", func(h []byte) { h[4] = unix.RT_TABLE_LOCAL }), false},
	{"of the type local", routeMessage(unix.RTM_NEWROUTE, "192.0.2.7/32", func(h []byte) { h[7] = unix.RTN_LOCAL }), false},
	{"of a table of its own", routeMessage(unix.RTM_NEWROUTE, "", func(h []byte) { h[4] = 0 },
		attr(unix.RTA_TABLE, binary.NativeEndian.AppendUint32(nil, 51820))), true},
	{"a way that is closed", routeMessage(unix.RTM_NEWROUTE, "192.0.2.0/24", func(h []byte) { h[7] = unix.RTN_UNREACHABLE }), true},
	{"a cached one", routeMessage(unix.RTM_NEWROUTE, "2001:db8::1/128", func(h []byte) {
		binary.NativeEndian.PutUint32(h[8:], unix.RTM_F_CLONED)
	}), false},
	{"a route that does not say whereto", routeMessage(unix.RTM_NEWROUTE, "", func(h []byte) { h[1] = 24 }), true},
	{"a rule", message(unix.RTM_NEWRULE, make([]byte, 12)), true},
	{"a neighbour", message(unix.RTM_NEWNEIGH, make([]byte, 12)), false},
	{"messages lost", message(unix.NLMSG_OVERRUN), true},
	{"noise twice", join(addressMessage(unix.RTM_NEWADDR, "fe80::7/64"), linkMessage(unix.RTM_NEWLINK, unix.AF_BRIDGE)), false},
	{"noise, then an address", join(addressMessage(unix.RTM_NEWADDR, "fe80::7/64"), addressMessage(unix.RTM_NEWADDR, "192.0.2.7/24")), true},
	{"noise, then half a header", join(addressMessage(unix.RTM_NEWADDR, "fe80::7/64"), []byte{9, 0, 0}), true},
	{"a length of nothing", make([]byte, 16), true},
	{"a length beyond the end", append(binary.NativeEndian.AppendUint32(nil, 1<<31), make([]byte, 12)...), true},
	{"a link cut short", message(unix.RTM_NEWLINK, make([]byte, 3)), true},
	{"a route cut short", message(unix.RTM_NEWROUTE, make([]byte, 11)), true},
	{"an address cut short", message(unix.RTM_NEWADDR, make([]byte, 7)), true},
}

func TestNoteworthy(t *testing.T) {
	for _, c := range datagrams {
		if got := noteworthy(c.b); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

// TestRouteIdentity: of two routes that differ in what counts, the identities
// do, and of others not.
func TestRouteIdentity(t *testing.T) {
	number := func(n uint32) []byte { return binary.NativeEndian.AppendUint32(nil, n) }
	parse := func(to string, head func([]byte), more ...[]byte) route {
		_, _, body, _, _ := next(routeMessage(unix.RTM_NEWROUTE, to, head, more...))
		r, ok := parseRoute(body)
		if !ok {
			t.Fatalf("not understood: %s %v", to, more)
		}
		return r
	}
	plain := parse("192.0.2.0/24", nil)
	for name, other := range map[string]route{
		"destination": parse("192.0.3.0/24", nil),
		"length":      parse("192.0.2.0/25", nil),
		"type":        parse("192.0.2.0/24", func(h []byte) { h[7] = unix.RTN_BLACKHOLE }),
		"table":       parse("192.0.2.0/24", nil, attr(unix.RTA_TABLE, number(51820))),
		"gateway":     parse("192.0.2.0/24", nil, attr(unix.RTA_GATEWAY, []byte{192, 0, 2, 1})),
		"link":        parse("192.0.2.0/24", nil, attr(unix.RTA_OIF, number(7))),
		"metric":      parse("192.0.2.0/24", nil, attr(unix.RTA_PRIORITY, number(7))),
		"source":      parse("192.0.2.0/24", nil, attr(unix.RTA_PREFSRC, []byte{192, 0, 2, 7})),
		"ways":        parse("192.0.2.0/24", nil, attr(unix.RTA_MULTIPATH, []byte{8, 0, 0, 0, 7, 0, 0, 0})),
	} {
		if string(other.identity) == string(plain.identity) {
			t.Errorf("another %s is the same route", name)
		}
	}
	for name, same := range map[string]route{
		"lifetime": parse("192.0.2.0/24", nil, attr(unix.RTA_CACHEINFO, make([]byte, 32))),
		"carrier":  parse("192.0.2.0/24", func(h []byte) { h[8] = unix.RTNH_F_LINKDOWN }),
	} {
		if string(same.identity) != string(plain.identity) {
			t.Errorf("another %s is another route", name)
		}
	}
	if r := parse("", nil, attr(unix.RTA_TABLE, number(51820)), attr(unix.RTA_VIA, append([]byte{10, 0}, netip.MustParseAddr("fe80::1").AsSlice()...))); r.table != 51820 || r.gateway.String() != "fe80::1" {
		t.Errorf("table %d by %v", r.table, r.gateway)
	}
}

func TestAttributes(t *testing.T) {
	const nested = 1 << 15 // NLA_F_NESTED, which some kernels set and some do not
	b := join(attr(5|nested, []byte{1}), attr(6, nil), attr(7, []byte{1, 2, 3, 4, 5}), []byte{9, 0, 8, 0, 1})
	var got []uint16
	for typ, v := range attrs(b) {
		got = append(got, typ, uint16(len(v)))
	}
	if want := []uint16{5, 1, 6, 0, 7, 5}; !slices.Equal(got, want) {
		t.Errorf("types and lengths %v, want %v; the last is not whole", got, want)
	}
}

// TestTruncated: whatever is cut off, an address is noticed; nothing panics.
func TestTruncated(t *testing.T) {
	whole := addressMessage(unix.RTM_NEWADDR, "192.0.2.7/24")
	for n := 1; n <= len(whole); n++ {
		if !noteworthy(whole[:n]) {
			t.Errorf("the first %d bytes of an address are taken for noise", n)
		}
	}
}

func FuzzMessages(f *testing.F) {
	for _, c := range datagrams {
		f.Add(c.b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		noteworthy(b)
		var tab tables
		tab.links = make(map[uint32]link)
		for rest := b; ; {
			var body []byte
			var ok bool
			n := len(rest)
			if _, _, body, rest, ok = next(rest); !ok {
				break
			}
			if len(rest) >= n {
				t.Fatal("no step forward")
			}
			if l, ok := parseLink(body); ok {
				tab.links[l.index] = l
			}
			if a, ok := parseAddress(body); ok {
				tab.addresses = append(tab.addresses, a)
			}
			if r, ok := parseRoute(body); ok {
				tab.routes = append(tab.routes, r)
			}
		}
		if s := tab.snapshot(); s.diff(s) != "" {
			t.Fatal("differs from itself")
		}
	})
}

// network is a laptop with a container's bridge: eth0 2, docker0 3, veth0 4.
func network() tables {
	entry := func(to, gateway string, link uint32) route {
		r := route{table: unix.RT_TABLE_MAIN, typ: unix.RTN_UNICAST, to: netip.MustParsePrefix(to), link: link}
		r.gateway, _ = netip.ParseAddr(gateway)
		r.identity = []byte(to + gateway)
		return r
	}
	up := uint32(unix.IFF_UP | unix.IFF_RUNNING | unix.IFF_LOWER_UP)
	return tables{
		links: map[uint32]link{2: {2, "eth0", up, "", 1}, 3: {3, "docker0", up, "bridge", 1}, 4: {4, "veth0", up, "veth", 1}},
		addresses: []address{{2, netip.MustParsePrefix("192.0.2.7/24"), true},
			{2, netip.MustParsePrefix("2001:db8::7/64"), true}, {3, netip.MustParsePrefix("172.17.0.1/16"), true}},
		routes: []route{entry("0.0.0.0/0", "192.0.2.1", 2), entry("192.0.2.0/24", "", 2), entry("172.17.0.0/16", "", 3),
			entry("10.1.2.3/32", "", 4)},
		rules: [][]byte{{1}},
	}
}

func TestWhatASnapshotShows(t *testing.T) {
	setLink := func(i uint32, f func(*link)) func(*tables) {
		return func(t *tables) { l := t.links[i]; f(&l); t.links[i] = l }
	}
	for _, c := range []struct {
		name   string
		change func(t *tables)
		want   string // part of the difference; "" for none
	}{
		{"nothing", func(*tables) {}, ""},
		{"an address gone", func(t *tables) { t.addresses = t.addresses[1:] }, "-address 192.0.2.7/24 on eth0"},
		{"another prefix", func(t *tables) { t.addresses[0].prefix = netip.MustParsePrefix("192.0.2.7/25") }, "+address 192.0.2.7/25"},
		{"one not ready", func(t *tables) { t.addresses[1].ready = false }, "-address 2001:db8::7/64"},
		{"the gateway", func(t *tables) { t.routes[0].gateway = netip.MustParseAddr("192.0.2.2") }, "by 192.0.2.2 on eth0"},
		{"the metric", func(t *tables) { t.routes[0].metric = 600 }, "metric 600"},
		{"no default route", func(t *tables) { t.routes = t.routes[1:] }, "-default route"},
		{"another route", func(t *tables) { t.routes[1].identity = []byte("x") }, "other routes or rules"},
		{"a rule", func(t *tables) { t.rules = nil }, "other routes or rules"},
		{"the cable", setLink(2, func(l *link) { l.flags &^= unix.IFF_LOWER_UP }), "+link eth0, usable false"},
		{"what comes a second after it", setLink(2, func(l *link) { l.flags &^= unix.IFF_RUNNING }), ""},
		{"the link down", setLink(2, func(l *link) { l.flags &^= unix.IFF_UP }), "+link eth0, usable false"},
		{"the cable, and back", setLink(2, func(l *link) { l.carrier++ }), "up 2 times"},
		{"other flags", setLink(2, func(l *link) { l.flags |= unix.IFF_PROMISC }), ""},
		{"the bridge loses its carrier", setLink(3, func(l *link) { l.flags = unix.IFF_UP }), ""},
		{"the bridge goes", func(t *tables) {
			delete(t.links, 3)
			t.addresses, t.routes = t.addresses[:2], append(t.routes[:2], t.routes[3])
		}, ""},
		{"a cable into a container goes", func(t *tables) { delete(t.links, 4); t.routes = t.routes[:3] }, ""},
		{"the cable gets an address", func(t *tables) {
			t.addresses = append(t.addresses, address{4, netip.MustParsePrefix("10.9.9.9/24"), true})
		}, "+address 10.9.9.9/24 on veth0"},
		{"the bridge becomes the way out", func(t *tables) { t.routes[0].link = 3 }, "+address 172.17.0.1/16 on docker0"},
		{"one of two ways out", func(t *tables) { t.routes[0].more = []uint32{2, 3} }, "+address 172.17.0.1/16 on docker0"},
	} {
		before, after := network(), network()
		c.change(&after)
		diff := before.snapshot().diff(after.snapshot())
		if (diff == "") != (c.want == "") || !strings.Contains(diff, c.want) {
			t.Errorf("%s: %q, want %q", c.name, diff, c.want)
		}
	}
}
