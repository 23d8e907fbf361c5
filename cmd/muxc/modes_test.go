package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"muxd/internal/sshtest"
)

// service is a TCP server on this machine that answers a client only after it
// has sent everything.
func service(t testing.TB) string {
	return serve(t, func(c net.Conn) {
		b, _ := io.ReadAll(c)
		fmt.Fprintf(c, "%d bytes", len(b))
	})
}

// -W is what a ProxyCommand needs: both directions at once, each with an end of
// its own, and nothing else on stdout.
func TestStdioForward(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	port := service(t)
	h.run(h.muxc("-W", "127.0.0.1:"+port, "box"), bytes.NewReader(make([]byte, 5<<20))).is(t, "5242880 bytes", "", 0)
	h.run(h.muxc("-W", "[127.0.0.1]:"+port, "box"), nil).is(t, "0 bytes", "", 0)
	talker := serve(t, func(c net.Conn) { io.WriteString(c, "first "); c.(*net.TCPConn).CloseWrite(); io.Copy(io.Discard, c) })
	// The end of stdout comes while stdin is still open; who waits for it goes on.
	h.run(h.sh(`mkfifo f; { $muxc -W 127.0.0.1:`+talker+` box <f; echo $? >status; } | { cat; echo then; } & exec 3>f; until [ -s status ]; do sleep 0.01; exec 3>&-; done; wait`), nil).is(t, "first then\n", "", 0)
	path := filepath.Join(h.dir, "sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		if c, err := l.Accept(); err == nil {
			b, _ := io.ReadAll(c)
			c.Write(bytes.ToUpper(b))
			c.Close()
		}
	}()
	h.run(h.muxc("-W", path, "box"), strings.NewReader("unix")).is(t, "UNIX", "", 0)
	h.run(h.muxc("-W", "127.0.0.1:1", "box"), nil).fails(t, `box: stdio forwarding to 127\.0\.0\.1:1 failed: Connection refused`)
	if n := h.sshd.Logins(); n != 1 {
		t.Errorf("%d logins, want 1", n)
	}
}

// muxc as the ProxyCommand of a stock ssh.
func TestProxyCommandOfSSH(t *testing.T) {
	t.Parallel()
	sshtest.Require(t, "ssh")
	h := startHost(t)
	c := h.command("ssh", "-F", h.cfg, "-o", "ProxyCommand="+bin+"/muxc -F "+h.cfg+" -W %h:%p box", "box", "cat; echo $SSH_CONNECTION >&2; exit 7")
	r := h.run(c, bytes.NewReader(bytes.Repeat([]byte("x"), 1<<20)))
	if r.code != 7 || len(r.out) != 1<<20 || !strings.HasPrefix(r.err, "127.0.0.1 ") {
		t.Errorf("exit %d, %d bytes, %q", r.code, len(r.out), r.err)
	}
}

func TestStdioForwardIsCut(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	silent := serve(t, func(c net.Conn) { io.WriteString(c, "up\n"); io.Copy(io.Discard, c) })
	p := h.start(h.muxc("-W", "127.0.0.1:"+silent, "box"), blocked(t))
	p.says("up\n")
	h.sshd.KillSessions()
	r := p.wait()
	r.out = strings.TrimPrefix(r.out, "up\n")
	r.fails(t, `box: connection lost`)
}

// -N keeps the connection and nothing else, in the foreground, for as long as
// it is wanted: also over the loss of one.
func TestNoSession(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	in, feed := pipe(t)
	io.WriteString(feed, "touch "+h.dir+"/shell\n")
	p := h.start(h.muxc("-o", "ControlPersist=no", "-N", "box"), in)
	ready := func() bool { st := h.status(); return len(st.Hosts) == 1 && st.Hosts[0].State == "ready" }
	h.eventually("the connection is there", func() bool { _, err := os.Stat(h.socket()); return err == nil && ready() })
	h.sshd.KillSessions()
	h.eventually("it is back", func() bool { return h.sshd.Logins() >= 2 && ready() })
	p.signal(syscall.SIGTERM)
	r := p.wait()
	r.err = strings.TrimPrefix(r.err, "muxc: box: connection lost (the server closed the connection), trying again until it is back\n")
	r.is(t, "", "", 255)
	h.eventually("it ends with who wanted it", func() bool { return len(h.status().Hosts[0].Links) == 0 })
	if _, err := os.Stat(filepath.Join(h.dir, "shell")); err == nil {
		t.Error("-N ran a shell")
	}

	p = h.start(h.muxc("-N", "box"), in)
	h.eventually("the connection is there", ready)
	h.run(h.muxc("-O", "exit", "box"), nil).is(t, "", "Exit request sent.\n", 0)
	p.wait().fails(t, `box: closed by request \(-O exit\)`)
}

