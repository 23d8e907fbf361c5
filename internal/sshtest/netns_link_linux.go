package sshtest

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"
)

// prefixLen is that of every address on the link.
const prefixLen = "/24"

// AddAddress gives the client's end a further address on the link, such as
// "10.99.0.3". What it uses for what it begins stays the oldest one.
func (n *Netns) AddAddress(ip string) {
	n.t.Helper()
	n.run(n.client, "ip", "addr", "add", ip+prefixLen, "dev", "veth")
}

// RemoveAddress takes an address from the client's end, and leaves the others.
func (n *Netns) RemoveAddress(ip string) {
	n.t.Helper()
	n.removeAddress(n.client, ip)
}

// AddServerAddress gives the server's end a further address on the link.
func (n *Netns) AddServerAddress(ip string) {
	n.t.Helper()
	n.run(n.server, "ip", "addr", "add", ip+prefixLen, "dev", "veth")
}

// RemoveServerAddress takes an address from the server's end, and leaves the
// others: what goes there is heard by nobody, and no answer comes.
func (n *Netns) RemoveServerAddress(ip string) {
	n.t.Helper()
	n.removeAddress(n.server, ip)
}

// removeAddress sees to it that Linux does not take away with the oldest address
// all that came after it, which is what it does unless it is told not to.
func (n *Netns) removeAddress(ns *os.File, ip string) {
	n.t.Helper()
	n.run(ns, "sh", "-c", "echo 1 >/proc/sys/net/ipv4/conf/all/promote_secondaries")
	n.run(ns, "ip", "addr", "del", ip+prefixLen, "dev", "veth")
}

// Unplug takes the client's end down: its routes go, its addresses stay, and
// what it sends fails for want of a route.
func (n *Netns) Unplug() {
	n.t.Helper()
	n.run(n.client, "ip", "link", "set", "veth", "down")
}

// Plug ends Unplug, and returns when the link carries packets.
func (n *Netns) Plug() {
	n.t.Helper()
	n.run(n.client, "ip", "link", "set", "veth", "up")
	n.awaitLink()
}

// tcpEstablished is what /proc/net/tcp calls a connection on which both sides
// may send.
const tcpEstablished = "01"

// Peers returns the clients' ends of the established connections to a port, as
// the server's kernel believes them to be.
func (n *Netns) Peers(port int) []netip.AddrPort {
	n.t.Helper()
	return connections(n.table(), port, func(state string) bool { return state == tcpEstablished })
}

// table is the list of the server's IPv4 connections, in any state.
func (n *Netns) table() string {
	n.t.Helper()
	out, err := command(n.server, "cat", "/proc/net/tcp").Output()
	if err != nil {
		n.t.Fatalf("list connections: %v", err)
	}
	return string(out)
}

// connections reads the remote ends out of a /proc/net/tcp: fields 2, 3 and 4
// are local and remote address and the state.
func connections(table string, port int, fits func(state string) bool) []netip.AddrPort {
	var found []netip.AddrPort
	for line := range strings.Lines(table) {
		f := strings.Fields(line)
		if len(f) < 4 {
			continue
		}
		local, ok1 := parseHexAddr(f[1])
		remote, ok2 := parseHexAddr(f[2])
		if ok1 && ok2 && int(local.Port()) == port && remote.Port() != 0 && fits(f[3]) {
			found = append(found, remote)
		}
	}
	return found
}

// parseHexAddr reads an address as in 0100007F:0016: the four bytes are in the
// machine's order, the port is a number.
func parseHexAddr(text string) (netip.AddrPort, bool) {
	host, port, _ := strings.Cut(text, ":")
	b, err1 := hex.DecodeString(host)
	p, err2 := strconv.ParseUint(port, 16, 16)
	if err1 != nil || err2 != nil || len(b) != 4 {
		return netip.AddrPort{}, false
	}
	var ip [4]byte
	binary.NativeEndian.PutUint32(ip[:], binary.BigEndian.Uint32(b))
	return netip.AddrPortFrom(netip.AddrFrom4(ip), uint16(p)), true
}

// Forget makes the server lose every connection to s without a word to anybody,
// as a reboot or a state table that was flushed does: the next packet of a
// client is answered by a reset. It leaves the link healed.
//
// The sessions' processes are killed in a black hole. Their kernel then repeats
// a last word that nobody hears, once and for less than a second.
func (n *Netns) Forget(s *SSHD) {
	n.t.Helper()
	n.run(n.server, "sh", "-c", "echo 1 >/proc/sys/net/ipv4/tcp_orphan_retries")
	n.Blackhole()
	defer n.Heal()
	s.KillSessions()
	any := func(string) bool { return true }
	for end := time.Now().Add(startLimit); len(connections(n.table(), s.Port, any)) > 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			n.t.Fatalf("the server still knows of connections after %v:\n%s", startLimit, n.table())
		}
	}
}
