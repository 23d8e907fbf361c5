package main

import (
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestForwardCommand: -O forward leaves a forward that belongs to no client,
// says nothing, and may be said again; -O cancel ends that one and no other.
func TestForwardCommand(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	f := serveTCP(t, parrot)
	port, path := freePorts(t, 3), filepath.Join(h.dir, "p")
	tcp, unix := at("127.0.0.1:%d:127.0.0.1:%d", port, f.port), at("%s:127.0.0.1:%d", path, f.port)
	remote, socks := at("%d:127.0.0.1:%d", port+1, f.port), at("%d", port+2)
	h.run(h.muxc("-O", "forward", "-L", tcp, "box"), nil).fails(t, "box: no connection: muxd is not running")
	h.echo()
	do := func(cmd string, args ...string) result {
		t.Helper()
		return h.run(h.muxc(append(append([]string{"-O", cmd}, args...), "box")...), nil)
	}
	all := []string{"-L", tcp, "-L", unix, "-R", remote, "-D", socks}
	for range 2 { // the second time is no error
		do("forward", all...).is(t, "", "", 0)
		if got := h.forwards(); len(got) != 4 || slices.ContainsFunc(got, func(f forwardStatus) bool { return !f.Sticky || f.State != "active" || len(f.Owners) > 0 }) {
			t.Fatalf("%+v", got)
		}
	}
	for _, addr := range []string{loopback(port), path, loopback(port + 1)} {
		parrots(t, addr, 1)
	}
	// All four fields count.
	for _, args := range [][]string{
		{"-L", at("127.0.0.1:%d:127.0.0.1:%d", port+5, f.port)}, // another port
		{"-L", at("localhost:%d:127.0.0.1:%d", port, f.port)},   // another listening host
		{"-L", at("127.0.0.1:%d:localhost:%d", port, f.port)},   // another host to connect to
		{"-L", at("127.0.0.1:%d:127.0.0.1:%d", port, f.port+1)}, // another port to connect to
		{"-R", at("127.0.0.1:%d:127.0.0.1:%d", port, f.port)},   // another direction
		{"-D", at("127.0.0.1:%d", port)},                        // another kind
		{"-L", at("%s:127.0.0.1:%d", path, f.port+1)},
		{"-L", at("%s.:127.0.0.1:%d", path, f.port)},
	} {
		do("cancel", args...).fails(t, "box: cancel "+quote(args[0])+" .*: port not forwarded")
	}
	if n := len(h.forwards()); n != 4 {
		t.Errorf("%d forwards, want 4", n)
	}
	for i := 0; i < len(all); i += 2 {
		do("cancel", all[i:i+2]...).is(t, "", "", 0)
		do("cancel", all[i:i+2]...).fails(t, "port not forwarded")
		if n := len(h.forwards()); n != 3-i/2 {
			t.Errorf("%d forwards, want %d", n, 3-i/2)
		}
	}
	for _, addr := range []string{loopback(port), path, loopback(port + 1), loopback(port + 2)} {
		h.eventually(addr+" is free", func() bool { return !accepts(addr) })
	}
}

// TestForwardCommandFails: a port that is taken is an error, here and there, and
// leaves nothing; and one of several is one for all.
func TestForwardCommandFails(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	h.echo()
	taken, free := serveTCP(t, parrot), freePort(t)
	for _, tt := range [][]string{
		{"-L", at("127.0.0.1:%d:127.0.0.1:1", taken.port), "address already in use"},
		{"-D", at("127.0.0.1:%d", taken.port), "address already in use"},
		{"-R", at("127.0.0.1:%d:127.0.0.1:1", taken.port), at("remote port forwarding failed for listen port %d", taken.port)},
	} {
		h.run(h.muxc("-O", "forward", "-L", at("%d:127.0.0.1:1", free), tt[0], tt[1], "box"), nil).fails(t, "box: .*"+tt[2])
		if all := h.forwards(); len(all) != 0 || accepts(loopback(free)) {
			t.Errorf("%+v", all)
		}
	}
}

// TestForwardCommandAllocates: -O forward -R 0:… prints the port and nothing
// else, the same one each time, and either port names it to be cancelled.
func TestForwardCommandAllocates(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	h.echo()
	f := serveTCP(t, parrot)
	chosen, zero := "", at("0:127.0.0.1:%d", f.port)
	ask := func() string {
		t.Helper()
		r := h.run(h.muxc("-O", "forward", "-R", zero, "box"), nil)
		if port, err := strconv.Atoi(strings.TrimSuffix(r.out, "\n")); err != nil || r.code != 0 || r.err != "" {
			t.Fatalf("%+v", r)
		} else {
			chosen = strconv.Itoa(port)
			parrots(t, loopback(port), 1)
		}
		return r.out
	}
	if first, second := ask(), ask(); first != second || len(h.forwards()) != 1 {
		t.Errorf("%q and then %q, %+v", first, second, h.forwards())
	}
	h.run(h.muxc("-O", "cancel", "-R", at("%s:127.0.0.1:%d", chosen, f.port+1), "box"), nil).fails(t, "port not forwarded")
	h.run(h.muxc("-O", "cancel", "-R", at("%s:127.0.0.1:%d", chosen, f.port), "box"), nil).is(t, "", "", 0)
	ask()
	h.run(h.muxc("-O", "cancel", "-R", zero, "box"), nil).is(t, "", "", 0)
	h.run(h.muxc("-O", "cancel", "-R", zero, "box"), nil).fails(t, "port not forwarded")
	port, _ := strconv.Atoi(chosen)
	h.eventually("it is free", func() bool { return !accepts(loopback(port)) })
}

// TestCancelOfAClientsForward: the client whose it was hears of it and stays.
func TestCancelOfAClientsForward(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	f, port := serveTCP(t, parrot), freePort(t)
	forward := at("%d:127.0.0.1:%d", port, f.port)
	p := h.stand("-L", forward)
	open := mustDial(t, loopback(port))
	h.eventually("it is open", func() bool { return h.forwards()[0].Open == 1 })
	h.run(h.muxc("-O", "cancel", "-L", forward, "box"), nil).is(t, "", "", 0)
	if want := at("muxc: box: -L localhost:%d:127.0.0.1:%d was cancelled\n", port, f.port); !until(long, func() bool { return p.err.String() == want }) {
		t.Errorf("it says %q, want %q", p.err.String(), want)
	}
	if accepts(loopback(port)) || len(h.forwards()) != 0 || closed(p.done) {
		t.Errorf("%+v", h.forwards())
	}
	open.Write([]byte("goes on"))
	open.CloseWrite()
	if b, err := readAll(open); b != "goes on" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
}

// TestExitEndsForwards: -O exit ends them all, and resets what is open.
func TestExitEndsForwards(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	f, port := serveTCP(t, parrot), freePorts(t, 2)
	p := h.stand("-L", at("%d:127.0.0.1:%d", port, f.port))
	h.run(h.muxc("-O", "forward", "-R", at("%d:127.0.0.1:%d", port+1, f.port), "box"), nil).is(t, "", "", 0)
	var all []stream
	for _, addr := range []string{loopback(port), loopback(port + 1)} {
		c := mustDial(t, addr)
		c.Write([]byte("x"))
		if b := make([]byte, 1); true {
			c.Read(b)
		}
		all = append(all, c)
	}
	h.run(h.muxc("-O", "exit", "box"), nil).is(t, "", "Exit request sent.\n", 0)
	if err := cutOff(all[0]); err == nil {
		t.Error("an open connection came to an orderly end")
	}
	p.wait().fails(t, `box: closed by request \(-O exit\)`)
	if n := len(h.forwards()); n != 0 || accepts(loopback(port)) {
		t.Errorf("%d forwards are left", n)
	}
	h.eventually("the server's listener is gone", func() bool { return !accepts(loopback(port + 1)) })
}
