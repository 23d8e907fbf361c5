package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"muxd/internal/sshtest"
)

// isReset fails the test unless who comes is reset, which may be before he knows
// that he was accepted.
func isReset(t testing.TB, addr string) {
	t.Helper()
	c, err := dial(addr)
	if err == nil {
		defer c.Close()
		err = cutOff(c)
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%s: %v, want a reset", addr, err)
	}
}

// TestForwardsThatTheServerForbids: the one who asked is told in the server's
// words, where it has any, and status names them. Nothing else is disturbed.
func TestForwardsThatTheServerForbids(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ line, local, remote string }{
		{"AllowTcpForwarding no", "no", "no"},
		{"AllowTcpForwarding local", "yes", "no"},
		{"AllowTcpForwarding remote", "no", "yes"},
		{"PermitOpen 127.0.0.1:1", "no", "yes"},
		{"PermitListen 1", "yes", "no"},
		{"DisableForwarding yes", "no", "no"},
	} {
		t.Run(tt.line, func(t *testing.T) {
			t.Parallel()
			h := startHost(t, tt.line)
			f := serveTCP(t, parrot)
			here, there := freePort(t), freePort(t)
			local, remote := at("-L localhost:%d:127.0.0.1:%d", here, f.port), at("-R localhost:%d:127.0.0.1:%d", there, f.port)
			h.stand("-L", strings.TrimPrefix(local, "-L "))
			if tt.local == "yes" {
				parrots(t, loopback(here), 1)
			} else {
				isReset(t, loopback(here))
				if st := h.forward(local); st.State != "active" || st.LastError != at("connect to 127.0.0.1:%d: administratively prohibited: open failed", f.port) {
					t.Errorf("%+v", st)
				}
				h.run(h.muxc("-W", f.addr, "box"), nil).fails(t, "administratively prohibited: open failed")
			}
			refusal := at("box: remote port forwarding failed for listen port %d: the server refused it (in use there, or not allowed)", there)
			switch r := h.run(h.muxc("-o", "ExitOnForwardFailure=yes", "-R", strings.TrimPrefix(remote, "-R "), "box", "true"), nil); tt.remote {
			case "yes":
				r.is(t, "", "", 0)
			default:
				r.fails(t, quote(refusal))
				p := h.start(h.muxc("-N", "-R", strings.TrimPrefix(remote, "-R "), "box"), blocked(t))
				if st := h.becomes(remote, "degraded"); "box: "+st.LastError != refusal {
					t.Errorf("%+v", st)
				}
				if want := "muxc: " + refusal + "; trying again\n"; !until(long, func() bool { return p.err.String() == want }) {
					t.Errorf("it says %q, want %q", p.err.String(), want)
				}
			}
			h.echo()
		})
	}
}

// TestStreamLocalForbidden is the same for Unix sockets.
func TestStreamLocalForbidden(t *testing.T) {
	t.Parallel()
	h := startHost(t, "AllowStreamLocalForwarding no")
	here, there := freePort(t), filepath.Join(h.dir, "there")
	serveUnix(t, filepath.Join(h.dir, "f"), parrot)
	h.stand("-L", at("%d:%s/f", here, h.dir))
	isReset(t, loopback(here))
	option := at("-L localhost:%d:%s/f", here, h.dir)
	if st := h.forward(option); st.State != "active" || st.LastError != at("connect to %s/f: open failed (not there, or not allowed)", h.dir) {
		t.Errorf("%+v", st)
	}
	h.run(h.muxc("-N", "-o", "ExitOnForwardFailure=yes", "-R", at("%s:127.0.0.1:1", there), "box"), nil).
		fails(t, quote(at("box: remote port forwarding failed for listen path %s: the server refused it", there)))
}

// TestForbiddenBySocks: curl is told that it is not allowed, and not that the
// far side does not answer.
func TestForbiddenBySocks(t *testing.T) {
	t.Parallel()
	sshtest.Require(t, "curl")
	page, other := web(t, "permitted"), web(t, "forbidden")
	h := startHost(t, "PermitOpen "+page)
	port := freePort(t)
	h.stand("-D", at("%d", port))
	h.curl("--socks5", loopback(port), "http://"+page+"/").is(t, "permitted", "", 0)
	if r := h.curl("--socks5", loopback(port), "http://"+other+"/"); r.code != 97 || !strings.Contains(r.err, "(2)") {
		t.Errorf("%+v, want SOCKS's reason 2", r)
	}
}

