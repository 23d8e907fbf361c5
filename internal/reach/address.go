package reach

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strings"

	"muxd/internal/inet"
)

// Lookup asks the system's resolver, which keeps nothing between two calls.
func Lookup(ctx context.Context, network, host string) ([]netip.Addr, error) {
	return net.DefaultResolver.LookupNetIP(ctx, strings.Replace(network, "tcp", "ip", 1), host)
}

// resolve returns the addresses of a name that the network (tcp, tcp4 or
// tcp6) can use, each once, at least one. An address is its own: it is not
// looked up, and may have a zone (fe80::1%eth0).
func resolve(ctx context.Context, lookup func(ctx context.Context, network, host string) ([]netip.Addr, error),
	network, host string) ([]netip.Addr, error) {
	var all []netip.Addr
	if a, ok := numeric(host); ok {
		all = []netip.Addr{a}
	} else {
		var err error
		if all, err = lookup(ctx, network, host); err != nil {
			return nil, err
		}
	}
	var usable []netip.Addr
	for _, a := range all {
		a = a.Unmap() // resolvers say ::ffff:192.0.2.1 and mean 192.0.2.1
		if ofNetwork(network, a) && !slices.Contains(usable, a) {
			usable = append(usable, a)
		}
	}
	if len(usable) == 0 {
		return nil, &net.DNSError{Name: host, Err: "no address of the family in AddressFamily"}
	}
	return usable, nil
}

func ofNetwork(network string, a netip.Addr) bool {
	return network == "tcp" || a.Is4() == (network == "tcp4")
}

// numeric reads an address in the forms that getaddrinfo takes: ssh 127.1 goes
// to 127.0.0.1, and a resolver would ask the DNS for it.
func numeric(s string) (netip.Addr, bool) {
	if a, err := netip.ParseAddr(s); err == nil {
		return a.Unmap(), true
	}
	return inet.ParseIPv4(s)
}
