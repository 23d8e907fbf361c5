package master

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"time"

	"muxd/internal/sshtest"
)

func TestNumeric(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.1": "192.0.2.1", "127.1": "127.0.0.1", "10.1.515": "10.1.2.3", "0x7f.1": "127.0.0.1", "0177.0.0.01": "127.0.0.1",
		"2130706433": "127.0.0.1", "0xc0.0xB": "192.0.0.11", "::1": "::1", "::ffff:192.0.2.1": "192.0.2.1", "fe80::1%eth0": "fe80::1%eth0",
		"host": "", "host.": "", "": "", "127.0.0.1.": "", "1.2.3.4.5": "", "256.1.1.1": "", "1.2.3.256": "", "1.16777216": "",
		"08.1": "", "0b1": "", "0o17": "", "1_0": "", "+1": "", "-1": "", "1e3": "", "4294967296": "",
	} {
		a, ok := numeric(in)
		if got := a.String(); ok != (want != "") || ok && got != want {
			t.Errorf("%q: %s, %v; want %q", in, got, ok, want)
		}
	}
}

func TestOfInterface(t *testing.T) {
	list := func(all ...string) (addrs []net.Addr) {
		for _, s := range all {
			ip, n, _ := net.ParseCIDR(s)
			addrs = append(addrs, &net.IPNet{IP: ip, Mask: n.Mask})
		}
		return addrs
	}
	for _, c := range []struct {
		addrs   []net.Addr
		network string
		want    string
	}{
		{list("127.0.0.1/8", "10.1.2.3/8", "10.9.9.9/8"), "tcp4", "10.1.2.3"},
		{list("127.0.0.1/8", "::1/128"), "tcp4", "127.0.0.1"},
		{list("127.0.0.1/8", "::1/128"), "tcp6", "::1"},
		{list("fe80::1/64", "2001:db8::1/64"), "tcp6", "2001:db8::1"},
		{list("10.1.2.3/8", "fe80::1/64"), "tcp6", "fe80::1%eth7"},
		{list("169.254.1.1/16"), "tcp4", "169.254.1.1"},
		{list("10.1.2.3/8"), "tcp6", ""},
		{append(list("10.1.2.3/8"), &net.UnixAddr{}), "tcp6", ""},
	} {
		a, ok := ofInterface(c.addrs, c.network, "eth7")
		if ok != (c.want != "") || ok && a.String() != c.want {
			t.Errorf("%v %s: %v, want %q", c.addrs, c.network, a, c.want)
		}
	}
}

// The local address fits the family of the one that is dialled.
func TestLocalAddress(t *testing.T) {
	for _, c := range []struct{ option, to, want string }{
		{"BindAddress=127.0.0.2", "192.0.2.1", "127.0.0.2:0"},
		{"BindAddress=127.0.0.2", "::1", "bind address 127.0.0.2: no address of this family"},
		{"BindAddress=::1", "::1", "[::1]:0"},
		{"BindAddress=*", "192.0.2.1", "bind address *: no address of this family"},
		{"BindInterface=nosuch0", "192.0.2.1", "bind interface nosuch0: no such network interface"},
	} {
		a, err := configured(t, c.option).local(t.Context(), netip.MustParseAddr(c.to))
		got := ""
		if err != nil {
			got = err.Error()
		} else {
			got = a.String()
		}
		if got != c.want {
			t.Errorf("%s to %s: %q, want %q", c.option, c.to, got, c.want)
		}
	}
}

// Real sockets: the first address has nobody listening, the other family is
// bound to no address, and the server sees who comes.
func TestRaceOnLoopback(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	d := configured(t, "BindAddress=127.0.0.1", "ConnectTimeout=5")
	m := &Master{cfg: Config{Dial: dialTCP, Resolve: func(context.Context, string, string) ([]netip.Addr, error) {
		return []netip.Addr{netip.MustParseAddr("127.0.0.9"), netip.IPv6Loopback(), netip.MustParseAddr("127.0.0.1")}, nil
	}}}
	start := time.Now()
	nc, err := m.race(d).connect(t.Context(), "tcp", "host", port)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if from := nc.LocalAddr().(*net.TCPAddr).IP.String(); from != "127.0.0.1" || time.Since(start) > 4*time.Second {
		t.Errorf("from %s after %v", from, time.Since(start))
	}
	l.Close()
	_, err = m.race(d).connect(t.Context(), "tcp", "host", port)
	const want = "127.0.0.9, 127.0.0.1: connection refused; ::1: bind address 127.0.0.1: no address of this family"
	if err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

// A network that drops everything costs the head start, not the timeout.
func TestRaceInABlackHole(t *testing.T) {
	n := sshtest.NewNetns(t)
	s := n.StartSSHD(t)
	n.Exec("ip", "route", "add", "192.0.2.0/24", "via", s.Host).Run()
	r := race{dial: n.Dial, limit: 20 * time.Second, resolve: func(context.Context, string, string) ([]netip.Addr, error) {
		return []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr(s.Host)}, nil
	}}
	start := time.Now()
	nc, err := r.connect(t.Context(), "tcp", "host", s.Port)
	if err != nil {
		t.Fatal(err)
	}
	nc.Close()
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
}
