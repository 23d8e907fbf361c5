package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"muxd/internal/sshtest"
)

// This program, started again, is the ProxyCommand of the tests here: it carries
// the bytes to an address, or passes the connection to it.
func init() {
	addr := os.Getenv("MUX_TEST_CARRY")
	if addr == "" {
		return
	}
	c, err := net.Dial("tcp", addr)
	if err != nil {
		fatal(err)
	}
	if os.Getenv("MUX_TEST_PASS") != "" {
		f, err := c.(*net.TCPConn).File()
		if err == nil {
			err = unix.Sendmsg(1, []byte{0}, unix.UnixRights(int(f.Fd())), nil, 0)
		}
		if err != nil {
			fatal(err)
		}
		os.Exit(0)
	}
	fmt.Fprintln(os.Stderr, "carrying")
	go io.Copy(c, os.Stdin)
	io.Copy(os.Stdout, c)
	os.Exit(0)
}

// proxyTo is the ProxyCommand to an address.
func proxyTo(addr string, more ...string) string {
	return fmt.Sprintf("env MUX_TEST_CARRY=%s %s %s", addr, strings.Join(more, " "), os.Args[0])
}

// startHosts makes a world of several sshds under one configuration.
func startHosts(t *testing.T, names ...string) (h *host, servers map[string]*sshtest.SSHD) {
	t.Helper()
	h = newHost(t)
	h.cfg = filepath.Join(h.dir, "ssh_config")
	servers = map[string]*sshtest.SSHD{}
	for _, name := range names {
		servers[name] = sshtest.StartSSHD(t, "AcceptEnv MUXTEST_*")
	}
	return h, servers
}

// configureAll writes the configuration: for each host its own lines, which win.
func (h *host) configureAll(servers map[string]*sshtest.SSHD, lines map[string]string) {
	h.t.Helper()
	text := ""
	for name, s := range servers {
		text += "Host " + name + "\n" + lines[name] + "\n" + strings.TrimPrefix(read(h.t, s.ClientConfig(h.t, name)), "Host "+name)
	}
	if err := os.WriteFile(h.cfg, []byte(text), 0o600); err != nil {
		h.t.Fatal(err)
	}
}

// worksOn is echo for a host of that name.
func (h *host) worksOn(name string, args ...string) {
	h.t.Helper()
	h.run(h.muxc(append(args, name, "echo works")...), nil).is(h.t, "works\n", "", 0)
}

func TestThroughABastion(t *testing.T) {
	t.Parallel()
	h, s := startHosts(t, "bastion", "a", "b")
	h.configureAll(s, map[string]string{"a": "ProxyJump bastion", "b": "ProxyJump bastion", "bastion": "ProxyJump none"})
	all := func() {
		t.Helper()
		var wg sync.WaitGroup
		for _, name := range []string{"a", "b", "bastion", "a", "b"} {
			p := h.start(h.muxc(name, "echo works"), nil)
			wg.Go(func() { <-p.done })
			defer func() { p.wait().is(t, "works\n", "", 0) }()
		}
		wg.Wait()
	}
	all()
	all()
	if a, b, bastion := s["a"].Logins(), s["b"].Logins(), s["bastion"].Logins(); a != 1 || b != 1 || bastion != 1 {
		t.Errorf("%d logins at a, %d at b, %d at the bastion", a, b, bastion)
	}
	s["bastion"].Kill()
	h.run(h.muxc("a", "true"), nil).fails(t, `a: jump host bastion: .*connection refused`)
	s["bastion"].Restart(t)
	all()
	if a, b, bastion := s["a"].Logins(), s["b"].Logins(), s["bastion"].Logins(); a != 2 || b != 2 || bastion != 2 {
		t.Errorf("after the bastion came back: %d logins at a, %d at b, %d at the bastion", a, b, bastion)
	}
}

// A bastion may itself be behind a ProxyCommand, whose words reach the person
// who caused the dial and nobody later.
func TestBastionBehindAProxyCommand(t *testing.T) {
	t.Parallel()
	h, s := startHosts(t, "bastion", "a")
	h.configureAll(s, map[string]string{"a": "ProxyJump bastion", "bastion": "ProxyCommand " + proxyTo("%h:%p")})
	h.run(h.muxc("a", "echo works"), nil).is(t, "works\n", "carrying\n", 0)
	h.worksOn("a")
	h.worksOn("bastion")
	if a, bastion := s["a"].Logins(), s["bastion"].Logins(); a != 1 || bastion != 1 {
		t.Errorf("%d logins at a, %d at the bastion", a, bastion)
	}
}

