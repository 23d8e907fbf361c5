package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
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

// farm is many hosts, each a port of one server in this process, behind a path
// that can be cut. Every host logs in as a user of its own name, which is how
// the server knows it.
type farm struct {
	*lab
	server *sshtest.Server
	names  []string
}

const firstPort = 10000

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
  ConnectTimeout 10
  IdentityFile %s
  IdentitiesOnly yes
  IdentityAgent none
  UserKnownHostsFile %s
  GlobalKnownHostsFile none
  StrictHostKeyChecking yes
  KexAlgorithms curve25519-sha256
`

func newFarm(o options) (*farm, error) {
	if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("ip link set lo up: %w: %s", err, out)
	}
	l, err := bareLab()
	if err != nil {
		return nil, err
	}
	f := &farm{lab: l}
	l.sshd = &sshd{shell: "in this process"}
	l.env = append(l.env, "XDG_CONFIG_HOME="+l.path("xdg"), "AUTOSSH_GATETIME=0")
	if err := errors.Join(l.build(), f.plant(o)); err != nil {
		l.close()
		return nil, err
	}
	return f, nil
}

// plant starts the server and writes what describes it.
func (f *farm) plant(o options) error {
	key := sshtest.NewKey()
	f.server = sshtest.NewServer(sshtest.Options{AuthorizedKeys: []ssh.PublicKey{key.PublicKey()}})
	for _, kind := range []string{waited, pinned, mastered, restored, plain} {
		f.names = append(f.names, numbered(kind, roundHosts)...)
	}
	f.names = append(f.names, numbered(idling, o.hosts)...)
	f.names = append(f.names, numbered(back, o.hosts)...)
	var conf, known strings.Builder
	for i, name := range f.names {
		port := firstPort + i
		ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			return err
		}
		go f.accept(ln)
		fmt.Fprintf(&conf, "Host %s\n  Port %d\n  User %s\n", name, port, name)
		fmt.Fprintf(&known, "[127.0.0.1]:%d %s", port, ssh.MarshalAuthorizedKey(f.server.HostKey()))
	}
	fmt.Fprintf(&conf, farmConfig, f.path("id"), f.path("known_hosts"))
	return errors.Join(os.MkdirAll(f.path("xdg/muxd"), 0o700), writeKey(key, f.path("id")),
		os.WriteFile(f.path("xdg/muxd/config"), []byte("Host i* g*\n  Pinned yes\n"), 0o600),
		os.WriteFile(f.path("known_hosts"), []byte(known.String()), 0o600),
		os.WriteFile(f.path("config"), []byte(conf.String()), 0o600))
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
	rules := fmt.Sprintf("table inet bench {\n chain in {\n type filter hook input priority 0;\n tcp dport %d-%d drop\n tcp sport %d-%d drop\n }\n}\n",
		firstPort, firstPort+len(f.names), firstPort, firstPort+len(f.names))
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

// started is a program with its output thrown away, or given to out.
func started(p program, out io.Writer) (*exec.Cmd, error) {
	cmd := exec.Command(p.path)
	cmd.Args, cmd.Env, cmd.Stdout = p.argv, p.env, out
	return cmd, cmd.Start()
}