// -f goes to the background once the command runs, not before, and not at all
// when it cannot.
func TestBackground(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	mark := filepath.Join(h.dir, "mark")
	r := h.run(h.sh(fmt.Sprintf(`$muxc -f box 'touch %s.began; while [ ! -e %s ]; do sleep 0.01; done; cat; echo late; echo oops >&2; exit 3' >out 2>err <&0; echo $?`, mark, mark)), strings.NewReader("not for the command"))
	r.is(t, "0\n", "", 0)
	if _, err := os.Stat(filepath.Join(h.dir, "out")); err != nil {
		t.Fatal(err)
	}
	h.eventually("the command began", func() bool { _, err := os.Stat(mark + ".began"); return err == nil })
	out := func(name string) string { return read(t, filepath.Join(h.dir, name)) }
	if out("out") != "" || len(h.status().Hosts[0].Sessions) != 1 {
		t.Errorf("out %q, %+v", out("out"), h.status())
	}
	write(t, mark, "")
	h.eventually("its output comes", func() bool { return out("out") == "late\n" && out("err") == "oops\n" })
	h.eventually("its session ends", func() bool { return len(h.status().Hosts[0].Sessions) == 0 })

	h.run(h.muxc("-f", "-p", "1", "box", "true"), nil).fails(t, "connection refused")
	h.run(h.muxc("-f", "box"), nil).fails(t, "Cannot fork into background without a command")
	// A line about what ended badly comes from the background too.
	h.run(h.sh(`$muxc -o ForkAfterAuthentication=yes box 'kill -TERM $$' 2>err`), nil).is(t, "", "", 0)
	h.eventually("the signal is told", func() bool { return out("err") == "muxc: box: the command was killed by signal TERM\n" })
}

// Much output is under way while the process goes to the background.
func TestBackgroundLosesNothing(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	for range 5 {
		r := h.run(h.sh(`$muxc -f box 'seq 200000' | cksum; seq 200000 | cksum`), nil)
		if sums := strings.Split(r.out, "\n"); r.code != 0 || r.err != "" || len(sums) != 3 || sums[0] != sums[1] {
			t.Errorf("%+v", r)
		}
	}
}

func TestLogFileOfTheClient(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	h.run(h.muxc("-E", "log", "box", "echo err >&2"), nil).is(t, "", "err\n", 0)
	h.run(h.muxc("-E", "log", "-p", "1", "box", "true"), nil).is(t, "", "", 255)
	h.run(h.muxc("-E", "log", "box", "kill -KILL $$"), nil).is(t, "", "", 137)
	want := regexp.MustCompile(`\Amuxc: box: connect to 127\.0\.0\.1:1: connection refused\nmuxc: box: the command was killed by signal KILL\n\z`)
	if got := read(t, filepath.Join(h.dir, "log")); !want.MatchString(got) {
		t.Errorf("log %q", got)
	}
	if st, err := os.Stat(filepath.Join(h.dir, "log")); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", st, err)
	}
	r := h.run(h.muxc("-E", "/no/such/log", "box", "true"), nil)
	if r.code != 255 || r.err != "muxc: box: log file /no/such/log: no such file or directory\n" {
		t.Errorf("%+v", r)
	}
	if r := h.run(h.muxc("-y", "-E", "log", "box", "true"), nil); r.code != 255 || !strings.HasPrefix(r.err, "muxc: box: -y and -E: only one") {
		t.Errorf("%+v", r)
	}
}

