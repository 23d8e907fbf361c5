package netwatch

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"muxd/internal/sshtest"
)

// In a namespace of sshtest the client has 10.99.0.1/24 on veth and no gateway;
// 10.99.0.2 is at the other end.

// sh runs lines of a shell in the client's namespace, or in the server's those
// that begin with "far ".
func sh(t *testing.T, n *sshtest.Netns, lines ...string) {
	t.Helper()
	for _, line := range lines {
		run := n.Exec
		far, ok := strings.CutPrefix(line, "far ")
		if ok {
			line, run = far, n.ExecServer
		}
		if out, err := run("sh", "-ec", line).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", line, err, out)
		}
	}
}

func startIn(t *testing.T, n *sshtest.Netns, tick time.Duration) *process {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return startChild(t, tick, n.Exec(exe))
}

// repeat is a loop of n rounds with pauses of 20 ms.
func repeat(rounds, body string) string {
	return "for i in $(seq " + rounds + "); do " + body + "; sleep 0.01; done"
}

// bridge is what a container's network is made of, and pod what a container is
// put into it with.
const (
	bridge = "ip link add cni0 type bridge; ip addr add 172.17.0.1/16 dev cni0; ip link set cni0 up"
	pod    = "ip link add pod0 type veth peer name pod1; ip link set pod0 up; ip link set pod1 up"
)

type scene struct {
	name          string
	setup, change string
	want          int // events
}

var scenes = []scene{
	{"an address added", "", "ip addr add 10.99.0.9/24 dev veth", 1},
	{"an address removed", "ip addr add 10.99.0.9/24 dev veth", "ip addr del 10.99.0.9/24 dev veth", 1},
	{"an address replaced", "", "ip addr add 10.98.0.7/24 dev veth; ip addr del 10.99.0.1/24 dev veth", 1},
	{"an address of IPv6", "", "ip addr add 2001:db8::7/64 dev veth nodad", 1},
	{"a default route", "", "ip route add default via 10.99.0.2", 1},
	{"another default route", "ip route add default via 10.99.0.2", "ip route replace default via 10.99.0.3", 1},
	{"no default route", "ip route add default via 10.99.0.2", "ip route del default", 1},
	{"a default route in a table of its own", "", "ip route add default via 10.99.0.2 table 51820", 1},
	{"a route", "", "ip route add 203.0.113.0/24 via 10.99.0.2", 1},
	{"a rule", "", "ip rule add fwmark 1 table 51820", 1},
	{"a link down", "", "ip link set veth down", 1},
	{"a link up", "ip link set veth down", "ip link set veth up", 1},
	{"the cable pulled", "", "far ip link set veth down", 1},
	{"the cable put in", "far ip link set veth down", "far ip link set veth up", 1},
	{"the cable in and out fifty times", "", "far " + repeat("25", "ip link set veth down; ip link set veth up"), 1},
	{"an address there fifty times, and stays", "", repeat("25", "ip addr add 10.99.0.9/24 dev veth; ip addr del 10.99.0.9/24 dev veth") +
		"; ip addr add 10.99.0.9/24 dev veth", 1},
	{"an address there fifty times, and gone", "", repeat("25", "ip addr add 10.99.0.9/24 dev veth; ip addr del 10.99.0.9/24 dev veth"), 0},

	{"a link with link-local addresses", "", pod + "; ip addr add 169.254.7.7/16 dev pod0", 0},
	{"lifetimes", "ip addr add 2001:db8::7/64 dev veth nodad", repeat("5", "ip addr change 2001:db8::7/64 dev veth valid_lft 3$i preferred_lft 3$i"), 0},
	{"a neighbour", "", "ip neigh add 10.99.0.77 lladdr 02:00:00:00:00:01 dev veth", 0},
	{"a link's queue", "", "ip link set veth txqueuelen 77", 0},
	{"a container starts", bridge, pod + "; ip link set pod0 master cni0", 0},
	{"a container ends", bridge + "; " + pod + "; ip link set pod0 master cni0", "ip link del pod0", 0},
	{"a container's network", "", bridge, 0},
	{"and its end", bridge, "ip link del cni0", 0},
	{"a bridge that is the way out", bridge + "; ip route add default dev cni0", "ip link set cni0 down", 1},
}

