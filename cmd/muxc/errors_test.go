package main

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"muxd/internal/sshtest"
)

// TestRefusals: whatever is wrong, there is one line on stderr with the host
// and the cause, status 255, an end within bounded time, and a muxd that goes
// on working.
func TestRefusals(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	h.echo()
	other := sshtest.NewKey()
	known := filepath.Join(h.dir, "known")
	os.WriteFile(known, []byte(strings.Fields(h.sshd.KnownHostsLine)[0]+" "+other.Line()), 0o600)
	broken := filepath.Join(h.dir, "broken")
	os.WriteFile(broken, []byte("Host box\n  Nonsense yes\n"), 0o600)
	// They read first: a close with something unread would be a reset.
	http := serve(t, func(c net.Conn) { c.Read(make([]byte, 256)); io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n") })
	patient := serve(t, func(c net.Conn) { io.WriteString(c, "220 mail\r\n"); io.Copy(io.Discard, c) })
	busy := serve(t, func(c net.Conn) { c.Read(make([]byte, 256)); io.WriteString(c, "Exceeded MaxStartups\r\n") })
	rude := serve(t, func(c net.Conn) { c.Read(make([]byte, 256)) })
	silent := serve(t, func(c net.Conn) { io.Copy(io.Discard, c) })

	for _, tt := range []struct {
		args string
		want string
	}{
		{"-o ConnectTimeout=5 nosuch.invalid true", `nosuch\.invalid: could not resolve hostname nosuch\.invalid: `},
		{"-p 1 box true", `box: connect to 127\.0\.0\.1:1: connection refused`},
		{"-o UserKnownHostsFile=" + known + " box true",
			`box: host key verification failed: the host key has changed: ` + known + `:1 lists ED25519 SHA256:\S+, the server presents ED25519 SHA256:\S+; if that is expected: ssh-keygen -f \S+ -R '\[127\.0\.0\.1\]:\d+'`},
		{"-o UserKnownHostsFile=/dev/null -o StrictHostKeyChecking=ask -o BatchMode=yes box true",
			`box: host key verification failed: .* is not known for \[127\.0\.0\.1\]:\d+`},
		{"-o UserKnownHostsFile=/dev/null box true",
			`box: host key verification failed: no ED25519 key is known for \[127\.0\.0\.1\]:\d+ and StrictHostKeyChecking is yes`},
		{"-p " + http + " box true", `box: the server refused the connection: "HTTP/1\.1 400 Bad Request"`},
		{"-o ConnectTimeout=1 -p " + patient + " box true", `box: the server did not begin SSH in time: it said "220 mail"`},
		{"-p " + busy + " box true", `box: the server refused the connection: "Exceeded MaxStartups"`},
		{"-p " + rude + " box true", `box: the server closed the connection during the SSH handshake`},
		{"-o ConnectTimeout=1 -p " + silent + " box true", `box: the server did not finish the SSH handshake in time`},
		{"-o Nonsense=1 box true", `box: command-line: line 0: Bad configuration option: nonsense`},
		{"-o Port=abc box true", `box: command-line line 0: Bad port 'abc'\.`},
		{"-F " + broken + " box true", `box: ` + broken + `: line 2: Bad configuration option: nonsense`},
		{"-F /nonexistent box true", `box: Can't open user config file /nonexistent: no such file or directory`},
		{"-- -oProxyCommand=x", `-oProxyCommand=x: host name .* begins with a hyphen`},
		{"-- -x@box", `-x@box: user name "-x" .*hyphen`},
		{"a\x1b[31mb true", `a\?\[31mb: host name "a\\x1b\[31mb" holds a control character`},
		{"-l a\nb box true", `box: .*`},
		{"-L 65536:box:2 box true", `box: Bad local forwarding specification '65536:box:2'`},
		{"-o ExitOnForwardFailure=yes -L 192.0.2.1:4001:a:2 box true", `box: listen on 192\.0\.2\.1:4001: cannot assign requested address`},
		{"-o ExitOnForwardFailure=yes -L /nonexistent/s:a:2 box true", `box: listen on /nonexistent/s: no such file or directory`},
		{"-o ExitOnForwardFailure=yes -L /tmp:a:2 box true", `box: listen on /tmp: .*directory`},
		{"-o RemoteCommand=x box true", `box: [Cc]annot execute command-line and remote command`},
	} {
		r := h.run(h.muxc(strings.Split(tt.args, " ")...), nil)
		r.fails(t, tt.want)
		if r.took > 3*soon {
			t.Errorf("%s: took %v", tt.args, r.took)
		}
	}
	h.echo()
	if n := h.sshd.Logins(); n != 1 {
		t.Errorf("%d logins, want 1: muxd did not live on", n)
	}
}

func TestLoginRefused(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	good := h.cfg
	for name, key := range map[string]string{
		"a stranger's": sshtest.NewKey().WriteFile(t, h.dir, "stranger", ""),
		"missing":      filepath.Join(h.dir, "missing"),
		"no key":       write(t, filepath.Join(h.dir, "garbage"), "garbage\n"),
	} {
		// The first IdentityFile does not win, all count: so not by ClientConfig.
		h.cfg = write(t, filepath.Join(h.dir, "config"), strings.ReplaceAll(read(t, good), h.sshd.ClientKey, key))
		for range 2 { // the second is no repetition from memory, and as quick
			r := h.run(h.muxc("box", "true"), nil)
			r.fails(t, `box: .*Permission denied \(publickey\)`)
			if r.took > soon {
				t.Errorf("%s key: took %v", name, r.took)
			}
		}
	}
	h.cfg = good
	h.echo()
}

// serve is a server on a free port that does what it is told with each
// connection; the port is returned.
func serve(t testing.TB, f func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	acceptAll(t, l, func(c net.Conn) { defer c.Close(); f(c) })
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

// acceptAll runs f for each connection that comes, until the test ends.
func acceptAll(t testing.TB, l net.Listener, f func(net.Conn)) {
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go f(c)
		}
	}()
}

func write(t testing.TB, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// install puts muxc somewhere without writing it: a test beside this one that
// forks would hold the file open, and nobody could run it.
func install(t *testing.T, as string) {
	t.Helper()
	if err := os.Link(bin+"/muxc", as); err != nil {
		t.Fatal(err)
	}
}

func TestNoMuxdToStart(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	alone := filepath.Join(h.dir, "muxc")
	install(t, alone)
	h.setenv("PATH", ".:/nonexistent:")
	write(t, filepath.Join(h.dir, "muxd"), "#!/bin/sh\n") // not executable
	h.run(h.command(alone, "box", "true"), nil).fails(t, `box: start muxd: no program muxd beside muxc or in PATH`)

	os.Remove(filepath.Join(h.dir, "muxd"))
	h.setenv("PATH", bin)
	h.run(h.command(alone, "-p", "1", "127.0.0.1", "true"), nil).fails(t, `127\.0\.0\.1: connect to 127\.0\.0\.1:1: connection refused`)
	h.pid() // found in PATH
}

func TestMuxdThatDoesNotStart(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	dir := filepath.Join(h.dir, "bin")
	os.Mkdir(dir, 0o700)
	alone := filepath.Join(dir, "muxc")
	install(t, alone)
	if err := os.Symlink("/bin/false", filepath.Join(dir, "muxd")); err != nil {
		t.Fatal(err)
	}
	h.run(h.command(alone, "box", "true"), nil).fails(t, `box: start muxd: \S+/muxd ended before it was ready`)
}

func TestUnsoundPlaces(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	place := filepath.Join(h.dir, "place")
	h.setenv("MUXD_SOCKET", place+"/ctl")
	refused := func(pattern string) {
		t.Helper()
		r := h.run(h.muxc("box", "true"), nil)
		r.fails(t, "box: "+pattern)
		if r := h.run(h.command("muxd"), nil); r.code == 0 || r.out != "" || strings.Count(r.err, "\n") != 1 {
			t.Errorf("muxd serves there: %+v", r)
		}
	}
	os.Mkdir(place, 0o700)
	os.Chmod(place, 0o755)
	refused(place + ` is open to others \(owner \S+ \(uid ` + strconv.Itoa(os.Geteuid()) + `\), mode 0755\)`)
	if os.Geteuid() == 0 {
		os.Chmod(place, 0o700)
		os.Chown(place, 65534, 65534)
		refused(place + ` is owned by nobody \(uid 65534\) and not by uid 0`)
	}
	os.RemoveAll(place)
	os.Symlink(t.TempDir(), place)
	refused(place + ` is a symbolic link`)
	os.Remove(place)
	write(t, place, "")
	refused(place + ` is a file`)
	h.setenv("MUXD_SOCKET", "ctl")
	refused(`.*socket path "ctl" is not absolute`)
	h.setenv("MUXD_SOCKET", filepath.Join(h.dir, strings.Repeat("x", 200)))
	refused(`.*has 200 bytes and may have`)
}

func TestCommandLineMistakes(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	for _, args := range [][]string{{}, {"-p"}, {"-O"}} {
		r := h.run(h.command("muxc", args...), nil)
		if r.code != 255 || r.out != "" || !strings.Contains(r.err, "usage: muxc [-") {
			t.Errorf("%q: %+v", args, r)
		}
	}
	for line, want := range map[string][2]string{
		"foo":       {"unknown command", "muxd --help lists the commands\n"},
		"status -x": {"unknown ", "usage: muxd status "},
		"stop now":  {"it takes no host", "usage: muxd stop "},
	} {
		args := strings.Fields(line)
		r := h.run(h.command("muxd", args...), nil)
		if r.code != 2 || r.out != "" || !strings.HasPrefix(r.err, "muxd: ") || !strings.Contains(r.err, want[0]) || !strings.Contains(r.err, want[1]) {
			t.Errorf("muxd %q: %+v", args, r)
		}
	}
	if r := h.run(h.command("muxc", "-V"), nil); r.code != 0 || !strings.HasPrefix(r.err, "muxc ") || r.out != "" {
		t.Errorf("-V: %+v", r)
	}
	if r := h.run(h.command("muxd", "--help"), nil); r.code != 0 || !strings.HasPrefix(r.out, "usage: muxd ") {
		t.Errorf("--help: %+v", r)
	}
	if n := len(pidsIn(h.logPath())); n != 0 {
		t.Errorf("%d muxd were started for that", n)
	}
}
