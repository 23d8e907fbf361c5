package main

import (
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"

	"muxd/internal/sshtest"
)

// aliases is how many hosts the memory of many is measured with.
const aliases = 20

// lab is a directory with both programs, an sshd, and what a user of it would
// have in ~/.ssh.
type lab struct {
	dir    string
	conf   string // the ssh_config of both programs
	ssh    string // path of OpenSSH's client
	env    []string
	commit string // what both programs of ours were built from
	sshd   *sshd
	delays []*delayProxy
	// gone is set when a run is given up: what fails from then on says nothing.
	gone atomic.Bool
}

func newLab() (*lab, error) {
	l, err := bareLab()
	if err != nil {
		return nil, err
	}
	if err := l.prepare(); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

// bareLab is a lab in which nothing is yet.
func bareLab() (*lab, error) {
	client, err := exec.LookPath("ssh")
	if err != nil {
		return nil, fmt.Errorf("no ssh to compare with: install openssh-client (%w)", err)
	}
	dir, err := os.MkdirTemp("", "muxd-bench-")
	if err != nil {
		return nil, err
	}
	l := &lab{dir: dir, conf: filepath.Join(dir, "config"), ssh: client}
	l.env = append(os.Environ(), "MUXD_SOCKET="+l.path("ctl"), "XDG_STATE_HOME="+l.path("state"))
	return l, nil
}

func (l *lab) path(name string) string { return filepath.Join(l.dir, name) }

// build makes the two programs as they are released.
func (l *lab) build() error {
	built := l.path("built")
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", built+"/", "muxd/cmd/muxc", "muxd/cmd/muxd")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	l.commit = commit()
	// Installed as every program is: the page cache holds a file that was written
	// from its beginning to its end in larger pieces than what the linker left,
	// which costs each start of muxc 3 % more.
	for _, name := range []string{"muxc", "muxd"} {
		if out, err := exec.Command("cp", filepath.Join(built, name), l.path(name)).CombinedOutput(); err != nil {
			return fmt.Errorf("cp: %w\n%s", err, out)
		}
	}
	return nil
}

func (l *lab) prepare() error {
	if err := l.build(); err != nil {
		return err
	}
	key := sshtest.NewKey()
	var err error
	if l.sshd, err = startSSHD(l.dir, key.PublicKey()); err != nil {
		return err
	}
	for _, rtt := range distances {
		p, err := startDelay(l.sshd.addr(), rtt)
		if err != nil {
			return err
		}
		l.delays = append(l.delays, p)
	}
	known := "lab " + string(ssh.MarshalAuthorizedKey(l.sshd.hostKey))
	for i := range aliases {
		known += alias(i) + " " + string(ssh.MarshalAuthorizedKey(l.sshd.hostKey))
	}
	if err := errors.Join(writeKey(key, l.path("id")),
		os.WriteFile(l.path("known_hosts"), []byte(known), 0o600),
		os.WriteFile(l.conf, []byte(l.config()), 0o600)); err != nil {
		return err
	}
	out, err := output(l.freshSSH("lab", "echo $0"))
	l.sshd.shell = strings.TrimSpace(out)
	return err
}

// alias is the name of one of many hosts, which differ in the host key that
// they must show: to both programs they are different hosts.
func alias(i int) string { return fmt.Sprintf("h%02d", i+1) }

// Hosts of the one sshd besides "lab", by what is said of them.
const (
	// gcm and chacha are those whose connections use one cipher, whatever the
	// client prefers.
	gcm    = "lab-gcm"
	chacha = "lab-chacha"
	// x25519 is the one whose connections use one key exchange. OpenSSH before 9.9
	// prefers sntrup761, which muxd has not: it takes more of a login's time than
	// all the rest.
	x25519 = "lab-x25519"
	// many is the one that allows more sessions on a connection than anybody asks
	// for. Elsewhere the server allows ten, as OpenSSH does by itself.
	many = "lab-many"
)

// distances are the round trips that hosts named by them are away.
var distances = []time.Duration{10 * time.Millisecond, 50 * time.Millisecond, 150 * time.Millisecond}

// away is the host at such a distance. It has the key exchange that both have,
// since the subject is the way and not the arithmetic.
func away(rtt time.Duration) string { return "lab-" + rtt.String() }

func (l *lab) config() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Host %s\n  Ciphers aes128-gcm@openssh.com\n", gcm)
	fmt.Fprintf(&b, "Host %s\n  Ciphers chacha20-poly1305@openssh.com\n", chacha)
	fmt.Fprintf(&b, "Host %s\n  Port %d\n", many, l.sshd.roomy)
	for i, rtt := range distances {
		fmt.Fprintf(&b, "Host %s\n  Port %d\n", away(rtt), l.delays[i].port())
	}
	fmt.Fprintf(&b, "Host %s lab-*ms\n  KexAlgorithms curve25519-sha256\n", x25519)
	for i := range aliases {
		fmt.Fprintf(&b, "Host %s\n  HostKeyAlias %s\n", alias(i), alias(i))
	}
	fmt.Fprintf(&b, "Host *\n  HostName 127.0.0.1\n  Port %d\n  User %s\n  HostKeyAlias lab\n  IdentityFile %s\n  IdentitiesOnly yes\n"+
		"  IdentityAgent none\n  UserKnownHostsFile %s\n  GlobalKnownHostsFile none\n  StrictHostKeyChecking yes\n",
		l.sshd.port, l.sshd.user, l.path("id"), l.path("known_hosts"))
	return b.String()
}

