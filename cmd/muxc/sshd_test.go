package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// sshd is a real server on a free port, with keys of its own.
type sshd struct {
	t         testing.TB
	dir       string
	Port      int
	User      string
	ClientKey string
	HostKey   string // public, as in known_hosts
	cmd       *exec.Cmd
	exited    chan struct{}
}

// need skips the test without a program, or fails it where MUX_TEST_REQUIRE
// asks for it.
func need(t testing.TB, name string) string {
	t.Helper()
	for _, dir := range []string{"", "/usr/sbin/", "/usr/local/sbin/"} {
		if p, err := exec.LookPath(dir + name); err == nil && filepath.IsAbs(p) {
			return p
		}
	}
	for _, must := range strings.Split(os.Getenv("MUX_TEST_REQUIRE"), ",") {
		if must == name {
			t.Fatalf("no %s here, and MUX_TEST_REQUIRE asks for it", name)
		}
	}
	t.Skipf("no %s here", name)
	return ""
}

// startSSHD starts a server; lines go to the front of its configuration, where
// they win.
func startSSHD(t testing.TB, lines ...string) *sshd {
	t.Helper()
	need(t, "sshd")
	u, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	s := &sshd{t: t, dir: t.TempDir(), User: u.Username}
	if os.Geteuid() == 0 {
		os.MkdirAll("/run/sshd", 0o755)
	}
	s.ClientKey = keygen(t, s.dir, "id")
	s.HostKey = strings.Join(strings.Fields(read(t, keygen(t, s.dir, "hk")+".pub"))[:2], " ")
	os.WriteFile(filepath.Join(s.dir, "auth"), []byte(read(t, s.ClientKey+".pub")), 0o600)
	for range 5 { // another process may take the port between choice and use
		s.Port = freePort(t)
		s.configure(lines)
		if s.launch() {
			t.Cleanup(s.Kill)
			return s
		}
	}
	t.Fatalf("sshd does not listen:\n%s", s.Log())
	return nil
}

func (s *sshd) configure(lines []string) {
	config := strings.Join(lines, "\n") + fmt.Sprintf(`
Port %d
ListenAddress 127.0.0.1
HostKey %s/hk
AuthorizedKeysFile %s/auth
UsePAM no
StrictModes no
PidFile none
PermitRootLogin yes
PasswordAuthentication no
KbdInteractiveAuthentication no
AcceptEnv LANG LC_* MUXTEST_*
Subsystem sftp internal-sftp
MaxStartups 100
SetEnv SHLVL=9 # a bash started by sshd reads ~/.bashrc unless it is a nested one
`, s.Port, s.dir, s.dir)
	os.WriteFile(filepath.Join(s.dir, "sshd_config"), []byte(config), 0o600)
}

func (s *sshd) launch() bool {
	s.cmd = exec.Command(need(s.t, "sshd"), "-D", "-e", "-f", filepath.Join(s.dir, "sshd_config"))
	s.cmd.Env = []string{"PATH=/usr/bin:/bin:/usr/sbin:/sbin"}
	log, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	defer log.Close()
	s.cmd.Stderr = log
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.exited = make(chan struct{})
	go func(c *exec.Cmd, done chan struct{}) { defer close(done); c.Wait() }(s.cmd, s.exited)
	listens := until(10*time.Second, func() bool {
		select {
		case <-s.exited:
			return true
		default:
		}
		return strings.Contains(s.Log(), "Server listening on 127.0.0.1 port "+strconv.Itoa(s.Port))
	})
	select {
	case <-s.exited:
		return false
	default:
		return listens
	}
}

// Kill ends the server and the sessions it serves.
func (s *sshd) Kill() {
	for _, pid := range s.SessionPIDs() {
		syscall.Kill(pid, syscall.SIGKILL)
	}
	s.cmd.Process.Kill()
	<-s.exited
}

// Log is what the server said.
func (s *sshd) Log() string {
	b, _ := os.ReadFile(filepath.Join(s.dir, "log"))
	return string(b)
}

// Logins counts the logins that succeeded.
func (s *sshd) Logins() int { return strings.Count(s.Log(), "\nAccepted ") }

// SessionPIDs are the processes that serve connections, with their children.
func (s *sshd) SessionPIDs() []int { return descendants(s.cmd.Process.Pid, "sshd") }

func descendants(pid int, name string) []int {
	var all []int
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	for _, f := range strings.Fields(string(b)) {
		child, _ := strconv.Atoi(f)
		comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", child))
		if strings.HasPrefix(string(comm), name) {
			all = append(append(all, child), descendants(child, name)...)
		}
	}
	return all
}

// writeClientConfig writes an ssh_config in which alias is this server.
func (s *sshd) writeClientConfig(t testing.TB, alias string, lines ...string) string {
	t.Helper()
	dir := t.TempDir()
	known := filepath.Join(dir, "known_hosts")
	os.WriteFile(known, []byte(fmt.Sprintf("[127.0.0.1]:%d %s\n", s.Port, s.HostKey)), 0o600)
	path := filepath.Join(dir, "config")
	os.WriteFile(path, []byte(fmt.Sprintf(`Host %s
  HostName 127.0.0.1
  Port %d
  User %s
  IdentityFile %s
  IdentitiesOnly yes
  UserKnownHostsFile %s
  GlobalKnownHostsFile none
%s
`, alias, s.Port, s.User, s.ClientKey, known, strings.Join(lines, "\n"))), 0o600)
	return path
}

func keygen(t testing.TB, dir, name string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if out, err := exec.Command(need(t, "ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", path).CombinedOutput(); err != nil {
		t.Fatalf("ssh-keygen: %v\n%s", err, out)
	}
	return path
}

func read(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