func TestChangesInANamespace(t *testing.T) {
	t.Parallel()
	sshtest.Require(t, "netns")
	scenes := scenes
	if sshtest.Raced { // all of them take half a minute, and one way through the code
		scenes = []scene{scenes[0], scenes[4], scenes[10], scenes[15], scenes[len(scenes)-1]}
	}
	// All at once, for the sake of time: each has its own namespaces and child.
	type run struct {
		n       *sshtest.Netns
		p       *process
		changed time.Time
	}
	runs := make([]run, len(scenes))
	for i, c := range scenes {
		runs[i].n = sshtest.NewNetns(t)
		if c.setup != "" {
			sh(t, runs[i].n, c.setup)
		}
	}
	// The kernel takes up to 2 s to make sure of its link-local addresses and to
	// tell of a carrier.
	time.Sleep(2 * time.Second)
	for i := range runs {
		runs[i].p = startIn(t, runs[i].n, tick)
	}
	for i, c := range scenes {
		r := &runs[i]
		if len(r.p.events) > 0 {
			t.Errorf("%s: an event before anything happened", c.name)
		}
		r.changed = time.Now()
		sh(t, r.n, c.change)
	}
	for i, c := range scenes {
		r := runs[i]
		time.Sleep(time.Until(r.changed.Add(6 * time.Second)))
		most := c.want
		if strings.Contains(c.name, "fifty times") {
			most = 5 // on a busy machine there are pauses between the fifty
		}
		if got := len(r.p.events); got < c.want || got > most {
			t.Errorf("%s: %d events, want %d", c.name, got, c.want)
		}
		for len(r.p.events) > 0 {
			e := <-r.p.events
			t.Logf("%s: %s %v after the change began", c.name, e.text, e.at.Sub(r.changed).Round(time.Millisecond))
			if e.text != "changed" {
				t.Errorf("%s: %s", c.name, e.text)
			}
		}
	}
}

// TestMessagesLost: while it is stopped, for too short a time to be a wake,
// more happens than the socket holds.
func TestMessagesLost(t *testing.T) {
	t.Parallel()
	n := sshtest.NewNetns(t)
	p := startIn(t, n, time.Minute)
	p.signal(syscall.SIGSTOP)
	// Noise without end, of which nothing would start a look; what matters is
	// among what is lost. Only that something was lost says so.
	sh(t, n, "for i in $(seq 3000); do echo addr add 169.254.7.7/16 dev veth; echo addr del 169.254.7.7/16 dev veth; done | ip -batch -",
		"ip addr add 10.99.0.9/24 dev veth")
	p.signal(syscall.SIGCONT)
	if got := p.next(time.Minute); got != "changed" {
		t.Errorf("%q, want the change", got)
	}
	if got := p.next(2 * time.Second); got != "" {
		t.Errorf("and then %q", got)
	}
}

// TestTentativeAddress: the kernel takes a second or two to make sure of an
// address. The last event comes when it can be used.
func TestTentativeAddress(t *testing.T) {
	t.Parallel()
	n := sshtest.NewNetns(t)
	p := startIn(t, n, tick)
	sh(t, n, "ip addr add 2001:db8::7/64 dev veth")
	if got := p.answer("has 2001:db8::7"); got != "false" {
		t.Errorf("it is had at once: %s", got)
	}
	events, last := 0, ""
	for p.next(4*time.Second) == "changed" {
		events, last = events+1, p.answer("has 2001:db8::7")
	}
	// One for the route, which is there at once, and one for the address.
	if events < 1 || events > 2 || last != "true" {
		t.Errorf("%d events; at the last it is had: %s", events, last)
	}
}

func TestFactsInANamespace(t *testing.T) {
	t.Parallel()
	n := sshtest.NewNetns(t)
	p := startIn(t, n, tick)
	check := func(when string, want map[string]string) {
		t.Helper()
		for q, a := range want {
			if got := p.answer(q); got != a {
				t.Errorf("%s: %s is %s", when, q, got)
			}
		}
	}
	check("at first", map[string]string{"online": "true", "has 10.99.0.1": "true", "has 10.99.0.2": "false",
		"has ::ffff:10.99.0.1": "true", "routed 10.99.0.2": "true", "routed 203.0.113.1": "false", "routed 2001:db8::1": "false"})
	sh(t, n, "ip route add default via 10.99.0.2")
	check("with a gateway", map[string]string{"routed 203.0.113.1": "true", "routed 2001:db8::1": "false"})
	sh(t, n, "ip route add unreachable 203.0.113.0/24; ip route add blackhole 198.51.100.0/24")
	check("with a closed way", map[string]string{"routed 203.0.113.1": "false", "routed 198.51.100.1": "true"})
	sh(t, n, "far ip link set veth down")
	check("without a cable", map[string]string{"online": "false", "has 10.99.0.1": "true"})
	sh(t, n, "far ip link set veth up", "ip link set veth down")
	check("down", map[string]string{"online": "false", "has 10.99.0.1": "true", "routed 10.99.0.2": "false"})
	sh(t, n, "ip link set veth up", "ip addr add 2001:db8::7/64 dev veth nodad")
	check("up again", map[string]string{"online": "true", "has 10.99.0.1": "true", "has 2001:db8::7": "true", "routed 2001:db8::1": "true"})
	sh(t, n, "ip addr flush dev veth scope global", "ip addr add 169.254.7.7/16 dev veth")
	sh(t, n, "ip addr add 192.0.2.9/32 dev lo")
	check("link-local only", map[string]string{"online": "false", "has 10.99.0.1": "false", "has 169.254.7.7": "true"})
}

