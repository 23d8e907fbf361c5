package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"

	"muxd/internal/sshtest"
)

// insideVar says that this process is the one in a network of its own.
const insideVar = "MUXD_BENCH_INSIDE"

// inside runs this program again in a network namespace of its own, where a
// path can fail as paths do: packets vanish, and nobody is told. Nothing of the
// machine's own network is touched. It reports whether this is that program
// already.
func inside() (already bool, err error) {
	if os.Getenv(insideVar) != "" {
		return true, nil
	}
	if os.Geteuid() != 0 {
		return false, errors.New("-outage needs root: it drops packets in a network namespace of its own")
	}
	exe, err := os.Executable()
	if err != nil {
		return false, err
	}
	cmd := exec.Command(exe, os.Args[1:]...)
	cmd.Env = append(os.Environ(), insideVar+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGTERM}
	return false, cmd.Run()
}

// farm is many hosts, which are one server in this process, behind a path that
// can be cut. Every host logs in as a user of its own name, which is how the
// server knows it, and why it is another host to both programs.
type farm struct {
	*lab
	server *sshtest.Server
	ln     net.Listener
	port   int
}

// kinds of hosts, by the first letter of their names. Five of each of the first
// five kinds meet the same outages; of the last two there are many.
const (
	waited   = "w" // a muxc comes during the outage
	pinned   = "i" // nobody comes; muxd has Pinned yes
	mastered = "s" // ssh -S comes during the outage, to a master
	restored = "a" // nobody comes; autossh holds a master
	plain    = "p" // ssh -S comes, to a master without ServerAliveInterval
	idling   = "c" // one of many, idle
	back     = "g" // one of many that come back, pinned
)

// farmConfig is what the kinds differ in: a verdict ten seconds after the last
// byte, the default of muxd written out, or none with ssh.
const farmConfig = `Host w* i* s* a* g*
  ServerAliveInterval 5
  ServerAliveCountMax 1
Host c*
  ServerAliveInterval 15
  ServerAliveCountMax 3
Host *
  HostName 127.0.0.1
  Port %d
  ConnectTimeout 10
  IdentityFile %s
  IdentitiesOnly yes
  IdentityAgent none
  UserKnownHostsFile %s
  GlobalKnownHostsFile none
  StrictHostKeyChecking yes
  KexAlgorithms curve25519-sha256
`

// newFarm is in the directory of a lab, and with its muxd.
func newFarm(of *lab, o options) (*farm, error) {
	l := &lab{dir: of.dir, conf: of.path("farm-config"), ssh: of.ssh, sshd: of.sshd}
	l.env = append(slices.Clone(of.env), "XDG_CONFIG_HOME="+l.path("xdg"), "AUTOSSH_GATETIME=0")
	f := &farm{lab: l}
	return f, f.plant(o)
}

// plant starts the server and writes what describes it.
func (f *farm) plant(o options) error {
	key := sshtest.NewKey()
	f.server = sshtest.NewServer(sshtest.Options{AuthorizedKeys: []ssh.PublicKey{key.PublicKey()}})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go f.accept(ln)
	f.ln, f.port = ln, ln.Addr().(*net.TCPAddr).Port
	var names []string
	for _, kind := range []string{waited, pinned, mastered, restored, plain} {
		names = append(names, numbered(kind, roundHosts)...)
	}
	names = append(names, numbered(idling, o.hosts)...)
	names = append(names, numbered(back, o.masters)...)
	var conf strings.Builder
	for _, name := range names {
		fmt.Fprintf(&conf, "Host %s\n  User %s\n", name, name)
	}
	fmt.Fprintf(&conf, farmConfig, f.port, f.path("farm-id"), f.path("farm-known"))
	known := fmt.Sprintf("[127.0.0.1]:%d %s", f.port, ssh.MarshalAuthorizedKey(f.server.HostKey()))
	return errors.Join(os.MkdirAll(f.path("xdg/muxd"), 0o700), writeKey(key, f.path("farm-id")),
		os.WriteFile(f.path("xdg/muxd/config"), []byte("Host i* g*\n  Pinned yes\n"), 0o600),
		os.WriteFile(f.path("farm-known"), []byte(known), 0o600),
		os.WriteFile(f.conf, []byte(conf.String()), 0o600))
}

// close ends the server; what the lab holds is the lab's.
func (f *farm) close() {
	if f.ln != nil {
		f.ln.Close()
		f.server.Close()
	}
}

func (f *farm) accept(ln net.Listener) {
	for {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		go f.server.Serve(conn)
	}
}

// numbered are n names of a kind.
func numbered(kind string, n int) []string {
	var names []string
	for i := range n {
		names = append(names, fmt.Sprintf("%s%03d", kind, i))
	}
	return names
}

// cut drops every packet between clients and server, both ways, and returns
// when it began.
func (f *farm) cut() (time.Time, error) {
	rules := fmt.Sprintf("table inet bench {\n chain in {\n type filter hook input priority 0;\n tcp dport %d drop\n tcp sport %d drop\n }\n}\n", f.port, f.port)
	cmd := exec.Command("nft", "-f", "-")
	cmd.Stdin = strings.NewReader(rules)
	if out, err := cmd.CombinedOutput(); err != nil {
		return time.Time{}, fmt.Errorf("nft: %w: %s", err, out)
	}
	return time.Now(), nil
}

// heal lets packets through again.
func (f *farm) heal() (time.Time, error) {
	if out, err := exec.Command("nft", "delete", "table", "inet", "bench").CombinedOutput(); err != nil {
		return time.Time{}, fmt.Errorf("nft: %w: %s", err, out)
	}
	return time.Now(), nil
}

// nothing is a command that does nothing, in the shell of the farm's server.
const nothing = "exit 0"

// loginAfter is when a user logged in for the first time after t, zero if not
// yet.
func loginAfter(events []sshtest.Event, user string, t time.Time) time.Time {
	for _, e := range events {
		if e.Name == user && e.At.After(t) {
			return e.At
		}
	}
	return time.Time{}
}
