package sshtest

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"testing"
	"time"
)

// from is the client's address of each established connection, oldest or not.
func from(n *Netns) []string {
	var ips []string
	for _, p := range n.Peers(22) {
		ips = append(ips, p.Addr().String())
	}
	slices.Sort(ips)
	return ips
}

// Losing the oldest address takes none of the others, silences the connections
// that are bound to it, and new ones come from the next.
func TestNetnsAddresses(t *testing.T) {
	n := NewNetns(t)
	s := n.StartSSHD(t)
	old := mustLogin(t, s)
	n.AddAddress("10.99.0.3")
	if c := mustLogin(t, s); !slices.Equal(from(n), []string{ClientIP, ClientIP}) {
		t.Errorf("with both addresses: from %v", from(n))
	} else {
		c.Close()
	}
	n.RemoveAddress(ClientIP)
	if ok, _ := answersWithin(old, 300*time.Millisecond); ok {
		t.Error("the old connection answers without its address")
	}
	mustLogin(t, s)
	soon(t, "one connection from each address", func() bool { return slices.Equal(from(n), []string{ClientIP, "10.99.0.3"}) })
}

func TestNetnsServerAddress(t *testing.T) {
	n := NewNetns(t)
	n.AddServerAddress("10.99.0.4")
	n.StartSSHD(t, "ListenAddress 10.99.0.4")
	for _, ip := range []string{ServerIP, "10.99.0.4"} {
		c, err := n.Dial(t.Context(), "tcp", net.JoinHostPort(ip, "22"))
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
	}
	n.RemoveServerAddress(ServerIP)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := n.Dial(ctx, "tcp", net.JoinHostPort(ServerIP, "22")); !isTimeout(err) {
		t.Errorf("the address is gone, but: %v", err)
	}
	c, err := n.Dial(t.Context(), "tcp", "10.99.0.4:22")
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

func isTimeout(err error) bool {
	var e net.Error
	return errors.As(err, &e) && e.Timeout()
}

// Without a link nothing can be dialled, at once; a connection outlives it.
func TestNetnsUnplug(t *testing.T) {
	n := NewNetns(t)
	s := n.StartSSHD(t)
	c := mustLogin(t, s)
	n.Unplug()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if _, err := n.Dial(ctx, "tcp", s.Addr); !errors.Is(err, syscall.ENETUNREACH) {
		t.Errorf("dial: %v", err)
	}
	ok, done := answersWithin(c, 300*time.Millisecond)
	if ok {
		t.Error("answers through no link")
	}
	n.Plug()
	if !<-done {
		t.Error("the connection did not survive")
	}
	mustLogin(t, s)
}

// What was forgotten hears nothing until it speaks.
func TestNetnsForget(t *testing.T) {
	n := NewNetns(t)
	s := n.StartSSHD(t)
	c := mustLogin(t, s)
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	n.Forget(s)
	if list := n.Peers(22); len(list) > 0 {
		t.Errorf("the server still knows %v", list)
	}
	select {
	case err := <-ended:
		t.Errorf("it was told: %v", err)
	case <-time.After(500 * time.Millisecond):
	}
	if alive(c) {
		t.Error("it answers")
	}
	if err := <-ended; !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("not reset: %v", err)
	}
	mustLogin(t, s)
}

func TestConnectionsOfATable(t *testing.T) {
	const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0200630A:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   1: 0200630A:0016 0100630A:D431 01 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   2: 0200630A:0016 0300630A:D432 04 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   3: 0200630A:0017 0300630A:D433 01 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
`
	if _, ok := parseHexAddr("0100007F:0016"); !ok {
		t.Fatal("no address")
	}
	want := []netip.AddrPort{netip.MustParseAddrPort("10.99.0.1:54321")}
	if got := connections(table, 22, func(s string) bool { return s == tcpEstablished }); littleEndian() && !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
	if got := connections(table, 22, func(string) bool { return true }); len(got) != 2 {
		t.Errorf("%v, want two that have another end", got)
	}
}

// littleEndian: the table above is of such a machine.
func littleEndian() bool {
	a, _ := parseHexAddr("0100007F:0016")
	return a.Addr() == netip.MustParseAddr("127.0.0.1")
}