func TestNetworkInANamespace(t *testing.T) {
	t.Parallel()
	n := sshtest.NewNetns(t)
	p := startIn(t, n, tick)
	// use sends something through the gateway, as a connection does.
	use := func(gateway string) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if c, err := n.Dial(ctx, "tcp", netip.AddrPortFrom(netip.MustParseAddr(gateway), 1).String()); err == nil {
			c.Close()
		}
	}
	want := func(when string, same bool, other string) string {
		t.Helper()
		got := p.answer("network")
		if got == `""` || (got == other) != same {
			t.Errorf("%s: %s, and before %s", when, got, other)
		}
		return got
	}
	if got := p.answer("network"); got != `""` {
		t.Errorf("without a gateway: %s", got)
	}
	sh(t, n, "ip route add default via 10.99.0.2", "far ip addr add 10.99.0.3/24 dev veth", "ip neigh flush all")
	if got := p.answer("network"); got != `""` {
		t.Errorf("before a packet went: %s", got)
	}
	use("10.99.0.2")
	home := want("at home", false, "")
	sh(t, n, "ip link set veth down", "ip link set veth up", "ip route add default via 10.99.0.2")
	use("10.99.0.2")
	want("back again", true, home)
	sh(t, n, "ip addr del 10.99.0.1/24 dev veth", "ip addr add 10.99.0.77/24 dev veth", "ip addr add 2001:db8::7/64 dev veth nodad",
		"ip route replace default via 10.99.0.2")
	use("10.99.0.2")
	want("with another address", true, home)
	sh(t, n, "ip route add 0.0.0.0/1 via 10.99.0.3; ip route add 128.0.0.0/1 via 10.99.0.3")
	use("10.99.0.3")
	want("through a tunnel that takes both halves", false, home)
	sh(t, n, "ip route del 0.0.0.0/1; ip route del 128.0.0.0/1")
	want("after it", true, home)
	sh(t, n, "ip route replace default via 10.99.0.3")
	use("10.99.0.3")
	want("another gateway", false, home)
	sh(t, n, "ip route replace default via 10.99.0.2", "far ip link set veth address 02:00:00:00:00:99", "ip neigh flush all")
	use("10.99.0.2")
	want("a gateway of that address elsewhere", false, home)
	sh(t, n, "ip route del default", "far ip addr add 2001:db8::1/64 dev veth nodad", "ip route add default via 2001:db8::1")
	use("2001:db8::1")
	want("IPv6 alone", false, home)
	sh(t, n, "ip -6 route del default", "far ip addr add fe80::99/64 dev veth nodad", "ip route add default via fe80::99 dev veth")
	use("fe80::99%veth")
	six := want("IPv6 with a link-local gateway", false, home)
	sh(t, n, "ip addr del 2001:db8::7/64 dev veth", "ip addr add 2001:db8:1::7/64 dev veth nodad")
	want("and another prefix the next night", true, six)
}

// TestNetworkOfUnusualLinks: where there are no hardware addresses, or the same
// gateway is on two links, or the provider gives out single addresses.
func TestNetworkOfUnusualLinks(t *testing.T) {
	t.Parallel()
	n := sshtest.NewNetns(t)
	p := startIn(t, n, tick)
	sh(t, n, "ip route add default via 10.99.0.2", "ip neigh replace 10.99.0.2 lladdr 02:00:00:00:00:01 dev veth nud permanent")
	home := p.answer("network")
	sh(t, n, "ip link add pod0 type veth peer name pod1; ip link set pod0 up; ip link set pod1 up",
		"for i in 0 1; do ip neigh add 10.99.0.2 lladdr 02:00:00:00:00:77 dev pod$i nud permanent; done")
	if got := p.answer("network"); got != home || got == `""` {
		t.Errorf("the neighbour on another link makes %s of %s", got, home)
	}
	var single [2]string
	for i := range single {
		sh(t, n, "ip addr flush dev veth scope global", fmt.Sprintf("ip addr add 10.99.0.8%d/32 dev veth", i), "ip route add default via 10.99.0.2 dev veth onlink",
			"ip neigh replace 10.99.0.2 lladdr 02:00:00:00:00:01 dev veth nud permanent") // the flush took it
		single[i] = p.answer("network")
	}
	if single[0] != single[1] || single[0] == home || single[0] == `""` {
		t.Errorf("with single addresses %s, before %s", single, home)
	}
	sh(t, n, "ip neigh flush all nud permanent", "ip link set veth arp off")
	off := p.answer("network")
	if off == single[0] || off == `""` {
		t.Errorf("without hardware addresses %s, before %s", off, single[0])
	}
	sh(t, n, "ip route replace default dev veth")
	if got := p.answer("network"); got == off || got == `""` {
		t.Errorf("without a gateway %s, before %s", got, off)
	}
}
