package netwatch

import (
	"encoding/binary"
	"net/netip"
	"strings"

	"golang.org/x/sys/unix"
)

// link is an interface.
type link struct {
	index   uint32
	name    string
	flags   uint32 // IFF_UP and so on
	kind    string // "bridge", "veth"; "" of a piece of hardware
	carrier uint32 // how often it came up
}

func parseLink(b []byte) (l link, ok bool) {
	if len(b) < unix.SizeofIfInfomsg || b[0] != unix.AF_UNSPEC {
		return l, false // of another family: a bridge speaks of its ports
	}
	l.index, l.flags = binary.NativeEndian.Uint32(b[4:]), binary.NativeEndian.Uint32(b[8:])
	for typ, v := range attrs(b[unix.SizeofIfInfomsg:]) {
		switch typ {
		case unix.IFLA_IFNAME:
			l.name = text(v)
		case unix.IFLA_CARRIER_UP_COUNT:
			l.carrier = number(v)
		case unix.IFLA_LINKINFO:
			for typ, v := range attrs(v) {
				if typ == unix.IFLA_INFO_KIND {
					l.kind = text(v)
				}
			}
		case unix.IFLA_WIRELESS:
			return l, false // an event of the radio, sent in the form of a link
		}
	}
	return l, true
}

// usable reports whether the link is up and has a carrier. Not IFF_RUNNING, of
// which the kernel tells up to a second later.
func (l link) usable() bool { return l.flags&unix.IFF_UP != 0 && l.flags&unix.IFF_LOWER_UP != 0 }

func text(b []byte) string { return strings.TrimRight(string(b), "\x00") }

// address is an address of an interface.
type address struct {
	link   uint32
	prefix netip.Prefix
	ready  bool // not being made sure of, and nobody else's
}

func parseAddress(b []byte) (a address, ok bool) {
	if len(b) < unix.SizeofIfAddrmsg {
		return a, false
	}
	bits, flags := int(b[1]), b[2] // the flags that count are among the first eight
	a.link = binary.NativeEndian.Uint32(b[4:])
	var local, peer netip.Addr
	for typ, v := range attrs(b[unix.SizeofIfAddrmsg:]) {
		switch typ {
		case unix.IFA_LOCAL:
			local, _ = netip.AddrFromSlice(v)
		case unix.IFA_ADDRESS:
			peer, _ = netip.AddrFromSlice(v)
		}
	}
	if !local.IsValid() {
		local = peer // IPv6 has but this one; of a point-to-point link it is the other end
	}
	a.prefix = netip.PrefixFrom(local, bits)
	tentative := flags&unix.IFA_F_TENTATIVE != 0 && flags&unix.IFA_F_OPTIMISTIC == 0
	a.ready = !tentative && flags&unix.IFA_F_DADFAILED == 0
	return a, a.prefix.IsValid()
}

// route is an entry of a routing table.
type route struct {
	table    uint32
	to       netip.Prefix
	gateway  netip.Addr // none: on the link itself
	source   netip.Addr
	metric   uint32
	link     uint32
	more     []uint32 // the links of a route with several ways
	flags    uint32
	typ      byte
	identity []byte // what tells it from another route: no lifetimes, no flags
}

// relevant reports whether the route says more than every machine's own.
func (r route) relevant() bool {
	switch r.typ {
	case unix.RTN_LOCAL, unix.RTN_BROADCAST, unix.RTN_ANYCAST, unix.RTN_MULTICAST:
		return false
	}
	to := r.to.Addr()
	return r.table != unix.RT_TABLE_LOCAL && r.flags&unix.RTM_F_CLONED == 0 && (r.to.Bits() == 0 || outward(to))
}

// isDefault reports whether the route is the way to everywhere.
func (r route) isDefault() bool { return r.to.Bits() == 0 && r.typ == unix.RTN_UNICAST }

// uplink reports whether the route leads beyond its link.
func (r route) uplink() bool { return r.gateway.IsValid() || r.isDefault() || len(r.more) > 0 }

// rtaNextHop is RTA_NH_ID, which x/sys does not have.
const rtaNextHop = 30

func parseRoute(b []byte) (r route, ok bool) {
	if len(b) < unix.SizeofRtMsg {
		return r, false
	}
	zero := netip.IPv4Unspecified()
	switch b[0] {
	case unix.AF_INET:
	case unix.AF_INET6:
		zero = netip.IPv6Unspecified()
	default:
		return r, false
	}
	to, bits := zero, int(b[1])
	r.table, r.typ, r.flags = uint32(b[4]), b[7], binary.NativeEndian.Uint32(b[8:])
	r.identity = append(r.identity, b[:8]...)
	for typ, v := range attrs(b[unix.SizeofRtMsg:]) {
		switch typ {
		case unix.RTA_DST:
			to, _ = netip.AddrFromSlice(v)
		case unix.RTA_TABLE:
			r.table = number(v)
		case unix.RTA_OIF:
			r.link = number(v)
		case unix.RTA_PRIORITY:
			r.metric = number(v)
		case unix.RTA_PREFSRC:
			r.source, _ = netip.AddrFromSlice(v)
		case unix.RTA_GATEWAY:
			r.gateway, _ = netip.AddrFromSlice(v)
		case unix.RTA_VIA: // a gateway of the other family
			if len(v) > 2 {
				r.gateway, _ = netip.AddrFromSlice(v[2:])
			}
		case unix.RTA_MULTIPATH:
			r.more = hops(v)
		case unix.RTA_SRC, unix.RTA_IIF, rtaNextHop:
		default:
			continue
		}
		r.identity = append(append(r.identity, byte(typ)), v...)
	}
	// Not said, and yet not all of the Internet: not understood.
	r.to = netip.PrefixFrom(to, bits)
	return r, r.to.IsValid() && (bits == 0 || to != zero)
}

// hops are the links of a route with several ways.
func hops(b []byte) (links []uint32) {
	for len(b) >= unix.SizeofRtNexthop {
		n := uint64(binary.NativeEndian.Uint16(b))
		if n < unix.SizeofRtNexthop || n > uint64(len(b)) {
			return links
		}
		links = append(links, binary.NativeEndian.Uint32(b[4:]))
		b = b[min(align(n), uint64(len(b))):]
	}
	return links
}