// closeOnSignal leaves nothing behind when a run is given up: a master and a
// muxd are in sessions of their own, where ^C does not reach them.
func (l *lab) closeOnSignal() {
	ch := make(chan os.Signal, 1)
	signal.Notify(ch, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-ch
		l.gone.Store(true)
		l.close()
		os.Exit(exitGivenUp)
	}()
}

// exitGivenUp is what a shell reports of a command that ^C ended.
const exitGivenUp = 130

// close ends everything that was started and removes the rest.
func (l *lab) close() {
	l.endAll()
	for _, p := range l.delays {
		p.close()
	}
	if l.sshd != nil && l.sshd.cmd != nil {
		l.sshd.stop()
	}
	os.RemoveAll(l.dir)
}

// endAll ends muxd and every master, by force those that do not obey.
func (l *lab) endAll() {
	if _, err := os.Stat(l.path("ctl")); err == nil {
		pid, _ := l.muxdPID()
		if err := l.stopMuxd(); err != nil && pid != 0 {
			syscall.Kill(pid, syscall.SIGKILL)
		}
		awaitEnd(pid) // it writes what it learned to the last
	}
	for _, ctl := range l.controlPaths() {
		pid := l.masterAt(ctl)
		if _, err := output(l.program(l.ssh, "-F", "none", "-S", ctl, "-O", "exit", "lab")); err != nil && pid != 0 {
			syscall.Kill(pid, syscall.SIGKILL)
		}
		os.Remove(ctl)
	}
}

// awaitEnd waits a while for a process to be gone, our child or not.
func awaitEnd(pid int) {
	for end := time.Now().Add(5 * time.Second); pid > 0 && time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		syscall.Wait4(pid, nil, syscall.WNOHANG, nil)
		if syscall.Kill(pid, 0) == syscall.ESRCH {
			return
		}
	}
}

func (l *lab) program(path string, args ...string) program {
	return program{path, append([]string{filepath.Base(path)}, args...), l.env}
}

// muxc is our client with a command for a host.
func (l *lab) muxc(host string, command ...string) program {
	return l.program(l.path("muxc"), append([]string{"-F", l.conf, host}, command...)...)
}

// freshSSH is ssh on a connection of its own.
func (l *lab) freshSSH(host string, command ...string) program {
	return l.program(l.ssh, append([]string{"-F", l.conf, "-S", "none", host}, command...)...)
}

// muxSSH is ssh through the master of that host.
func (l *lab) muxSSH(host string, command ...string) program {
	return l.program(l.ssh, append([]string{"-F", l.conf, "-S", l.controlPath(host), host}, command...)...)
}

// autoSSH is ssh that starts the master if there is none, as a configuration
// with ControlMaster auto does.
func (l *lab) autoSSH(host string, command ...string) program {
	args := []string{"-F", l.conf, "-S", l.controlPath(host), "-o", "ControlMaster=auto", "-o", "ControlPersist=600", host}
	return l.program(l.ssh, append(args, command...)...)
}

func (l *lab) controlPath(host string) string { return l.path("cm-" + host) }

// controlPaths are the sockets of the masters that run.
func (l *lab) controlPaths() []string {
	paths, _ := filepath.Glob(l.path("cm-*"))
	return paths
}

// startMaster makes ssh's connection to the host and returns the master's pid.
func (l *lab) startMaster(host string) (int, error) {
	if err := l.discard(l.autoSSH(host, "true")); err != nil {
		return 0, err
	}
	pid := l.masterAt(l.controlPath(host))
	if pid == 0 {
		return 0, fmt.Errorf("no master at %s", l.controlPath(host))
	}
	return pid, nil
}

// masterAt is the process that serves a control path, 0 for none.
func (l *lab) masterAt(ctl string) int {
	out, _ := output(l.program(l.ssh, "-F", "none", "-S", ctl, "-O", "check", "lab"))
	_, after, _ := strings.Cut(out, "pid=")
	pid, _ := strconv.Atoi(strings.TrimRight(after, ")\r\n"))
	return pid
}

func (l *lab) stopMaster(host string) error {
	_, err := output(l.program(l.ssh, "-F", l.conf, "-S", l.controlPath(host), "-O", "exit", host))
	return err
}

// discard runs a program whose descendants may keep its stderr, as a master
// does: so it gets /dev/null.
func (l *lab) discard(p program) error {
	cmd := exec.Command(p.path)
	cmd.Args, cmd.Env = p.argv, p.env
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", p, err)
	}
	return nil
}

func (l *lab) stopMuxd() error {
	_, err := output(l.program(l.path("muxd"), "stop", "--force"))
	return err
}

// muxdPID is the process of the muxd that runs.
func (l *lab) muxdPID() (int, error) {
	out, err := output(l.program(l.path("muxd"), "status", "--json"))
	if err != nil {
		return 0, err
	}
	var st struct{ PID int }
	if err := json.Unmarshal([]byte(out), &st); err != nil || st.PID == 0 {
		return 0, fmt.Errorf("no pid in muxd status --json: %w", err)
	}
	return st.PID, nil
}

// writeKey writes a private key as ssh-keygen does.
func writeKey(k *sshtest.Key, path string) error {
	block, err := ssh.MarshalPrivateKey(k.Private, "bench")
	if err != nil {
		return err
	}
	return os.WriteFile(path, pem.EncodeToMemory(block), 0o600)
}
