package netwatch

import (
	"net/netip"
	"strconv"
	"syscall"
)

// The routing table comes by package syscall and not by x/net/route, which
// would be one more dependency for two loops.

// way is a route by a gateway; neighbours are routes here, too.
type way struct {
	to, gateway netip.Addr
	hw          string // of a neighbour
	link        int
	flags       int32
	everywhere  bool
}

func ways() (all []way) {
	table, err := syscall.RouteRIB(syscall.NET_RT_DUMP, 0)
	if err != nil {
		return nil
	}
	messages, err := syscall.ParseRoutingMessage(table)
	if err != nil {
		return nil
	}
	for _, m := range messages {
		r, ok := m.(*syscall.RouteMessage)
		if !ok {
			continue
		}
		// Destination, gateway, mask; what is missing is nil.
		parts, err := syscall.ParseRoutingSockaddr(r)
		if err != nil || len(parts) < 2 {
			continue
		}
		w := way{to: ip(parts[0]), gateway: ip(parts[1]), link: int(r.Header.Index), flags: r.Header.Flags}
		if at, ok := parts[1].(*syscall.SockaddrDatalink); ok {
			w.hw = hardware(at)
		}
		unmasked := len(parts) < 3 || parts[2] == nil || ip(parts[2]).IsUnspecified()
		w.everywhere = w.to.IsUnspecified() && unmasked && r.Header.Flags&syscall.RTF_HOST == 0
		all = append(all, w)
	}
	return all
}

func ip(sa syscall.Sockaddr) netip.Addr {
	switch sa := sa.(type) {
	case *syscall.SockaddrInet4:
		return netip.AddrFrom4(sa.Addr)
	case *syscall.SockaddrInet6:
		return netip.AddrFrom16(sa.Addr)
	}
	return netip.Addr{}
}

// hardware is the address behind the link's name.
func hardware(at *syscall.SockaddrDatalink) string {
	b := make([]byte, 0, len(at.Data))
	for _, c := range at.Data {
		b = append(b, byte(c))
	}
	if end := int(at.Nlen) + int(at.Alen); end <= len(b) {
		return string(b[at.Nlen:end])
	}
	return ""
}

func defaultRoutes() (lines []string) {
	for _, w := range ways() {
		if w.everywhere {
			lines = append(lines, w.gateway.String()+" on link "+strconv.Itoa(w.link))
		}
	}
	return lines
}

// Network returns a name for the network this machine is on, under which to
// keep what was learned there; "" if there is none or it cannot be told yet.
// The name is opaque, and the same again when the machine comes back to the
// network: it is made of the gateway of IPv4's first default route and its
// hardware address, which is known as soon as a packet went through it. A VPN
// without a gateway has none.
func Network() string {
	all := ways()
	for _, w := range all {
		if !w.everywhere || !w.gateway.Is4() || w.flags&syscall.RTF_GATEWAY == 0 || w.flags&syscall.RTF_IFSCOPE != 0 {
			continue
		}
		for _, n := range all {
			if n.to == w.gateway && n.hw != "" {
				return name("gateway", w.gateway.String(), n.hw)
			}
		}
		return ""
	}
	return ""
}
