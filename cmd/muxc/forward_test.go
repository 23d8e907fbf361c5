package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Every spelling of a forward, as it is typed. The same machine is at both ends,
// so that who listens where can be seen by asking.

var (
	bothLoopback = []string{"127.0.0.1", "::1"}
	everywhere   = []string{"127.0.0.1", "127.0.0.2", "::1"}
)

// spelling is one way to ask for a forward. In it PORT or HERE/p is where it
// listens; FAR and FAR6 are ports at which a parrot sits on 127.0.0.1 and ::1,
// and HERE/f is the path of one.
type spelling struct {
	args string
	want []string // the addresses on which PORT is listened on; nil: a path
}

// fill puts ports and paths in.
func (s spelling) fill(dir string, p, f, f6 int) []string {
	text := strings.NewReplacer("HERE", dir, "PORT", fmt.Sprint(p), "FAR6", fmt.Sprint(f6), "FAR", fmt.Sprint(f)).Replace(s.args)
	return strings.Fields(text)
}

// spelt has each of them stand, carry, and go.
func (h *host) spelt(list []spelling) {
	needIPv6(h.t)
	f, f6 := serveTCP(h.t, parrot), serveOn(h.t, "tcp", "[::1]:0", parrot)
	serveUnix(h.t, filepath.Join(h.dir, "f"), parrot)
	for _, s := range list {
		port, path := freePort(h.t), filepath.Join(h.dir, "p")
		p := h.stand(s.fill(h.dir, port, f.port, f6.port)...)
		switch got := accepting(port); {
		case s.want == nil && len(got) == 0:
			parrots(h.t, path, 3)
		case !slices.Equal(got, s.want):
			h.t.Errorf("%s: listens on %v, want %v", s.args, got, s.want)
		case s.want[0] == "::1":
			parrots(h.t, fmt.Sprintf("[::1]:%d", port), 3)
		default:
			parrots(h.t, loopback(port), 3)
		}
		if e := p.err.String(); e != "" {
			h.t.Errorf("%s: it said %q", s.args, e)
		}
		h.over(p)
		h.eventually(s.args+": nobody listens any more", func() bool { return len(accepting(port)) == 0 })
		os.Remove(path) // a server leaves its own
	}
}

func TestLocalForwardSpellings(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	h.spelt([]spelling{
		{"-L PORT:127.0.0.1:FAR", bothLoopback},
		{"-L PORT:[::1]:FAR6", bothLoopback},
		{"-L localhost:PORT:localhost:FAR", bothLoopback},
		{"-L 127.0.0.1:PORT:127.0.0.1:FAR", []string{"127.0.0.1"}},
		{"-L [::1]:PORT:[::1]:FAR6", []string{"::1"}},
		{"-L [127.0.0.1]:PORT:[127.0.0.1]:FAR", []string{"127.0.0.1"}},
		{"-L *:PORT:127.0.0.1:FAR", everywhere},
		{"-L :PORT:127.0.0.1:FAR", everywhere},
		{"-4 -L PORT:127.0.0.1:FAR", []string{"127.0.0.1"}},
		{"-g -L PORT:127.0.0.1:FAR", everywhere},
		{"-o GatewayPorts=yes -L PORT:127.0.0.1:FAR", everywhere},
		{"-g -L 127.0.0.1:PORT:127.0.0.1:FAR", []string{"127.0.0.1"}}, // what was written counts
		{"-g -L localhost:PORT:127.0.0.1:FAR", bothLoopback},
		{"-L PORT:HERE/f", bothLoopback},
		{"-L 127.0.0.1:PORT:HERE/f", []string{"127.0.0.1"}},
		{"-L HERE/p:127.0.0.1:FAR", nil},
		{"-L HERE/p:HERE/f", nil},
		{"-L ./p:127.0.0.1:FAR", nil}, // of the client's directory, not of muxd's
		{"-L [HERE/p]:[::1]:FAR6", nil},
	})
}

