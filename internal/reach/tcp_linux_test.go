package reach

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"time"

	"muxd/internal/sshtest"
)

// Real sockets: the first address has nobody listening, the other family is
// bound to no address, and the server sees who comes.
func TestRaceOnLoopback(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	r := TCP{BindAddress: "127.0.0.1", Limit: 5 * time.Second, Resolve: func(context.Context, string, string) ([]netip.Addr, error) {
		return []netip.Addr{netip.MustParseAddr("127.0.0.9"), netip.IPv6Loopback(), netip.MustParseAddr("127.0.0.1")}, nil
	}}
	start := time.Now()
	nc, err := r.Connect(t.Context(), "tcp", "host", port)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if from := nc.LocalAddr().(*net.TCPAddr).IP.String(); from != "127.0.0.1" || time.Since(start) > 4*time.Second {
		t.Errorf("from %s after %v", from, time.Since(start))
	}
	l.Close()
	_, err = r.Connect(t.Context(), "tcp", "host", port)
	const want = "127.0.0.9, 127.0.0.1: connection refused; ::1: bind address 127.0.0.1: no address of this family"
	if err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

// A network that drops everything costs the head start, not the timeout.
func TestRaceInABlackHole(t *testing.T) {
	n := sshtest.NewNetns(t)
	s := n.StartSSHD(t)
	if out, err := n.Exec("ip", "route", "add", "192.0.2.0/24", "via", s.Host).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	r := TCP{Dial: n.Dial, Limit: 20 * time.Second, Resolve: func(context.Context, string, string) ([]netip.Addr, error) {
		return []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr(s.Host)}, nil
	}}
	start := time.Now()
	nc, err := r.Connect(t.Context(), "tcp", "host", s.Port)
	if err != nil {
		t.Fatal(err)
	}
	nc.Close()
	if took := time.Since(start); took < headStart || took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
}