func TestProxyUseFdpass(t *testing.T) {
	t.Parallel()
	h, s := startHosts(t, "a")
	h.configureAll(s, map[string]string{"a": "ProxyUseFdpass yes\nProxyCommand " + proxyTo("%h:%p", "MUX_TEST_PASS=1")})
	for range 3 {
		h.worksOn("a")
	}
	if n := s["a"].Logins(); n != 1 {
		t.Errorf("%d logins", n)
	}
	h.run(h.muxc("-oProxyCommand="+proxyTo("127.0.0.1:1", "MUX_TEST_PASS=1"), "a", "true"), nil).
		failsAfter(t, `dial tcp 127\.0\.0\.1:1: connect: connection refused\n`, `a: ProxyCommand: exit status 1`)
}

// failsAfter is fails for a process that said something else before.
func (r result) failsAfter(t testing.TB, first, pattern string) {
	t.Helper()
	rest := regexp.MustCompile(`\A`+first).ReplaceAllString(r.err, "")
	if rest == r.err {
		t.Errorf("stderr %.1000q does not begin with %q", r.err, first)
	}
	r.err = rest
	r.fails(t, pattern)
}

// The server sees where a connection comes from.
func TestBindAddress(t *testing.T) {
	t.Parallel()
	h, s := startHosts(t, "a")
	h.configureAll(s, nil)
	log := func() string { return s["a"].Log() }
	h.worksOn("a", "-b", "127.0.0.2")
	h.worksOn("a", "-oBindAddress=127.0.0.3", "-oBindInterface=nosuch0") // the address wins
	h.worksOn("a", "-B", "lo")
	for _, from := range []string{"127.0.0.2", "127.0.0.3", "127.0.0.1"} {
		if !strings.Contains(log(), "Connection from "+from+" port") {
			t.Errorf("no connection from %s:\n%s", from, tail(log()))
		}
	}
	h.run(h.muxc("-b", "192.0.2.77", "a", "true"), nil).fails(t, `connect to 127\.0\.0\.1:\d+: bind 192\.0\.2\.77: cannot assign requested address`)
	h.run(h.muxc("-b", "::1", "a", "true"), nil).fails(t, `connect to 127\.0\.0\.1:\d+: bind address ::1: no address of this family`)
	h.run(h.muxc("-B", "nosuch0", "a", "true"), nil).fails(t, `bind interface nosuch0: no such network interface`)
}

// A name of two addresses with a server on one of them, and addresses as only
// the C library writes them.
func TestWaysToSayLocalhost(t *testing.T) {
	t.Parallel()
	h, s := startHosts(t, "a")
	h.configureAll(s, map[string]string{"a": fmt.Sprintf("HostKeyAlias [127.0.0.1]:%d", s["a"].Port)})
	for _, name := range []string{"localhost", "127.1", "0x7f000001"} {
		h.worksOn("a", "-oHostName="+name)
	}
	h.run(h.muxc("-6", "-oHostName=127.0.0.1", "a", "true"), nil).fails(t, `could not resolve hostname 127\.0\.0\.1: no address of the family in AddressFamily`)
	h.run(h.muxc("-p1", "-oHostName=localhost", "a", "true"), nil).fails(t, `a: connect to localhost:1: [^\n]*127\.0\.0\.1: connection refused`)
}

// What a configuration computes from a hostile name is refused before a
// ProxyCommand could run it.
func TestHostileNamesRunNothing(t *testing.T) {
	t.Parallel()
	h, s := startHosts(t, "a")
	mark := filepath.Join(h.dir, "mark")
	h.configureAll(s, map[string]string{"a": "ProxyCommand true %h %r; touch " + mark})
	for _, o := range []string{"HostName=x;id", "HostName=-oProxyCommand=id", "HostName=`id`", "User=$(id)", "User=a;id", "ProxyJump=a;id"} {
		h.run(h.muxc("-o"+o, "a", "true"), nil).fails(t, "")
	}
	if _, err := os.Stat(mark); err == nil {
		t.Error("a command ran")
	}
}

// A ProxyCommand begins with the signals that end it as they are for everybody:
// SIGHUP is how it is told that its connection was closed.
func TestSignalsOfProxyCommand(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	out := filepath.Join(h.dir, "ignored")
	h.run(h.muxc("-o", "ProxyCommand=grep SigIgn /proc/self/status >"+out, "box", "true"), nil)
	var ignored uint64
	if _, err := fmt.Sscanf(read(t, out), "SigIgn: %x", &ignored); err != nil {
		t.Fatal(err)
	}
	for _, s := range []syscall.Signal{syscall.SIGHUP, syscall.SIGPIPE, syscall.SIGTERM} {
		if ignored&(1<<(s-1)) != 0 {
			t.Errorf("%v is ignored", s)
		}
	}
}