func TestRemoteForwardSpellings(t *testing.T) {
	t.Parallel()
	h := startHost(t, "GatewayPorts clientspecified")
	h.spelt([]spelling{
		{"-R PORT:127.0.0.1:FAR", bothLoopback},
		{"-R PORT:[::1]:FAR6", bothLoopback},
		{"-R localhost:PORT:localhost:FAR", bothLoopback},
		{"-R 127.0.0.1:PORT:127.0.0.1:FAR", []string{"127.0.0.1"}},
		{"-R [::1]:PORT:[::1]:FAR6", []string{"::1"}},
		{"-R *:PORT:127.0.0.1:FAR", everywhere},
		{"-R :PORT:127.0.0.1:FAR", everywhere},
		{"-g -R PORT:127.0.0.1:FAR", bothLoopback}, // which is about -L
		{"-R PORT:HERE/f", bothLoopback},
		{"-R PORT:./f", bothLoopback},
		{"-R 127.0.0.1:PORT:HERE/f", []string{"127.0.0.1"}},
		{"-R HERE/p:127.0.0.1:FAR", nil},
		{"-R HERE/p:HERE/f", nil},
	})
	h = startHost(t) // whose word counts then
	h.spelt([]spelling{{"-R *:PORT:127.0.0.1:FAR", bothLoopback}, {"-R 127.0.0.2:PORT:127.0.0.1:FAR", bothLoopback}})
}

// TestAllocatedPort: the port that the server chose is told, in ssh's words, by
// whom the forward was asked for.
func TestAllocatedPort(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	f, page := serveTCP(t, parrot), web(t, "chosen")
	var port, socks int
	p := h.start(h.muxc("-N", "-R", at("0:127.0.0.1:%d", f.port), "-R", "0", "box"), blocked(t))
	h.stands(p, 2)
	line := fmt.Sprintf("Allocated port %%d for remote forward to 127.0.0.1:%d\nAllocated port %%d for remote forward to socks:0\n", f.port)
	h.eventually("both are told", func() bool { n, _ := fmt.Sscanf(p.err.String(), line, &port, &socks); return n == 2 })
	if want := fmt.Sprintf(line, port, socks); p.err.String() != want || p.out.String() != "" {
		t.Errorf("stderr %q, stdout %q, want %q", p.err.String(), p.out.String(), want)
	}
	parrots(t, loopback(port), 3)
	h.curl("--socks5", loopback(socks), "http://"+page+"/").is(t, "chosen", "", 0)
	if f := h.becomes(at("-R localhost:%d:127.0.0.1:%d", port, f.port), "active"); f.Kind != "remote" || f.Sticky {
		t.Errorf("%+v", f)
	}
	if f := h.becomes(at("-R localhost:%d", socks), "active"); f.Kind != "remote-dynamic" {
		t.Errorf("%+v", f)
	}
	// -q has errors said, and this is none.
	q := h.start(h.muxc("-q", "-N", "-R", at("0:127.0.0.1:%d", f.port), "box"), blocked(t))
	h.stands(q, 1)
	if q.err.String() != "" {
		t.Errorf("with -q: %q", q.err.String())
	}
}

// TestSocketPermissions: StreamLocalBindMask is what the socket is made with,
// and StreamLocalBindUnlink has what is in its way go.
func TestSocketPermissions(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	f := serveTCP(t, parrot)
	path := filepath.Join(h.dir, "p")
	forward := at("%s:127.0.0.1:%d", path, f.port)
	for _, tt := range []struct {
		args []string
		mode os.FileMode
	}{{nil, 0o600}, {[]string{"-o", "StreamLocalBindMask=0111"}, 0o666}, {[]string{"-o", "StreamLocalBindMask=0007"}, 0o770}} {
		p := h.stand(append(tt.args, "-L", forward)...)
		if st, err := os.Lstat(path); err != nil || st.Mode() != os.ModeSocket|tt.mode {
			t.Errorf("%v: %v, %v, want %v", tt.args, st, err, tt.mode)
		}
		h.over(p)
		if _, err := os.Lstat(path); err == nil {
			t.Errorf("%v: the path is left behind", tt.args)
		}
	}
	write(t, path, "a file")
	h.run(h.muxc("-N", "-o", "ExitOnForwardFailure=yes", "-L", forward, "box"), nil).
		fails(t, quote(at("box: listen on %s: a file is in the way (StreamLocalBindUnlink yes removes it): address already in use", path)))
	if read(t, path) != "a file" {
		t.Error("the file has another text")
	}
	h.over(h.stand("-o", "StreamLocalBindUnlink=yes", "-L", forward))
	// A socket on which somebody listens is nobody's to remove without a word.
	serveUnix(t, path, parrot)
	h.run(h.muxc("-N", "-o", "ExitOnForwardFailure=yes", "-L", forward, "box"), nil).
		fails(t, quote(at("box: listen on %s: address already in use", path)))
	parrots(t, path, 1)
}
