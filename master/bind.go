package master

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
)

// dialTCP connects from any local address.
func dialTCP(ctx context.Context, network, addr string) (net.Conn, error) {
	return dialFrom(ctx, nil, network, addr)
}

// dialFrom connects from a local address, nil for any. Keepalive is set
// afterwards, by the destination's own values.
func dialFrom(ctx context.Context, local net.Addr, network, addr string) (net.Conn, error) {
	d := net.Dialer{LocalAddr: local, KeepAlive: -1}
	return d.DialContext(ctx, network, addr)
}

// race returns how to connect to the destination: from BindAddress, or an
// address of BindInterface, where one is set.
func (m *Master) race(d *destination) *race {
	r := &race{resolve: m.cfg.Resolve, dial: m.cfg.Dial, limit: d.connectLimit(dialTimeout)}
	if d.conf.BindAddress() == "" && d.conf.BindInterface() == "" {
		return r
	}
	if r.resolve == nil {
		r.resolve = lookupName // the family decides which local address fits
	}
	r.dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		to, err := netip.ParseAddrPort(addr)
		if err != nil {
			return nil, err
		}
		local, err := d.local(ctx, to.Addr())
		if err != nil {
			return nil, err
		}
		nc, err := dialFrom(ctx, local, network, addr)
		if call := (*os.SyscallError)(nil); errors.As(err, &call) && call.Syscall == "bind" {
			err = fmt.Errorf("bind %s: %w", local.(*net.TCPAddr).IP, describeNet(err))
		}
		return nc, err
	}
	return r
}

// local is the address to connect from to an address of the same family; of
// the two keywords BindAddress wins (sshconnect.c, ssh_create_socket).
func (d *destination) local(ctx context.Context, to netip.Addr) (net.Addr, error) {
	network := "tcp6"
	if to.Is4() {
		network = "tcp4"
	}
	if host := d.conf.BindAddress(); host != "" {
		all, err := resolveName(ctx, lookupName, network, host)
		if err != nil {
			return nil, fmt.Errorf("bind address %s: no address of this family", host)
		}
		return net.TCPAddrFromAddrPort(netip.AddrPortFrom(all[0], 0)), nil
	}
	name := d.conf.BindInterface()
	ifc, err := net.InterfaceByName(name)
	if err != nil {
		return nil, fmt.Errorf("bind interface %s: no such network interface", name)
	}
	addrs, err := ifc.Addrs()
	if err != nil || ifc.Flags&net.FlagUp == 0 {
		return nil, fmt.Errorf("bind interface %s: it is down", name)
	}
	if a, ok := ofInterface(addrs, network, name); ok {
		return net.TCPAddrFromAddrPort(netip.AddrPortFrom(a, 0)), nil
	}
	return nil, fmt.Errorf("bind interface %s: no address of this family", name)
}

// ofInterface picks the first address of the family, and one that leads nowhere
// only if there is no other (sshconnect.c, check_ifaddrs).
func ofInterface(addrs []net.Addr, network, zone string) (best netip.Addr, ok bool) {
	for _, x := range addrs {
		n, isNet := x.(*net.IPNet)
		if !isNet {
			continue
		}
		a, _ := netip.AddrFromSlice(n.IP)
		if a = a.Unmap(); !a.IsValid() || !ofNetwork(network, a) {
			continue
		}
		narrow := a.Is6() && (a.IsLinkLocalUnicast() || a.IsLoopback()) || a == netip.AddrFrom4([4]byte{127, 0, 0, 1})
		if a.Is6() && a.IsLinkLocalUnicast() {
			a = a.WithZone(zone) // without it the kernel does not know the link
		}
		if !narrow {
			return a, true
		}
		if !ok {
			best, ok = a, true
		}
	}
	return best, ok
}
