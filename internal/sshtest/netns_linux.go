package sshtest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The addresses of the two ends. Every Netns has the same: its namespaces are
// its own, and nothing of them shows in the machine's.
const (
	ClientIP = "10.99.0.1"
	ServerIP = "10.99.0.2"
)

// Netns is two network namespaces, a client's and a server's, joined by a veth
// link that can be broken. They have no names: they live by descriptors of
// this process and by the processes in them, so that nothing is left behind
// however the test ends.
type Netns struct {
	t              testing.TB
	client, server *os.File
}

// probeNetns says why NewNetns cannot work here.
func probeNetns() error {
	if os.Getuid() != 0 {
		return errors.New("not root")
	}
	for _, program := range []string{"ip", "nft", "nsenter"} {
		if _, err := exec.LookPath(program); err != nil {
			return err
		}
	}
	ns, err := newNamespace()
	if err != nil {
		return err
	}
	defer ns.Close()
	return command(ns, "nft", "list", "ruleset").Run()
}

// NewNetns makes the namespaces and the link; the test is skipped, or fails,
// as Require("netns") says.
func NewNetns(t testing.TB) *Netns {
	t.Helper()
	Require(t, "netns")
	n := &Netns{t: t}
	var err1, err2 error
	n.client, err1 = newNamespace()
	n.server, err2 = newNamespace()
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.close)
	n.run(n.client, "ip", "link", "add", "veth", "type", "veth", "peer", "name", "veth", "netns", path(n.server))
	for _, end := range []struct {
		ns      *os.File
		address string
	}{{n.client, ClientIP}, {n.server, ServerIP}} {
		n.run(end.ns, "ip", "addr", "add", end.address+"/24", "dev", "veth")
		n.run(end.ns, "ip", "link", "set", "lo", "up")
		n.run(end.ns, "ip", "link", "set", "veth", "up")
	}
	n.awaitLink()
	return n
}

// awaitLink waits until both ends carry packets: the kernel sees to that in its
// own time, on a busy machine a second later, and drops what comes before. A
// SYN that is lost so is repeated after a second.
func (n *Netns) awaitLink() {
	n.t.Helper()
	for _, ns := range []*os.File{n.client, n.server} {
		for end := time.Now().Add(startLimit); ; time.Sleep(5 * time.Millisecond) {
			out, err := command(ns, "ip", "-o", "link", "show", "veth").Output()
			if err == nil && strings.Contains(string(out), " state UP ") {
				break
			}
			if time.Now().After(end) {
				n.t.Fatalf("the link is not up after %v: %s, %v", startLimit, out, err)
			}
		}
	}
}

// newNamespace makes a namespace on a thread of its own. The thread is never
// unlocked and so ends with its goroutine: no other may run where it has been.
func newNamespace() (*os.File, error) {
	var f *os.File
	err := onThread(func() error {
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err != nil {
			return fmt.Errorf("make network namespace: %w", err)
		}
		f, err = os.Open("/proc/thread-self/ns/net")
		return err
	})
	return f, err
}

// onThread runs f on a thread that ends afterwards.
func onThread(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		done <- f()
	}()
	return <-done
}

// path names a namespace for other processes, as long as this one lives.
func path(ns *os.File) string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), ns.Fd()) }

func enter(ns *os.File) []string { return []string{"nsenter", "--net=" + path(ns), "--"} }

func command(ns *os.File, args ...string) *exec.Cmd {
	argv := append(enter(ns), args...)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = Env("/")
	return cmd
}

func (n *Netns) run(ns *os.File, args ...string) {
	n.t.Helper()
	if out, err := command(ns, args...).CombinedOutput(); err != nil {
		n.t.Fatalf("%s: %v: %s", strings.Join(args, " "), err, out)
	}
}

// Exec returns a command that will run in the client's namespace, with the
// environment of Env("/"). It must be started before the test ends.
func (n *Netns) Exec(args ...string) *exec.Cmd { return command(n.client, args...) }

// ExecServer is Exec in the server's namespace.
func (n *Netns) ExecServer(args ...string) *exec.Cmd { return command(n.server, args...) }

// Dial connects from the client's namespace, for use by this process. The
// address must be a literal: a look-up would use the machine's resolver.
func (n *Netns) Dial(ctx context.Context, network, address string) (conn net.Conn, err error) {
	err = onThread(func() error {
		if err := unix.Setns(int(n.client.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter network namespace: %w", err)
		}
		// One literal address: the socket is made on this goroutine.
		conn, err = (&net.Dialer{}).DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

// StartSSHD is the function of that name with sshd in the server's namespace,
// on ServerIP and port 22.
func (n *Netns) StartSSHD(t testing.TB, lines ...string) *SSHD {
	t.Helper()
	Require(t, "sshd")
	s := newSSHD(t, ServerIP)
	s.wrap, s.dial = enter(n.server), n.Dial
	s.prepare(t, 22, lines)
	if err := s.start(); err != nil {
		t.Fatal(err)
	}
	return s
}

// Blackhole drops everything in both directions, silently.
func (n *Netns) Blackhole() {
	n.filter("chain in { type filter hook input priority 0; policy drop; }",
		"chain out { type filter hook output priority 0; policy drop; }")
}

// OneWay drops what goes in one direction, Up being from the client to the
// server, and lets the other through.
func (n *Netns) OneWay(dropped Direction) {
	if dropped == Both {
		n.Blackhole()
		return
	}
	hook := map[Direction]string{Up: "input", Down: "output"}[dropped]
	n.filter("chain one { type filter hook " + hook + " priority 0; policy drop; }")
}

// Reset answers every TCP packet of the client with a reset; the server's
// side hears nothing and keeps what it believes. A connection on which the
// client sends nothing stays.
func (n *Netns) Reset() {
	n.filter("chain rst { type filter hook input priority 0; meta l4proto tcp reject with tcp reset; }")
}

// Heal ends Blackhole, OneWay and Reset.
func (n *Netns) Heal() { n.filter() }

// filter replaces the server's rules in one transaction. Adding the table
// first makes deleting it no error where there is none.
func (n *Netns) filter(chains ...string) {
	n.t.Helper()
	// nft wants a semicolon behind every closing brace.
	rules := "add table inet fault; delete table inet fault;"
	if len(chains) > 0 {
		rules += " table inet fault { " + strings.Join(chains, "; ") + "; };"
	}
	n.run(n.server, "nft", rules)
}

// close kills what still runs in the namespaces; they end with it.
func (n *Netns) close() {
	for _, ns := range []*os.File{n.client, n.server} {
		for pids := inside(ns); len(pids) > 0; pids = inside(ns) {
			for _, pid := range pids {
				syscall.Kill(pid, syscall.SIGKILL)
			}
			time.Sleep(time.Millisecond) // between two looks at the process table
		}
		ns.Close()
	}
}

// inside returns the processes in a namespace. This one is never inside: only
// threads of it go there, and end.
func inside(ns *os.File) []int {
	all, _ := processes()
	var want, got unix.Stat_t
	if unix.Fstat(int(ns.Fd()), &want) != nil {
		return nil
	}
	var pids []int
	for _, p := range all {
		err := unix.Stat(fmt.Sprintf("/proc/%d/ns/net", p.pid), &got)
		if err == nil && got.Ino == want.Ino && got.Dev == want.Dev && p.pid != os.Getpid() {
			pids = append(pids, p.pid)
		}
	}
	return pids
}
