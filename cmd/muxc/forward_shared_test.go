package main

import (
	"net"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// TestConfiguredForwards: what the configuration asks for is there once for
// each host. A second command shares it and finds no error in that, and it ends
// with the last one.
func TestConfiguredForwards(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	f, page := serveTCP(t, parrot), web(t, "a page")
	local, remote, socks, path := freePort(t), freePort(t), freePort(t), filepath.Join(h.dir, "p")
	h.cfg = h.sshd.ClientConfig(t, "box", at("LocalForward %d 127.0.0.1:%d", local, f.port), at("LocalForward %s %s", path, f.addr),
		at("RemoteForward %d 127.0.0.1:%d", remote, f.port), at("DynamicForward %d", socks))
	works := func() {
		t.Helper()
		parrots(t, loopback(local), 1)
		parrots(t, path, 1)
		parrots(t, loopback(remote), 1)
		h.curl("--socks5", loopback(socks), "http://"+page+"/").is(t, "a page", "", 0)
	}
	first := h.waiting(1)[0]
	h.stands(first, 4)
	works()
	h.echo() // with nothing said of ports that are in use
	second := h.waiting(1)[0]
	h.stands(second, 4)
	all := h.forwards()
	if len(all) != 4 {
		t.Errorf("%d forwards, want 4: %+v", len(all), all)
	}
	for _, f := range all {
		if want := []int{first.cmd.Process.Pid, second.cmd.Process.Pid}; !slices.Equal(f.Owners, want) || f.Sticky {
			t.Errorf("%+v, want owners %v", f, want)
		}
	}
	h.over(first)
	works()
	h.over(second)
	for _, addr := range []string{loopback(local), path, loopback(remote), loopback(socks)} {
		h.eventually(addr+" is free", func() bool { return !accepts(addr) })
	}
	if n := len(h.forwards()); n != 0 {
		t.Errorf("%d forwards are left", n)
	}
}

// TestClearAllForwardings: none of the configuration's, and none that were
// typed.
func TestClearAllForwardings(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	configured, typed := freePort(t), freePort(t)
	h.cfg = h.sshd.ClientConfig(t, "box", at("LocalForward %d 127.0.0.1:1", configured))
	p := h.waiting(1, "-o", "ClearAllForwardings=yes", "-L", at("%d:127.0.0.1:1", typed), "-R", at("%d:127.0.0.1:1", typed))[0]
	if all := h.forwards(); len(all) != 0 || accepts(loopback(configured)) || accepts(loopback(typed)) {
		t.Errorf("%+v", all)
	}
	p.cmd.Process.Kill()
	h.stands(h.waiting(1)[0], 1)
}

// TestExitOnForwardFailure: with it a forward that cannot be had ends the
// command before it runs, and takes back those before it; without it there is
// one line, and the command runs.
func TestExitOnForwardFailure(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	taken, free := serveTCP(t, parrot), freePort(t)
	for _, tt := range []struct{ option, forward, text string }{
		{"-L", at("%d:127.0.0.1:1", taken.port), at("listen on 127.0.0.1:%d: address already in use", taken.port)},
		{"-D", at("127.0.0.1:%d", taken.port), at("listen on 127.0.0.1:%d: address already in use", taken.port)},
		{"-R", at("127.0.0.1:%d:127.0.0.1:1", taken.port), at("remote port forwarding failed for listen port %d: the server refused it (in use there, or not allowed)", taken.port)},
	} {
		mark, times := h.onceOnly("ran" + tt.option)
		args := []string{"-L", at("127.0.0.1:%d:127.0.0.1:%d", free, taken.port), tt.option, tt.forward}
		strict := append([]string{"-o", "ExitOnForwardFailure=yes"}, args...)
		if tt.option == "-L" { // localhost is two addresses, and one of them is enough
			strict[5] = "127.0.0.1:" + strict[5]
			args[3] = strict[5]
		}
		h.run(h.muxc(append(strict, "box", mark)...), nil).fails(t, quote("box: "+tt.text))
		if times() != 0 || accepts(loopback(free)) || len(h.forwards()) != 0 {
			t.Errorf("%s: ran %d times, %+v", tt.option, times(), h.forwards())
		}
		// And on a connection that stands, which the refusal leaves alone.
		h.run(h.muxc(append(strict, "box", mark)...), nil).fails(t, quote("box: "+tt.text))
		h.run(h.muxc(append(args, "box", mark)...), nil).is(t, "", "muxc: box: "+tt.text+"; trying again\n", 0)
		if times() != 1 {
			t.Errorf("%s: ran %d times", tt.option, times())
		}
	}
	if n := h.sshd.Logins(); n != 1 {
		t.Errorf("%d logins", n)
	}
}

// TestForwardOfATakenPortComesLater: without ExitOnForwardFailure a forward is
// tried again for as long as it is wanted, and -N hears of it.
func TestForwardOfATakenPortComesLater(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	f, port := serveTCP(t, parrot), freePort(t)
	ln, err := net.Listen("tcp", loopback(port))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	option := at("-L 127.0.0.1:%d:127.0.0.1:%d", port, f.port)
	p := h.start(h.muxc("-N", "-L", strings.TrimPrefix(option, "-L "), "box"), blocked(t))
	st := h.becomes(option, "degraded")
	if want := at("listen on 127.0.0.1:%d: address already in use", port); st.LastError != want || st.Next.IsZero() {
		t.Errorf("%+v, want error %q", st, want)
	}
	ln.Close()
	if st := h.becomes(option, "active"); st.LastError != "" || !st.Next.IsZero() {
		t.Errorf("%+v", st)
	}
	parrots(t, loopback(port), 3)
	want := at("muxc: box: listen on 127.0.0.1:%d: address already in use; trying again\nmuxc: box: %s stands now\n", port, option)
	h.eventually("it is told", func() bool { return p.err.String() == want })
	p.signal(syscall.SIGINT)
	p.wait().is(t, "", want, 255)
}

// TestPartOfAnAddressIsTaken: localhost is two addresses, and whoever asked
// hears that one of them leads elsewhere.
func TestPartOfAnAddressIsTaken(t *testing.T) {
	t.Parallel()
	needIPv6(t)
	h := startHost(t)
	f, other := serveTCP(t, parrot), serveOn(t, "tcp", "[::1]:0", digest)
	p := h.stand("-o", "ExitOnForwardFailure=yes", "-L", at("%d:127.0.0.1:%d", other.port, f.port))
	option := at("-L localhost:%d:127.0.0.1:%d", other.port, f.port)
	parrots(t, loopback(other.port), 1)
	want := at("muxc: box: %s: listen on [::1]:%d: address already in use; the forward listens on the rest\n", option, other.port)
	h.eventually("it is told", func() bool { return p.err.String() == want })
	if st := h.forward(option); st.State != "active" || !strings.Contains(st.LastError, "[::1]") {
		t.Errorf("%+v", st)
	}
}

// TestPermitRemoteOpen: where the server's side says by SOCKS where it goes, the
// client says where it may.
func TestPermitRemoteOpen(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	yes, no, port := web(t, "permitted"), web(t, "not permitted"), freePort(t)
	p := h.stand("-o", "PermitRemoteOpen="+yes, "-R", at("%d", port))
	h.curl("--socks5", loopback(port), "http://"+yes+"/").is(t, "permitted", "", 0)
	if r := h.curl("--socks5", loopback(port), "http://"+no+"/"); r.code != 97 || r.out != "" || !strings.Contains(r.err, "(2)") {
		t.Errorf("%+v, want SOCKS's reason 2", r)
	}
	if r := h.curl("--socks4", loopback(port), "http://"+no+"/"); r.code != 97 || r.out != "" {
		t.Errorf("%+v", r)
	}
	if st := h.becomes(at("-R localhost:%d", port), "active"); st.LastError != at("connect to %s: PermitRemoteOpen does not permit it", no) {
		t.Errorf("%+v", st)
	}
	h.over(p)
	h.stand("-o", "PermitRemoteOpen=none", "-R", at("%d", port))
	if r := h.curl("--socks5", loopback(port), "http://"+yes+"/"); r.code != 97 || r.out != "" {
		t.Errorf("%+v", r)
	}
}
