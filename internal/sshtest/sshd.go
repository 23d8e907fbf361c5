package sshtest

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// SSHD is a real sshd of this machine, for this user, on a port of its own. It
// and every process below it end with the test.
type SSHD struct {
	Addr           string // host:port
	Host           string
	Port           int
	User           string        // the user that the test runs as
	ClientKey      string        // path of the private key that may log in
	Key            *Key          // the same key
	HostKey        ssh.PublicKey // of type ssh-ed25519
	KnownHostsLine string        // without newline
	KnownHosts     string        // path of a file with that line

	dir, config, log string
	wrap             []string // what runs sshd: nothing, or nsenter and its arguments
	dial             func(ctx context.Context, network, address string) (net.Conn, error)

	mu       sync.Mutex
	listener *exec.Cmd       // guarded by mu; nil when stopped
	ended    <-chan struct{} // guarded by mu; closed when listener has ended
	known    map[int]process // guarded by mu; everything ever seen below a listener
}

// startLimit is how long sshd may take to listen: a thousand times what it
// takes, for a machine that is busy with other tests.
const startLimit = 20 * time.Second

// startAttempts bounds the tries when another process takes the port first.
const startAttempts = 5

// StartSSHD starts sshd with the lines of sshd_config ahead of the fixture's
// own, so that they win; Match is not among them. It needs no root: an
// ordinary user's sshd serves that user. The test is skipped, or fails, as
// Require says.
func StartSSHD(t testing.TB, lines ...string) *SSHD {
	t.Helper()
	Require(t, "sshd")
	s := newSSHD(t, "127.0.0.1")
	for range startAttempts {
		s.prepare(t, FreePort(t), lines)
		err := s.start()
		if err == nil {
			return s
		}
		if !strings.Contains(err.Error(), "ddress already in use") {
			t.Fatal(err)
		}
	}
	t.Fatalf("no port for sshd after %d attempts", startAttempts)
	return nil
}

func newSSHD(t testing.TB, host string) *SSHD {
	t.Helper()
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	s := &SSHD{
		Host: host, User: me.Username, Key: NewKey(), dir: dir,
		config: filepath.Join(dir, "sshd_config"), log: filepath.Join(dir, "log"),
		dial: (&net.Dialer{}).DialContext, known: make(map[int]process),
	}
	hostKey := NewKey()
	s.HostKey = hostKey.PublicKey()
	hostKey.WriteFile(t, dir, "host_key", "")
	s.ClientKey = s.Key.WriteFile(t, dir, "client_key", "")
	s.KnownHosts = filepath.Join(dir, "known_hosts")
	writeFile(t, filepath.Join(dir, "authorized_keys"), s.Key.Line())
	t.Cleanup(s.end)
	return s
}

// prepare settles the port and writes what depends on it.
func (s *SSHD) prepare(t testing.TB, port int, lines []string) {
	t.Helper()
	s.Port, s.Addr = port, net.JoinHostPort(s.Host, strconv.Itoa(port))
	name := s.Host
	if port != 22 {
		name = fmt.Sprintf("[%s]:%d", s.Host, port)
	}
	s.KnownHostsLine = name + " " + strings.TrimSpace(string(ssh.MarshalAuthorizedKey(s.HostKey)))
	writeFile(t, s.KnownHosts, s.KnownHostsLine+"\n")
	writeFile(t, s.config, s.configText(lines))
}

// start runs the listener and returns when it listens. A missing directory for
// privilege separation, which packages make at boot and containers do not, is
// made.
func (s *SSHD) start() error {
	err := s.startOnce()
	if err == nil {
		return nil
	}
	m := regexp.MustCompile(`Missing privilege separation directory: (/\S+)`).FindStringSubmatch(err.Error())
	if m == nil || os.Getuid() != 0 {
		return err
	}
	if err := os.MkdirAll(m[1], 0o755); err != nil {
		return err
	}
	return s.startOnce()
}

func (s *SSHD) startOnce() error {
	path, err := sshdPath()
	if err != nil {
		return err
	}
	from := len(s.Log())
	argv := append(slices.Clone(s.wrap), path, "-D", "-f", s.config, "-E", s.log)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env, cmd.Dir = Env(s.dir), "/"
	out := filepath.Join(s.dir, "output") // what sshd says before it opens its log
	f, err := os.Create(out)
	if err != nil {
		return err
	}
	defer f.Close()
	cmd.Stdout, cmd.Stderr = f, f
	ended, err := startBound(cmd)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.listener, s.ended = cmd, ended
	s.mu.Unlock()
	return s.awaitListening(from, out, ended)
}

// awaitListening looks at the log rather than at the port: a connection would
// count as a client.
func (s *SSHD) awaitListening(from int, out string, ended <-chan struct{}) error {
	limit := time.NewTimer(startLimit)
	defer limit.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if strings.Contains(s.Log()[from:], "Server listening on") {
			return nil
		}
		select {
		case <-tick.C:
		case <-ended:
			said, _ := os.ReadFile(out)
			return fmt.Errorf("sshd ended at once: %s%s", said, s.Log()[from:])
		case <-limit.C:
			return fmt.Errorf("sshd does not listen after %v: %s", startLimit, s.Log()[from:])
		}
	}
}

// Log returns what sshd has logged so far, across restarts.
func (s *SSHD) Log() string {
	text, _ := os.ReadFile(s.log) // not yet there: nothing logged
	return string(text)
}

