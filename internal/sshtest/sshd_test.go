package sshtest

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// soon waits for what another process brings about.
func soon(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for limit := time.Now().Add(time.Minute); !cond(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}

func mustLogin(t *testing.T, s *SSHD) *ssh.Client {
	t.Helper()
	c, err := s.Login(t.Context())
	if err != nil {
		t.Fatalf("%v\n%s", err, s.Log())
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// alive asks the connection for any answer.
func alive(c *ssh.Client) bool {
	_, _, err := c.SendRequest("keepalive@openssh.com", true, nil)
	return err == nil
}

// answersWithin says whether the connection answers within d; done gives
// the answer, whenever it comes.
func answersWithin(c *ssh.Client, d time.Duration) (ok bool, done <-chan bool) {
	ch := make(chan bool, 1)
	go func() { ch <- alive(c) }()
	select {
	case ok := <-ch:
		ch <- ok
		return ok, ch
	case <-time.After(d):
		return false, ch
	}
}

func TestSSHDServesXCrypto(t *testing.T) {
	s := StartSSHD(t, "AcceptEnv GREETING", "MaxSessions 2")
	c := mustLogin(t, s)
	session, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if err := session.Setenv("GREETING", "hi"); err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	session.Stderr = &stderr
	out, err := session.Output("echo $GREETING")
	if string(out) != "hi\n" || err != nil || stderr.Len() > 0 {
		t.Errorf("%q %q %v", out, stderr.String(), err)
	}
	if n := s.Logins(); n != 1 {
		t.Errorf("%d logins in\n%s", n, s.Log())
	}
	newSession(t, c)
	newSession(t, c)
	if _, err := c.NewSession(); err == nil {
		t.Error("the test's MaxSessions did not win")
	}
}

func TestSSHDServesStockSSH(t *testing.T) {
	Require(t, "ssh")
	s := StartSSHD(t)
	config := s.ClientConfig(t, "box", "LogLevel ERROR")
	cmd := exec.Command("ssh", "-F", config, "box", "echo out; echo err >&2; exit 7")
	cmd.Env = Env(t.TempDir())
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	var exit *exec.ExitError
	if err := cmd.Run(); !errors.As(err, &exit) || exit.ExitCode() != 7 {
		t.Errorf("exit: %v", err)
	}
	if out.String() != "out\n" || stderr.String() != "err\n" {
		t.Errorf("%q %q", out.String(), stderr.String())
	}
}

func TestStockSSHTalksToTheServerInThisProcess(t *testing.T) {
	Require(t, "ssh")
	k := NewKey()
	s := NewServer(Options{AuthorizedKeys: []ssh.PublicKey{k.PublicKey()}})
	defer s.Close()
	addr, err := s.Listen()
	if err != nil {
		t.Fatal(err)
	}
	host, port, _ := net.SplitHostPort(addr)
	dir := t.TempDir()
	known := filepath.Join(dir, "known_hosts")
	writeFile(t, known, "alias "+string(ssh.MarshalAuthorizedKey(s.HostKey())))
	cmd := exec.Command("ssh", "-F", "none", "-i", k.WriteFile(t, dir, "id", ""), "-p", port, "-l", "user",
		"-o", "HostKeyAlias=alias", "-o", "UserKnownHostsFile="+known, "-o", "BatchMode=yes", host,
		"env; cat; exit 9")
	cmd.Env = Env(dir)
	cmd.Stdin = strings.NewReader("through\n")
	out, err := cmd.Output()
	var exit *exec.ExitError
	if string(out) != "through\n" || !errors.As(err, &exit) || exit.ExitCode() != 9 {
		t.Errorf("%q, %v\n%s", out, err, s.Dump())
	}
}

func TestSSHDStopKeepsConnectionsAndRestartKeepsThePlace(t *testing.T) {
	s := StartSSHD(t)
	c := mustLogin(t, s)
	s.Stop()
	if !alive(c) || len(s.SessionPIDs()) == 0 {
		t.Error("the connection ended with the listener")
	}
	if _, err := s.Login(t.Context()); err == nil {
		t.Error("a stopped sshd lets in")
	}
	s.Restart(t)
	mustLogin(t, s)
	if !alive(c) || s.Logins() != 2 {
		t.Errorf("%d logins", s.Logins())
	}
}

func TestSSHDKillEndsConnections(t *testing.T) {
	s := StartSSHD(t)
	c := mustLogin(t, s)
	s.Stop() // the connection's process is now nobody's child
	s.Kill()
	if pids := s.SessionPIDs(); len(pids) > 0 {
		t.Errorf("%v still serve", pids)
	}
	if alive(c) {
		t.Error("the connection lives")
	}
	s.Restart(t)
	c = mustLogin(t, s)
	s.KillSessions()
	if alive(c) {
		t.Error("the connection lives")
	}
	mustLogin(t, s)
}

func TestSSHDPause(t *testing.T) {
	s := StartSSHD(t)
	c := mustLogin(t, s)
	s.PauseSessions()
	ok, done := answersWithin(c, 200*time.Millisecond)
	if ok {
		t.Error("a paused connection answers")
	}
	s.ResumeSessions()
	if !<-done {
		t.Error("a resumed connection does not answer")
	}
	s.PauseListener()
	if !alive(c) {
		t.Error("the connection is paused with the listener")
	}
	conn, err := net.Dial("tcp", s.Addr)
	if err != nil {
		t.Fatal(err) // the kernel accepts
	}
	defer conn.Close()
	conn.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a paused listener: %v", err)
	}
	s.ResumeListener()
	conn.SetReadDeadline(time.Now().Add(time.Minute))
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		t.Errorf("a resumed listener: %v", err)
	}
}

func TestSSHDKeysChange(t *testing.T) {
	s := StartSSHD(t)
	other := NewKey()
	s.Authorize(t, other)
	if _, err := s.Login(t.Context()); err == nil {
		t.Error("the key that was taken away lets in")
	}
	s.Authorize(t, s.Key)
	fresh := s.RotateHostKey(t)
	s.Restart(t)
	if _, err := s.Login(t.Context()); err == nil {
		t.Error("the old host key still proves the host")
	}
	s.HostKey = fresh.PublicKey()
	mustLogin(t, s)
	s.Configure(t, "AllowUsers nobody-at-all")
	s.Restart(t)
	if _, err := s.Login(t.Context()); err == nil {
		t.Error("the configuration did not change")
	}
}

// Commands that a dead sshd leaves behind end with the test.
func TestSSHDEndTakesOrphansAlong(t *testing.T) {
	var s *SSHD
	t.Run("a test", func(t *testing.T) {
		s = StartSSHD(t)
		session := newSession(t, mustLogin(t, s))
		if err := session.Start("exec sleep 86399"); err != nil {
			t.Fatal(err)
		}
		soon(t, "the command runs", func() bool { return len(orphans(s)) > 0 })
		s.Kill()
		if len(orphans(s)) != 1 {
			t.Error("the command died with its sshd")
		}
	})
	if left := orphans(s); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func orphans(s *SSHD) []process {
	return slices.DeleteFunc(s.remember(), func(p process) bool { return p.name != "sleep" })
}

// An ordinary user's sshd serves that user. As root this runs itself again as
// one whose shell refuses every command: what it can show is a login and a
// subsystem that needs no shell.
func TestSSHDOfAnOrdinaryUser(t *testing.T) {
	s := StartSSHD(t)
	session := newSession(t, mustLogin(t, s))
	in, _ := session.StdinPipe()
	out, _ := session.StdoutPipe()
	if err := session.RequestSubsystem("sftp"); err != nil {
		t.Fatal(err)
	}
	in.Write([]byte("\x00\x00\x00\x05\x01\x00\x00\x00\x03")) // SSH_FXP_INIT, version 3
	reply := make([]byte, 5)
	if _, err := io.ReadFull(out, reply); err != nil || reply[4] != 2 { // SSH_FXP_VERSION
		t.Errorf("%v %v\n%s", reply, err, s.Log())
	}
	if os.Getuid() == 0 {
		againAsOrdinaryUser(t)
	}
}