// TestProbeForwards: what status says on demand of the far sides, and only then.
func TestProbeForwards(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	f, dead := serveTCP(t, parrot), freePort(t)
	a, b, c, d := freePort(t), freePort(t), freePort(t), freePort(t)
	h.stand("-L", at("%d:127.0.0.1:%d", a, f.port), "-L", at("%d:127.0.0.1:%d", b, dead), "-R", at("%d:127.0.0.1:%d", c, dead), "-D", at("%d", d))
	for _, f := range h.forwards() {
		if f.Probe != nil || f.LastError != "" {
			t.Errorf("nobody asked: %+v", f)
		}
	}
	probed := map[string]forwardStatus{}
	for _, f := range h.status("--probe-forwards").Hosts[0].Forwards {
		probed[strings.Fields(f.Option)[1]] = f
		if f.State != "active" || f.Total != 0 || f.Open != 0 {
			t.Errorf("%+v", f)
		}
	}
	ok, refused := probed[at("localhost:%d:127.0.0.1:%d", a, f.port)], probed[at("localhost:%d:127.0.0.1:%d", b, dead)]
	if ok.Probe == nil || !ok.Probe.OK || ok.Probe.Error != "" {
		t.Errorf("%+v", ok)
	}
	if p := refused.Probe; p == nil || p.OK || p.Error != at("connect to 127.0.0.1:%d: Connection refused", dead) {
		t.Errorf("%+v", p)
	}
	if p := probed[at("localhost:%d:127.0.0.1:%d", c, dead)].Probe; p == nil || p.OK || p.Error != at("connect to 127.0.0.1:%d: connection refused", dead) {
		t.Errorf("%+v", p)
	}
	if p := probed[at("localhost:%d", d)].Probe; p != nil {
		t.Errorf("SOCKS leads nowhere by itself: %+v", p)
	}
	r := h.run(h.command("muxd", "status", "--probe-forwards"), nil)
	if strings.Count(r.out, "; probe: ok\n") != 1 || strings.Count(r.out, "; probe: connect to ") != 2 || r.code != 0 {
		t.Errorf("%+v", r)
	}
}

// TestBadForwards: each is one line for the one who asked.
func TestBadForwards(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	h.echo()
	longest := h.dir + "/" + strings.Repeat("p", 107-len(h.dir)-1)
	if err := os.Mkdir(filepath.Join(h.dir, "directory"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ option, spec, want string }{
		{"-L", "65536:a:1", "Bad local forwarding specification"},
		{"-L", "0:a:1", "Bad local forwarding specification"},
		{"-L", "1:a:65536", "Bad local forwarding specification"},
		{"-L", "-1:a:1", "Bad local forwarding specification"},
		{"-L", "1:a:0", "Bad local forwarding specification"},
		{"-L", "port:a:1", "Bad local forwarding specification"},
		{"-L", "1", "Bad local forwarding specification"},
		{"-R", "65536:a:1", "Bad remote forwarding specification"},
		{"-R", "a:b:c:d:e", "Bad remote forwarding specification"},
		{"-D", "65536", "Bad dynamic forwarding specification"},
		{"-D", "0", "Bad dynamic forwarding specification"},
		{"-D", "a:b:1", "Bad dynamic forwarding specification"},
		{"-L", longest + "p:a:1", "Bad local forwarding specification"},
		{"-L", h.dir + "/directory:a:1", "directory is in the way: address already in use"},
		{"-L", h.dir + "/none/p:a:1", "listen on .*/none/p: no such file or directory"},
		{"-L", "192.0.2.1:4001:a:1", `listen on 192\.0\.2\.1:4001: cannot assign requested address \(no interface has it\)`},
	} {
		r := h.run(h.muxc("-N", "-o", "ExitOnForwardFailure=yes", tt.option, tt.spec, "box"), nil)
		if r.fails(t, tt.want); strings.HasPrefix(tt.want, "Bad") && !strings.Contains(r.err, " '"+tt.spec+"'\n") {
			t.Errorf("%q does not say which", r.err)
		}
	}
	h.run(h.muxc("-N", "-o", "ExitOnForwardFailure=yes", "-o", "StreamLocalBindUnlink=yes", "-L", h.dir+"/directory:a:1", "box"), nil).fails(t, "directory is in the way")
	f := serveTCP(t, parrot)
	h.over(h.stand("-L", at("%s:127.0.0.1:%d", longest, f.port)))
	if n := len(h.forwards()); n != 0 {
		t.Errorf("%d forwards are left", n)
	}
	h.echo()
	if n := h.sshd.Logins(); n != 1 {
		t.Errorf("%d logins", n)
	}
}
