package netwatch

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net"
	"net/netip"
	"strings"
	"syscall"
)

// HasAddress reports whether the address is this machine's own now, as the
// kernel says when asked for a socket there. Linux keeps the IPv4 addresses of
// a link that is down, and so are they kept here: the link may come back, and
// the connection with it. An address of IPv6 is not had in the second or two in
// which the kernel makes sure that nobody else has it. In doubt it is had. The
// zone of a link-local address counts.
func HasAddress(ip netip.Addr) bool {
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: ip.Unmap().AsSlice(), Zone: ip.Zone()})
	if err != nil {
		return !errors.Is(err, syscall.EADDRNOTAVAIL)
	}
	c.Close()
	return true
}

// Routed reports whether there is a way to the address by the routing table; it
// sends nothing. In doubt there is.
func Routed(ip netip.Addr) bool {
	if !ip.IsValid() {
		return true
	}
	// Connecting looks the route up. The port is for rules that look at one.
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(ip.Unmap(), 22)))
	if err == nil {
		c.Close()
		return true
	}
	for _, no := range []error{syscall.ENETUNREACH, syscall.EHOSTUNREACH, syscall.ENETDOWN} {
		if errors.Is(err, no) {
			return false
		}
	}
	return true
}

// outward reports whether an address may lead beyond this machine and its
// links.
func outward(ip netip.Addr) bool {
	ip = ip.Unmap()
	return ip.IsValid() && !ip.IsUnspecified() && !ip.IsLoopback() && !ip.IsLinkLocalUnicast() && !ip.IsMulticast()
}

// name makes an opaque name of what tells one network from another. Hashed: the
// hardware address of somebody's router says where they were, and the name is
// going to be written to a disk.
func name(what ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(what, "\x00")))
	return hex.EncodeToString(sum[:8])
}
