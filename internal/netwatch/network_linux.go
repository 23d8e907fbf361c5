package netwatch

import (
	"encoding/binary"
	"net/netip"
	"strings"

	"golang.org/x/sys/unix"
)

// beyond are addresses far away, to ask the kernel which way it would send
// something: with VPNs, rules and several tables nothing but its own answer
// tells. Nothing is sent. They are of a.root-servers.net, to which nobody makes
// a route of its own, as many do to public resolvers.
var beyond = []netip.Addr{netip.MustParseAddr("198.41.0.4"), netip.MustParseAddr("2001:503:ba3e::2:30")}

// Network returns a name for the network this machine is on, under which to
// keep what was learned there; "" if there is none or it cannot be told yet.
// The name is opaque, and the same again when the machine comes back to the
// network. It is made of the way into the Internet: the gateway, its hardware
// address and the prefix, or, of a link that has no such addresses (most
// VPNs), the link's name. IPv4 is asked first; a network that gives its IPv6
// out sooner may have another name in its first seconds.
//
// It is "" also while the gateway's hardware address is not known, that is,
// before the first packet went through it: with that alone could two networks
// be told apart that number themselves alike. So ask when a connection stands.
func Network() string {
	a, err := newAsker()
	if err != nil {
		return ""
	}
	defer a.close()
	for _, far := range beyond {
		if r, ok := a.route(far); ok {
			return a.network(r)
		}
	}
	return ""
}

func (a *asker) network(r route) string {
	var t tables
	if a.linksAndAddresses(&t) != nil || a.torn {
		return "" // for the name must be right
	}
	l := t.links[r.link]
	prefix := t.prefix(r)
	if l.flags&unix.IFF_NOARP != 0 || !r.gateway.IsValid() {
		return name("link", l.name, r.gateway.String(), prefix)
	}
	hw := a.neighbour(r.link, r.gateway)
	if len(hw) == 0 {
		return ""
	}
	return name("gateway", r.gateway.String(), string(hw), prefix)
}

// prefix is the one that the gateway is in or, where it is in none, that of our
// own address; "" if it says nothing of the network. IPv6's does not: some
// providers change it every night.
func (t *tables) prefix(r route) string {
	var own string
	for _, a := range t.addresses {
		ip := a.prefix.Addr()
		if a.link != r.link || !ip.Is4() || a.prefix.IsSingleIP() {
			continue
		}
		if a.prefix.Contains(r.gateway) {
			return a.prefix.Masked().String()
		}
		if ip == r.source {
			own = a.prefix.Masked().String()
		}
	}
	return own
}

// route asks which way a packet would go.
func (a *asker) route(to netip.Addr) (r route, ok bool) {
	body := make([]byte, unix.SizeofRtMsg)
	body[0], body[1] = unix.AF_INET, byte(to.BitLen())
	if to.Is6() {
		body[0] = unix.AF_INET6
	}
	err := a.get(unix.RTM_GETROUTE, append(body, attr(unix.RTA_DST, to.AsSlice())...), func(_ uint16, b []byte) {
		r, ok = parseRoute(b)
	})
	return r, ok && err == nil && r.typ == unix.RTN_UNICAST
}

// neighbour returns the hardware address that the kernel has for an address on
// a link; none if it does not know.
func (a *asker) neighbour(link uint32, ip netip.Addr) (hw []byte) {
	body := make([]byte, unix.SizeofNdMsg)
	body[0] = unix.AF_INET
	if ip.Is6() {
		body[0] = unix.AF_INET6
	}
	a.dump(unix.RTM_GETNEIGH, body, func(_ uint16, b []byte) {
		if len(b) < unix.SizeofNdMsg || binary.NativeEndian.Uint32(b[4:]) != link {
			return
		}
		var of netip.Addr
		var at string
		for typ, v := range attrs(b[unix.SizeofNdMsg:]) {
			switch typ {
			case unix.NDA_DST:
				of, _ = netip.AddrFromSlice(v)
			case unix.NDA_LLADDR: // not there while it is being asked for, or did not answer
				at = string(v)
			}
		}
		if of == ip && strings.Trim(at, "\x00") != "" {
			hw = []byte(at)
		}
	})
	return hw
}

// Online reports whether this machine has an address beyond loopback and
// link-local ones, on a link that is up and has a carrier. In doubt it has.
func Online() bool {
	a, err := newAsker()
	if err != nil {
		return true
	}
	defer a.close()
	var t tables
	if a.linksAndAddresses(&t) != nil {
		return true
	}
	for _, ad := range t.addresses {
		if l, ok := t.links[ad.link]; !ok || l.usable() && l.flags&unix.IFF_LOOPBACK == 0 {
			return true
		}
	}
	return false
}