func TestSyslog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	was := syslogSockets
	syslogSockets = []string{"/no/such/log", path}
	defer func() { syslogSockets = was }()
	toSyslog().logged("one\r\ntwo\n")
	b := make([]byte, 1000)
	for _, line := range []string{"one", "two"} {
		n, err := l.Read(b)
		if want := fmt.Sprintf("<14>muxc[%d]: %s", os.Getpid(), line); err != nil || string(b[:n]) != want {
			t.Errorf("%q, want %q, %v", b[:n], want, err)
		}
	}
}

func TestQueries(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	for what, one := range map[string]string{"cipher": "aes128-gcm@openssh.com", "mac": "hmac-sha2-256", "kex": "curve25519-sha256", "key": "ssh-ed25519",
		"protocol-version": "2", "HostKeyAlgorithms": "ssh-ed25519", "help": "cipher", "compression": "none"} {
		r := h.run(h.muxc("-Q", what), nil)
		if r.code != 0 || r.err != "" || !strings.Contains("\n"+r.out, "\n"+one+"\n") {
			t.Errorf("-Q %s: %+v", what, r)
		}
	}
	h.run(h.muxc("-Q", "nonsense"), nil).fails(t, `unsupported query "nonsense"`)
}

// -v tells the one request that asked for it, each keepalive too, and nobody
// else.
func TestVerbose(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	quiet := h.start(h.muxc("box", "echo up; exec cat"), blocked(t))
	quiet.says("up\n")
	p := h.start(h.muxc("-v", "-o", "ServerAliveInterval=1", "box", "echo up; exec cat"), blocked(t))
	p.says("up\n")
	h.eventually("a keepalive is told", func() bool {
		return strings.Contains(p.err.String(), "\ndebug1: sending keepalive@openssh.com after 1") && strings.Contains(p.err.String(), "\ndebug1: the server answered after ")
	})
	for _, line := range strings.Split(strings.TrimSuffix(p.err.String(), "\n"), "\n") {
		if !strings.HasPrefix(line, "debug1: ") {
			t.Errorf("line %q", line)
		}
	}
	if quiet.err.String() != "" {
		t.Errorf("another request was told %q", quiet.err.String())
	}
	r := h.run(h.muxc("-v", "-o", "Compression=yes", "-o", "GSSAPIAuthentication=yes", "box", "true"), nil)
	for _, part := range []string{"Compression: ", "GSSAPIAuthentication: "} {
		if strings.Count(r.err, part) != 1 {
			t.Errorf("%q is told %d times: %q", part, strings.Count(r.err, part), r.err)
		}
	}
	h.run(h.muxc("-C", "-o", "GSSAPIAuthentication=yes", "-o", "HostbasedAuthentication=yes", "-o", "Tunnel=no", "box", "true"), nil).is(t, "", "", 0)
}

// What the configuration has run is the client's own child: its directory, its
// environment, its stdin, for every command.
func TestLocalCommand(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	cfg := h.with("PermitLocalCommand yes\nLocalCommand read x; echo $x $MINE %n >>local; exit 9\n")
	h.setenv("MINE", "mine")
	for range 2 {
		h.run(h.command("muxc", "-F", cfg, "box", "cat"), strings.NewReader("one\ntwo\n")).is(t, "two\n", "", 0)
	}
	if got := read(t, filepath.Join(h.dir, "local")); got != "one mine box\none mine box\n" {
		t.Errorf("ran %q", got)
	}
	h.run(h.command("muxc", "-F", cfg, "-o", "PermitLocalCommand=no", "box", "cat"), strings.NewReader("x")).is(t, "x", "", 0)
	// ^C during a local command ends all of it.
	p := h.start(h.muxc("-o", "PermitLocalCommand=yes", "-o", "LocalCommand=echo up; exec sleep 1000", "box", "touch "+h.dir+"/ran"), nil)
	p.says("up\n")
	p.signal(syscall.SIGTERM)
	p.wait().is(t, "up\n", "", 143)
	if _, err := os.Stat(filepath.Join(h.dir, "ran")); err == nil {
		t.Error("the command ran all the same")
	}
}

// with is a configuration of these lines before the host's own.
func (h *host) with(lines string) string {
	h.t.Helper()
	return write(h.t, filepath.Join(h.dir, "with"), lines+read(h.t, h.cfg))
}

