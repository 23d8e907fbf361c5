package master

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"muxd/control"
	"muxd/internal/sshtest"
)

// TestProxyHelper is no test: it is the ProxyCommand of those below, this very
// program started again.
func TestProxyHelper(t *testing.T) {
	addr := os.Getenv("PROXY_TEST_ADDR")
	if addr == "" {
		return // not a child of the tests of ProxyCommand
	}
	if status, err := strconv.Atoi(os.Getenv("PROXY_TEST_EXIT")); err == nil {
		os.Exit(status)
	}
	if os.Getenv("PROXY_TEST_SILENT") != "" {
		os.Exit(0)
	}
	if text := os.Getenv("PROXY_TEST_SAY"); text != "" {
		fmt.Fprintln(os.Stderr, text)
	}
	if file := os.Getenv("PROXY_TEST_PID"); file != "" {
		dir, _ := os.Getwd()
		os.WriteFile(file, fmt.Appendf(nil, "%d %d %s", os.Getpid(), syscall.Getpgrp(), dir), 0o600)
	}
	c, err := net.Dial("tcp", addr)
	if err != nil {
		os.Exit(3)
	}
	go io.Copy(c, os.Stdin)
	io.Copy(os.Stdout, c)
	os.Exit(0)
}

// proxied is a Master whose host "inside" is reached by a ProxyCommand only.
// Processes are real, so time is too.
func proxied(t *testing.T, env ...string) (m *Master, srv *sshtest.Server, ask func(ctx context.Context, p control.Prompter) (control.Stream, error)) {
	t.Helper()
	srv = sshtest.NewServer(sshtest.Options{})
	t.Cleanup(srv.Close)
	addr, err := srv.Listen()
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	os.Mkdir(filepath.Join(home, ".ssh"), 0o700)
	known := "inside " + string(ssh.MarshalAuthorizedKey(srv.HostKey()))
	config := fmt.Sprintf("Host inside\n  ProxyCommand '%s' -test.run '^TestProxyHelper$'\n", os.Args[0])
	for name, text := range map[string]string{"known_hosts": known, "config": config} {
		if err := os.WriteFile(filepath.Join(home, ".ssh", name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	m = New(Config{Log: slog.New(slog.DiscardHandler), Home: home, User: "me", SystemFile: filepath.Join(home, "none"),
		Dial: func(context.Context, string, string) (net.Conn, error) {
			t.Error("dialled directly")
			return nil, net.ErrClosed
		}})
	t.Cleanup(m.Close)
	v := &control.Invocation{Args: []string{"-o", "WaitForReady=no", "inside", "echo", "hello"}, Dir: home, Env: append(append([]string{"PROXY_TEST_ADDR=" + addr}, env...), "SHELL=/bin/sh")}
	return m, srv, func(ctx context.Context, p control.Prompter) (control.Stream, error) {
		plan, err := m.Resolve(context.Background(), v, p)
		if err != nil {
			t.Fatal(err)
		}
		return m.Session(ctx, plan.Session, p)
	}
}

func TestProxyCommand(t *testing.T) {
	pidFile := filepath.Join(t.TempDir(), "pid")
	m, srv, ask := proxied(t, "PROXY_TEST_PID="+pidFile, "PROXY_TEST_SAY=going \x1b[31m there")
	p := says()
	for range 3 {
		s, err := ask(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		if out, exit, err := finish(s); out != "hello\n" || exit.Code != 0 || err != nil {
			t.Fatalf("%q %+v %v", out, exit, err)
		}
	}
	if n := srv.Logins(); n != 1 {
		t.Errorf("%d logins", n)
	}
	if !strings.Contains(p.Told(), "going") {
		t.Errorf("the proxy's stderr did not reach the person: %q", p.Told())
	}
	var pid, group int
	var dir string
	b, _ := os.ReadFile(pidFile)
	if _, err := fmt.Sscanf(string(b), "%d %d %s", &pid, &group, &dir); err != nil {
		t.Fatal(err)
	}
	if group != pid || dir != "/" {
		t.Errorf("process %d in group %d and directory %s", pid, group, dir)
	}
	if ppid := parent(pid); ppid != os.Getpid() {
		t.Errorf("child of %d", ppid)
	}
	m.Close()
	eventually(t, "the proxy is gone, and no zombie", func() bool { return syscall.Kill(pid, 0) == syscall.ESRCH })
}

// parent reads the parent's number of a process, 0 where /proc is not to be had.
func parent(pid int) int {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return os.Getpid()
	}
	var ppid int
	var state string
	rest := string(b)[strings.LastIndexByte(string(b), ')')+1:]
	fmt.Sscanf(rest, "%s %d", &state, &ppid)
	return ppid
}

func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !f(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within 10 s: %s", what)
		}
	}
}

// A ProxyCommand that dies takes the connection with it; the next request
// starts another.
func TestProxyCommandDies(t *testing.T) {
	pidFile := filepath.Join(t.TempDir(), "pid")
	_, srv, ask := proxied(t, "PROXY_TEST_PID="+pidFile)
	s, err := ask(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	finish(s)
	var pid int
	b, _ := os.ReadFile(pidFile)
	fmt.Sscanf(string(b), "%d", &pid)
	syscall.Kill(pid, syscall.SIGKILL)
	eventually(t, "a second login", func() bool {
		if s, err := ask(t.Context(), nil); err == nil {
			finish(s)
		}
		return srv.Logins() == 2
	})
}

// What fails is said in one line under the destination's name.
func TestProxyCommandFails(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead := l.Addr().String()
	l.Close()
	_, _, ask := proxied(t, "PROXY_TEST_ADDR="+dead) // the last one counts
	_, err = ask(t.Context(), nil)
	wantError(t, err, control.Refused, "inside: ", "ProxyCommand ended: exit status 3")
}

// One that ends well and says nothing is no server that closed the connection.
func TestProxyCommandSaysNothing(t *testing.T) {
	_, _, ask := proxied(t, "PROXY_TEST_SILENT=1")
	_, err := ask(t.Context(), nil)
	wantError(t, err, control.Refused, "inside: ", "ProxyCommand ended: exit status 0")
}

// One that cannot be run is a wrong configuration, which no network mends: nobody
// waits for it, and no timer repeats it.
func TestProxyCommandCannotRun(t *testing.T) {
	for _, c := range []struct {
		env, state string
		phase      control.ErrorPhase
		text       string
	}{
		{"PROXY_TEST_EXIT=127", "blocked", control.Refused, "ProxyCommand ended: exit status 127 (the shell found no such program)"},
		{"PROXY_TEST_EXIT=126", "blocked", control.Refused, "ProxyCommand ended: exit status 126 (the shell may not run it)"},
		{"PROXY_TEST_EXIT=1", "idle", control.Refused, "ProxyCommand ended: exit status 1"},
		{"SHELL=/no/such/shell", "blocked", control.NotDialled, "ProxyCommand: fork/exec /no/such/shell: no such file or directory"},
	} {
		m, _, ask := proxied(t, c.env)
		_, err := ask(t.Context(), nil)
		wantError(t, err, c.phase, "inside: ", c.text)
		s, err := m.Status(t.Context(), &control.StatusRequest{})
		for end := time.Now().Add(20 * time.Second); err == nil && s.Hosts[0].State == "connecting" && time.Now().Before(end); {
			time.Sleep(time.Millisecond) // who asked hears a moment before the state is told
			s, err = m.Status(t.Context(), &control.StatusRequest{})
		}
		if err != nil || len(s.Hosts) != 1 || s.Hosts[0].State != c.state {
			t.Errorf("%s: %+v, %v, want %s", c.env, s, err, c.state)
		}
	}
}
