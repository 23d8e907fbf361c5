package x11

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"muxd/internal/sshtest"
)

func TestParseDisplay(t *testing.T) {
	for _, c := range []struct {
		in      string
		want    Display
		network string
		addr    string
	}{
		{":0", Display{}, "unix", "/tmp/.X11-unix/X0"},
		{":12.3", Display{Number: 12, Screen: 3}, "unix", "/tmp/.X11-unix/X12"},
		{"unix:0.1", Display{Screen: 1}, "unix", "/tmp/.X11-unix/X0"},
		{"::7", Display{Number: 7}, "unix", "/tmp/.X11-unix/X7"},
		{"localhost:10.0", Display{Host: "localhost", Number: 10}, "tcp", "localhost:6010"},
		{"a-b.example:59535", Display{Host: "a-b.example", Number: 59535}, "tcp", "a-b.example:65535"},
		{"192.0.2.1:1", Display{Host: "192.0.2.1", Number: 1}, "tcp", "192.0.2.1:6001"},
		{"[::1]:1", Display{Host: "::1", Number: 1}, "tcp", "[::1]:6001"},
		{"[2001:db8::2]:3.400", Display{Host: "2001:db8::2", Number: 3, Screen: 400}, "tcp", "[2001:db8::2]:6003"},
		{"/tmp/launch-x/org.xquartz:0", Display{Path: "/tmp/launch-x/org.xquartz:0"}, "unix", "/tmp/launch-x/org.xquartz:0"},
		{"/tmp/org.xquartz:2.1", Display{Path: "/tmp/org.xquartz:2.1", Number: 2, Screen: 1}, "unix", "/tmp/org.xquartz:2.1"},
		{"/run/x.sock", Display{Path: "/run/x.sock"}, "unix", "/run/x.sock"},
	} {
		d, err := ParseDisplay(c.in)
		c.want.text = c.in
		if err != nil || d != c.want || d.String() != c.in {
			t.Errorf("%q: %+v, %v", c.in, d, err)
		}
		if network, addrs := d.addresses(); network != c.network || addrs[0] != c.addr {
			t.Errorf("%q: %s %q", c.in, network, addrs)
		}
	}
}

func TestParseDisplayRefuses(t *testing.T) {
	for in, part := range map[string]string{
		"":                              "is empty",
		"0":                             "no colon",
		"host":                          "no colon",
		":":                             "display number",
		":x":                            "display number",
		":+1":                           "character",
		":-1":                           "display number",
		":0junk":                        "display number",
		":59536":                        "display number",
		":99999999999999999999":         "display number",
		":0.":                           "screen number",
		":0.401":                        "screen number",
		":0.0.0":                        "screen number",
		"::1:1":                         "without brackets",
		"[::1]":                         "display number",
		"[127.0.0.1]:1":                 "IPv6",
		"[fe80::1/64]:1":                "IPv6",
		"[]:1":                          "IPv6",
		"[":                             "no colon",
		"[:1":                           "names no host",
		"]:1":                           "names no host",
		"-f:0":                          "names no host",
		"tcp/host:0":                    "names no host",
		"/":                             "directory",
		"/tmp/":                         "directory",
		":0;id":                         "character",
		":0 :1":                         "character",
		"$(id):0":                       "character",
		"a\nb:0":                        "character",
		"hôte:0":                        "character",
		"\xff:0":                        "character",
		strings.Repeat("a", 510) + ":0": "longer",
	} {
		if d, err := ParseDisplay(in); err == nil || !strings.Contains(err.Error(), part) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %+v, %v; want %q", in, d, err, part)
		}
	}
}

func listen(t *testing.T, network, addr string) net.Listener {
	t.Helper()
	ln, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln
}

// reaches dials a display and compares who answered.
func reaches(t *testing.T, display string, ln net.Listener) {
	t.Helper()
	d, err := ParseDisplay(display)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	conn, err := d.Dial(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	// A dial that went elsewhere fails the test, and does not hang it.
	ln.(interface{ SetDeadline(time.Time) error }).SetDeadline(time.Now().Add(5 * time.Second))
	far, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	far.Write([]byte("x"))
	far.Close()
	if n, err := conn.Read(make([]byte, 2)); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}

// A path is taken whole if there is such a socket, and else without the screen.
func TestDialPath(t *testing.T) {
	dir := t.TempDir()
	whole := filepath.Join(dir, "org.xquartz:0.1")
	ln := listen(t, "unix", strings.TrimSuffix(whole, ".1"))
	reaches(t, whole, ln)
	reaches(t, whole, listen(t, "unix", whole))
	d, _ := ParseDisplay(filepath.Join(dir, "none:3"))
	if _, err := d.Dial(t.Context()); err == nil || !strings.Contains(err.Error(), "none:3") {
		t.Error(err)
	}
}

// Where /tmp has no socket the abstract name is tried.
func TestDialAbstract(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("no abstract names: not Linux")
	}
	n := unusedDisplay(t)
	path := fmt.Sprintf("/tmp/.X11-unix/X%d", n)
	abstract := listen(t, "unix", "@"+path)
	display := fmt.Sprintf(":%d", n)
	reaches(t, display, abstract)
	if os.Mkdir("/tmp/.X11-unix", 0o1777) == nil {
		t.Cleanup(func() { os.Remove("/tmp/.X11-unix") })
	}
	ln, err := net.Listen("unix", path)
	if err != nil {
		sshtest.Lacks(t, "root", fmt.Errorf("a socket in /tmp/.X11-unix: %w", err))
	}
	defer ln.Close()
	reaches(t, display, ln) // and not the abstract one, which anybody can take
}

// unusedDisplay is one that nobody has here, of those that nobody starts with.
func unusedDisplay(t *testing.T) int {
	for n := 20000 + os.Getpid()%10000; n < 40000; n++ {
		if _, err := os.Stat(fmt.Sprintf("%s%d", sockets, n)); err != nil {
			return n
		}
	}
	t.Fatal("every display is in use")
	return 0
}

// TestDialTCP takes whichever port from 6000 on is free.
func TestDialTCP(t *testing.T) {
	for n := 700; n < 800; n++ {
		ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", basePort+n))
		if err != nil {
			continue
		}
		defer ln.Close()
		reaches(t, fmt.Sprintf("127.0.0.1:%d.1", n), ln)
		ln.Close()
		d, _ := ParseDisplay(fmt.Sprintf("127.0.0.1:%d", n))
		if _, err := d.Dial(t.Context()); err == nil || !strings.Contains(err.Error(), d.String()) {
			t.Error(err)
		}
		return
	}
	t.Fatal("no port is free")
}

func FuzzParseDisplay(f *testing.F) {
	for _, s := range []string{":0", "unix:0.1", "host:10.0", "[::1]:1", "/a/b:0", "::3", ":0.401", "[", "/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		d, err := ParseDisplay(in)
		if err != nil {
			return
		}
		_, addrs := d.addresses()
		if d.Number < 0 || d.Number > maxNumber || d.Screen < 0 || d.Screen > maxScreen || slices.Contains(addrs, "") {
			t.Errorf("%q: %+v, %q", in, d, addrs)
		}
		// Nothing that a shell or a terminal would make something of.
		if strings.ContainsAny(in, " \t\n\r\"'`$;&|<>\\*?~#(){}\x1b\x00") {
			t.Errorf("%q passes", in)
		}
	})
}