func TestMatchExec(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	cfg := h.with("Match exec \"test -e mark -a $MINE = yes && echo out && echo err >&2\"\n SetEnv MUXTEST_MATCH=matched\nMatch all\n")
	h.setenv("MINE", "yes")
	env := func(want, said string) {
		t.Helper()
		h.run(h.command("muxc", "-F", cfg, "box", "echo $MUXTEST_MATCH"), nil).is(t, want+"\n", said, 0)
	}
	env("", "")
	write(t, filepath.Join(h.dir, "mark"), "")
	env("matched", "err\n") // asked anew for every command; what it says on stderr is seen, as with ssh
	h.setenv("MINE", "no")
	env("", "")
	// One request asks once.
	count := filepath.Join(h.dir, "count")
	cfg = h.with("Match exec \"echo x >>" + count + "\"\n SetEnv MUXTEST_A=b\nMatch all\n")
	h.run(h.command("muxc", "-F", cfg, "-o", "ServerAliveInterval=5", "box", "true"), nil).is(t, "", "", 0)
	if got := read(t, count); got != "x\n" {
		t.Errorf("asked %q", got)
	}
}

// A live master of another kind on an explicit -S has the connection; muxc is
// ssh then. Nobody there, and the connection is muxd's.
func TestControlPathOfAnotherMaster(t *testing.T) {
	t.Parallel()
	sshtest.Require(t, "ssh")
	h := startHost(t)
	path := filepath.Join(h.dir, "master")
	// The master's outputs are its own: it holds those it is given until it ends.
	h.run(h.command("ssh", "-F", h.cfg, "-f", "-N", "-M", "-S", path, "box"), nil).is(t, "", "", 0)
	t.Cleanup(func() { exec.Command("ssh", "-F", "none", "-S", path, "-O", "exit", "box").Run() })
	via := func(args ...string) string {
		t.Helper()
		r := h.run(h.muxc(append(args, "box", "echo $SSH_CONNECTION; exit 3")...), nil)
		if r.code != 3 || r.err != "" {
			t.Fatalf("%q: %+v", args, r)
		}
		return r.out
	}
	master := via("-S", path)
	if h.sshd.Logins() != 1 {
		t.Errorf("%d logins, want the master's own", h.sshd.Logins())
	}
	if got := via("-o", "ControlPath="+path, "-o", "WaitForReady=5"); got != master {
		t.Errorf("via %q, want %q", got, master)
	}
	own := via()
	if own == master || via("-S", path+".nobody") != own || via("-o", "ControlMaster=auto", "-o", "ControlPath="+path+".nobody", "-o", "ControlPersist=60") != own {
		t.Error("a ControlPath where nobody listens changes the connection")
	}
	cfg := h.with("ControlPath " + path + "\n")
	if r := h.run(h.command("muxc", "-F", cfg, "box", "echo $SSH_CONNECTION"), nil); r.out != own {
		t.Errorf("a ControlPath of the configuration: %+v", r)
	}
	h.run(h.muxc("-S", path, "-O", "check", "box"), nil)
}

// -S none is a connection for this command alone, which ends with it.
func TestPrivateConnection(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	h.echo()
	for i, args := range [][]string{{"-S", "none"}, {"-o", "ControlPath=none"}, {"-o", "ControlPath none"}} {
		h.echo(args...)
		if n := h.sshd.Logins(); n != i+2 {
			t.Errorf("%q: %d logins, want %d", args, n, i+2)
		}
	}
	h.eventually("only the shared one stays", func() bool { return len(h.status().Hosts) == 1 })
	h.echo()
	if n := h.sshd.Logins(); n != 4 {
		t.Errorf("%d logins, want 4", n)
	}
}

