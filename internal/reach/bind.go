package reach

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
)

// Dial connects from any local address.
func Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	return dialFrom(ctx, nil, network, addr)
}

// dialFrom connects from a local address, nil for any. Keepalive is set
// afterwards, by who knows the values.
func dialFrom(ctx context.Context, local net.Addr, network, addr string) (net.Conn, error) {
	d := net.Dialer{LocalAddr: local, KeepAlive: -1}
	nc, err := d.DialContext(ctx, network, addr)
	if err == nil && scarce(nc) {
		nc.Close()
		return nil, errScarce
	}
	return nc, err
}

// settle fills in what the zero value leaves to the system.
func (r *TCP) settle() {
	if r.Dial == nil {
		r.Dial = Dial
	}
	if r.BindAddress == "" && r.BindInterface == "" {
		return
	}
	if r.Resolve == nil {
		r.Resolve = Lookup // the family decides which local address fits
	}
	r.Dial = r.dialBound
}

// dialBound connects from the address that BindAddress or BindInterface says.
func (r *TCP) dialBound(ctx context.Context, network, addr string) (net.Conn, error) {
	to, err := netip.ParseAddrPort(addr)
	if err != nil {
		return nil, err
	}
	local, err := r.local(ctx, to.Addr())
	if err != nil {
		return nil, err
	}
	nc, err := dialFrom(ctx, local, network, addr)
	if call := (*os.SyscallError)(nil); errors.As(err, &call) && call.Syscall == "bind" {
		err = fmt.Errorf("bind %s: %w", local.(*net.TCPAddr).IP, Cause(err))
	}
	return nc, err
}

// local is the address to connect from to an address of the same family; of
// the two keywords BindAddress wins (sshconnect.c, ssh_create_socket).
func (r *TCP) local(ctx context.Context, to netip.Addr) (net.Addr, error) {
	network := "tcp6"
	if to.Is4() {
		network = "tcp4"
	}
	if host := r.BindAddress; host != "" {
		all, err := resolve(ctx, Lookup, network, host)
		if err != nil {
			return nil, fmt.Errorf("bind address %s: no address of this family", host)
		}
		return net.TCPAddrFromAddrPort(netip.AddrPortFrom(all[0], 0)), nil
	}
	name := r.BindInterface
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
