package client

import (
	"context"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// address is one end of a connection: the host, or what was dialled from there.
type address struct{ network, text string }

// Network implements net.Addr.
func (a address) Network() string { return a.network }

// String implements net.Addr.
func (a address) String() string { return a.text }

// limits of what -W takes: NI_MAXHOST, and sun_path less its NUL on Linux.
const (
	maxHost = 1024
	maxPath = 107
)

// target is the argument of -W for an address. A name of a service is looked up
// here, since SSH knows numbers only.
func target(ctx context.Context, network, addr string) (string, error) {
	bad := func(why string) (string, error) { return "", &net.AddrError{Err: why, Addr: addr} }
	switch network {
	case "unix":
		switch {
		case !strings.HasPrefix(addr, "/"):
			return bad("not an absolute path")
		case len(addr) > maxPath, strings.ContainsAny(addr, "\x00\n"), strings.Contains(addr, "${"):
			return bad("a path that cannot be asked for")
		}
		return strings.NewReplacer(`\`, `\\`, ":", `\:`).Replace(addr), nil
	case "tcp", "tcp4", "tcp6":
	default:
		return "", net.UnknownNetworkError(network)
	}
	host, service, err := net.SplitHostPort(addr)
	if err != nil {
		return "", err
	}
	port, err := net.DefaultResolver.LookupPort(ctx, network, service)
	if err != nil {
		return "", err
	}
	ip, err := netip.ParseAddr(host)
	switch {
	case err == nil && (network == "tcp4" && !ip.Unmap().Is4() || network == "tcp6" && ip.Unmap().Is4()):
		return bad("no address of " + network)
	case len(host) > maxHost, strings.ContainsFunc(host, notInHost):
		return bad("a name that cannot be asked for")
	case port == 0:
		return bad("no port")
	case host == "":
		host = "localhost"
	}
	return "[" + host + "]:" + strconv.Itoa(port), nil
}

// notInHost are the characters with a meaning in a forwarding, and those that no
// name has.
func notInHost(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune(`[]/\$`, r) }