// accepted matches the line of a login and not the VERBOSE one of a key.
var accepted = regexp.MustCompile(`(?m)^Accepted \S+ for `)

// Logins returns how many logins sshd has accepted, across restarts.
func (s *SSHD) Logins() int { return len(accepted.FindAllString(s.Log(), -1)) }

// Stop ends the listener, as a restart of the service does: established
// connections live on.
func (s *SSHD) Stop() { s.endListener(syscall.SIGTERM) }

// Kill ends the listener and every connection at once. Commands without a
// terminal live on, as they do when sshd is killed.
func (s *SSHD) Kill() {
	s.endListener(syscall.SIGKILL)
	s.KillSessions()
}

// Restart starts the listener again, on the same port with the same keys and
// the configuration as it now is, after Stop if need be.
func (s *SSHD) Restart(t testing.TB) {
	t.Helper()
	s.Stop()
	if err := s.start(); err != nil {
		t.Fatal(err)
	}
}

func (s *SSHD) endListener(sig syscall.Signal) {
	s.remember()
	s.mu.Lock()
	cmd, ended := s.listener, s.ended
	s.listener = nil
	s.mu.Unlock()
	if cmd == nil {
		return
	}
	cmd.Process.Signal(syscall.SIGCONT) // a paused one heeds no SIGTERM
	cmd.Process.Signal(sig)
	<-ended
}

// PauseListener stops the listener (SIGSTOP): the kernel still accepts
// connections, and no banner comes. ResumeListener continues it.
func (s *SSHD) PauseListener() { s.signalListener(syscall.SIGSTOP) }

// ResumeListener ends PauseListener.
func (s *SSHD) ResumeListener() { s.signalListener(syscall.SIGCONT) }

func (s *SSHD) signalListener(sig syscall.Signal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener != nil {
		s.listener.Process.Signal(sig)
	}
}

// PauseSessions stops the processes that serve connections (SIGSTOP): the
// kernel still acknowledges, and nothing answers. ResumeSessions continues
// them.
//
// A login that just succeeded may be about to fork the process that serves it
// (privilege separation), so this looks again until nobody new has come.
func (s *SSHD) PauseSessions() {
	for stopped := -1; ; {
		list := s.sessions()
		signal(list, syscall.SIGSTOP)
		if len(list) == stopped {
			return
		}
		stopped = len(list)
	}
}

// ResumeSessions ends PauseSessions.
func (s *SSHD) ResumeSessions() { signal(s.sessions(), syscall.SIGCONT) }

// KillSessions kills the processes that serve connections, and returns when
// they have gone. A connection that a client makes because it lost another one
// is left alone.
func (s *SSHD) KillSessions() {
	s.PauseSessions() // a child forked while its parent is killed would be nobody's
	doomed := s.sessions()
	signal(doomed, syscall.SIGKILL)
	for lives := true; lives; time.Sleep(time.Millisecond) { // between two looks at the process table
		now := s.sessions()
		lives = slices.ContainsFunc(doomed, func(p process) bool {
			return slices.ContainsFunc(now, func(q process) bool { return q.pid == p.pid && q.start == p.start })
		})
	}
}

// SessionPIDs returns the processes of sshd that serve connections, those of a
// stopped listener included. One connection has one or more of them: with
// privilege separation two, and internal-sftp is one.
func (s *SSHD) SessionPIDs() []int {
	var pids []int
	for _, p := range s.sessions() {
		pids = append(pids, p.pid)
	}
	return pids
}

func (s *SSHD) sessions() []process {
	return slices.DeleteFunc(s.remember(), func(p process) bool { return !p.ofSSHD() })
}

// remember returns the living processes that are or were below a listener,
// and keeps them for when their parent has gone.
func (s *SSHD) remember() []process {
	all, err := processes()
	if err != nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var roots []int
	if s.listener != nil {
		roots = append(roots, s.listener.Process.Pid)
	}
	var alive []process
	for _, p := range all {
		if k, ok := s.known[p.pid]; ok && k.start == p.start {
			alive = append(alive, p)
			roots = append(roots, p.pid)
		}
	}
	for _, p := range descendants(all, roots...) {
		if k, ok := s.known[p.pid]; !ok || k.start != p.start {
			s.known[p.pid] = p
			alive = append(alive, p)
		}
	}
	return alive
}

// end kills the listener, the connections and their commands.
func (s *SSHD) end() {
	s.endListener(syscall.SIGKILL)
	for list := s.remember(); len(list) > 0; list = s.remember() {
		signal(list, syscall.SIGKILL)
		time.Sleep(time.Millisecond)
	}
}

// Login connects and logs in with x/crypto, as a client that knows the host.
func (s *SSHD) Login(ctx context.Context) (*ssh.Client, error) {
	conn, err := s.dial(ctx, "tcp", s.Addr)
	if err != nil {
		return nil, err
	}
	c, opens, requests, err := ssh.NewClientConn(conn, s.Addr, &ssh.ClientConfig{
		User: s.User, Auth: []ssh.AuthMethod{ssh.PublicKeys(s.Key)}, HostKeyCallback: ssh.FixedHostKey(s.HostKey),
		HostKeyAlgorithms: []string{ssh.KeyAlgoED25519},
	})
	if err != nil {
		conn.Close()
		return nil, err
	}
	return ssh.NewClient(c, opens, requests), nil
}
