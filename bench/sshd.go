package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"

	"muxd/internal/sshtest"
)

// sshd is a real OpenSSH server on a loopback port of its own, with keys and
// configuration of its own.
type sshd struct {
	port    int
	roomy   int // where any number of sessions is allowed on a connection
	user    string
	hostKey ssh.PublicKey
	shell   string // the login shell, as the session sees it
	cmd     *exec.Cmd
}

const sshdPath = "/usr/sbin/sshd"

// loginShell is what every command is started by. With a larger shell its own
// start is most of what is measured, for both sides alike.
const loginShell = "/bin/sh"

// inShell replaces the password file for one process and its children, if the
// system lets us: sshd starts the shell that stands there.
const inShell = `mount --bind "$1" /etc/passwd && shift && exec "$@"`

func startSSHD(dir string, client ssh.PublicKey) (*sshd, error) {
	u, err := user.Current()
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(sshdPath); err != nil {
		return nil, fmt.Errorf("no sshd: install openssh-server (%w)", err)
	}
	port, err := freePort()
	roomy, err2 := freePort()
	if err := errors.Join(err, err2); err != nil {
		return nil, err
	}
	host := sshtest.NewKey()
	s := &sshd{port: port, roomy: roomy, user: u.Username, hostKey: host.PublicKey()}
	config := fmt.Sprintf("Port %d\nPort %d\nListenAddress 127.0.0.1\nHostKey %s/host\nAuthorizedKeysFile %s/authorized\n"+
		"UsePAM no\nStrictModes no\nPidFile none\nPermitRootLogin yes\nMaxStartups 100:30:200\n"+
		"Match LocalPort %d\n  MaxSessions 1000\n", port, roomy, dir, dir, roomy)
	if err := errors.Join(writeKey(host, filepath.Join(dir, "host")),
		os.WriteFile(filepath.Join(dir, "authorized"), ssh.MarshalAuthorizedKey(client), 0o600),
		os.WriteFile(filepath.Join(dir, "sshd_config"), []byte(config), 0o600),
		writePasswd(filepath.Join(dir, "passwd"), u)); err != nil {
		return nil, err
	}
	return s, s.start(dir)
}

func (s *sshd) start(dir string) error {
	args := []string{sshdPath, "-D", "-e", "-f", filepath.Join(dir, "sshd_config")}
	if os.Geteuid() == 0 {
		os.MkdirAll("/run/sshd", 0o755) // where it confines itself; distributions make it at boot
		if exec.Command("unshare", "-m", "true").Run() == nil {
			args = append([]string{"unshare", "-m", "sh", "-c", inShell, "sh", filepath.Join(dir, "passwd")}, args...)
		}
	}
	log, err := os.Create(filepath.Join(dir, "sshd.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	s.cmd = exec.Command(args[0], args[1:]...)
	s.cmd.Stderr = log
	s.cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	if err := s.cmd.Start(); err != nil {
		return err
	}
	return s.await(log.Name())
}

// await returns when the server takes connections.
func (s *sshd) await(log string) error {
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		c, err := net.Dial("tcp", s.addr())
		if err == nil {
			return c.Close()
		}
	}
	s.stop()
	said, _ := os.ReadFile(log)
	return fmt.Errorf("sshd does not listen: %s", strings.TrimSpace(string(said)))
}

func (s *sshd) addr() string { return fmt.Sprintf("127.0.0.1:%d", s.port) }

func (s *sshd) stop() {
	s.cmd.Process.Signal(syscall.SIGTERM)
	s.cmd.Wait()
}

func freePort() (int, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port, nil
}

// writePasswd copies the password file, with another login shell for u.
func writePasswd(path string, u *user.User) error {
	b, err := os.ReadFile("/etc/passwd")
	if err != nil {
		return err
	}
	var out strings.Builder
	for line := range strings.Lines(string(b)) {
		fields := strings.Split(strings.TrimRight(line, "\n"), ":")
		if len(fields) == 7 && fields[0] == u.Username {
			fields[6] = loginShell
		}
		out.WriteString(strings.Join(fields, ":") + "\n")
	}
	return os.WriteFile(path, []byte(out.String()), 0o644)
}