// -G prints what ssh -G prints; where the two may differ is held by sshconf's
// own tests. Another HOME does not move ~/.ssh.
func TestPrintConfiguration(t *testing.T) {
	t.Parallel()
	sshtest.Require(t, "ssh")
	h := startHost(t)
	args := []string{"-G", "-F", h.cfg, "-p", "77", "-L", "8080:db:5432", "-A", "-vv", "-o", "SendEnv=A B", "someone@box", "ls", "-l"}
	theirs := h.run(h.command("ssh", args...), nil)
	ours := h.ok(h.command("muxc", args...))
	lines := func(s string) map[string]string {
		m := map[string]string{}
		for line := range strings.Lines(s) {
			k, v, _ := strings.Cut(strings.TrimRight(line, "\r\n"), " ")
			m[k] += v + "|"
		}
		return m
	}
	a, b := lines(theirs.out), lines(ours.out)
	for _, k := range []string{"host", "user", "hostname", "port", "identityfile", "localforward", "forwardagent", "loglevel", "sendenv", "userknownhostsfile",
		"identitiesonly", "stricthostkeychecking", "identityagent", "requesttty", "controlmaster", "globalknownhostsfile"} {
		if a[k] != b[k] {
			t.Errorf("%s: %q, ssh says %q", k, b[k], a[k])
		}
	}
	h.setenv("HOME", "/elsewhere")
	if r := h.ok(h.command("muxc", "-G", "box")); strings.Contains(r.out, "/elsewhere") {
		t.Errorf("%q", r.out)
	}
	if n := h.sshd.Logins(); n != 0 {
		t.Errorf("%d logins", n)
	}
}

// An ssh in PATH that is a script around muxc is found when a request is handed
// over, and hands it back: that must come to an end.
func TestHandingOverInACircle(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	path := filepath.Join(h.dir, "master")
	listen(t, path, func(c net.Conn) { c.Write([]byte("\x00\x00\x00\x08\x00\x00\x00\x01\x00\x00\x00\x04")) }) // MUX_MSG_HELLO
	dir := filepath.Join(h.dir, "bin")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, how := range []string{"exec ", ""} {
		script := write(t, filepath.Join(dir, "ssh"), "#!/bin/sh\n"+how+bin+"/muxc \"$@\"\n")
		if err := os.Chmod(script, 0o700); err != nil {
			t.Fatal(err)
		}
		h.setenv("PATH", dir+":"+bin+":/usr/bin:/bin")
		h.run(h.muxc("-S", path, "box", "true"), nil).fails(t, regexp.QuoteMeta(script)+" is no ssh to talk to it: it calls muxc")
	}
}

// listen answers whoever connects to a Unix socket, and closes the connection
// with the test.
func listen(t *testing.T, path string, f func(c net.Conn)) {
	t.Helper()
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	acceptAll(t, l, func(c net.Conn) {
		t.Cleanup(func() { c.Close() })
		f(c)
	})
}

// Something that listens on a ControlPath and says nothing is not waited for:
// ssh would do so for ever. One that goes at once is nobody.
func TestSilentControlPath(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	silent, ends := filepath.Join(h.dir, "silent"), filepath.Join(h.dir, "ends")
	listen(t, silent, func(net.Conn) {})
	listen(t, ends, func(c net.Conn) { c.Close() })
	h.run(h.muxc("-o", "ConnectTimeout=1", "-S", silent, "box", "true"), nil).fails(t, "box: ControlPath "+silent+": whoever listens there said nothing for 1s")
	p := h.start(h.muxc("-S", silent, "box", "true"), nil)
	h.eventually("muxd waits for it", func() bool { return h.status().Clients == 2 }) // and who asks
	p.signal(syscall.SIGINT)
	p.wait().is(t, "", "", 130)
	h.echo("-S", ends)
}

// What went to the background says which muxd it lost.
func TestBackgroundLosesMuxd(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	out := filepath.Join(h.dir, "out")
	h.run(h.sh("$muxc -f box 'echo began; while [ -e "+out+" ]; do sleep 0.1; done' >"+out+" 2>&1 <&0"), nil).is(t, "", "", 0)
	h.eventually("the command began", func() bool { b, _ := os.ReadFile(out); return len(b) > 0 })
	pid := h.pid()
	kill(t, pid, syscall.SIGKILL)
	want := fmt.Sprintf("began\nmuxc: box: muxd (pid %d) went away; the command may still be running\n", pid)
	h.eventually("it says so", func() bool { return read(t, out) == want })
}
