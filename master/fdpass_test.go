package master

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"muxd/control"
	"muxd/internal/sshtest"
)

// TestPassHelper is no test: it is the ProxyCommand that passes a descriptor,
// this very program started again.
func TestPassHelper(t *testing.T) {
	mode, addr := os.Getenv("PASS_TEST_MODE"), os.Getenv("PROXY_TEST_ADDR")
	if mode == "" {
		return // not a child of the tests of ProxyUseFdpass
	}
	if file := os.Getenv("PROXY_TEST_PID"); file != "" {
		os.WriteFile(file, fmt.Appendf(nil, "%d", os.Getpid()), 0o600)
	}
	fmt.Fprintln(os.Stderr, "passing", mode)
	var fds []int
	switch mode {
	case "one", "linger":
		fds = connected(addr, 1)
	case "three":
		fds = connected(addr, 3)
	case "file":
		f, _ := os.Open("/dev/null")
		fds = []int{int(f.Fd())}
	case "datagram":
		fd, _ := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
		fds = []int{fd}
	case "text":
		fmt.Println("SSH-2.0-hello")
		os.Exit(0)
	case "fail":
		os.Exit(7)
	case "nothing":
		os.Exit(0)
	case "hang":
		time.Sleep(time.Hour) // an empty select would be a deadlock, which Go finds
	}
	if err := unix.Sendmsg(1, []byte{0}, unix.UnixRights(fds...), nil, 0); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(9)
	}
	if mode == "linger" {
		time.Sleep(time.Hour)
	}
	os.Exit(0)
}

func connected(addr string, n int) (fds []int) {
	for range n {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			os.Exit(3)
		}
		f, err := c.(*net.TCPConn).File()
		if err != nil {
			os.Exit(4)
		}
		fds = append(fds, int(f.Fd()))
	}
	return fds
}

// passing is proxied with a ProxyCommand that passes a descriptor.
func passing(t *testing.T, mode string, options ...string) (m *Master, srv *sshtest.Server, pid func() int, ask func(ctx context.Context, p control.Prompter) (control.Stream, error)) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "pid")
	m, srv, ask = proxied(t, "PASS_TEST_MODE="+mode, "PROXY_TEST_PID="+file)
	config := fmt.Sprintf("Host inside\n ProxyUseFdpass yes\n ProxyCommand '%s' -test.run '^TestPassHelper$'\n %s\n", os.Args[0], strings.Join(options, "\n "))
	if err := os.WriteFile(filepath.Join(m.cfg.Home, ".ssh", "config"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	pid = func() (n int) {
		eventually(t, "the child says who it is", func() bool {
			b, _ := os.ReadFile(file)
			_, err := fmt.Sscanf(string(b), "%d", &n)
			return err == nil
		})
		return n
	}
	return m, srv, pid, ask
}

func gone(t *testing.T, pid int) {
	t.Helper()
	eventually(t, "the child is gone, and no zombie", func() bool { return syscall.Kill(pid, 0) == syscall.ESRCH })
}

// openSockets counts this process's sockets.
func openSockets(t *testing.T) (n int) {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		sshtest.Lacks(t, "/proc/self/stat", err)
	}
	for _, f := range all {
		if to, _ := os.Readlink("/proc/self/fd/" + f.Name()); strings.HasPrefix(to, "socket:") {
			n++
		}
	}
	return n
}

func TestFdpass(t *testing.T) {
	for _, mode := range []string{"one", "three", "linger"} {
		t.Run(mode, func(t *testing.T) {
			before := openSockets(t)
			m, srv, pid, ask := passing(t, mode)
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
			gone(t, pid())
			if n := srv.Logins(); n != 1 {
				t.Errorf("%d logins", n)
			}
			eventually(t, "the child's words reach the person", func() bool { return strings.Contains(p.Told(), "passing "+mode) })
			// Ours and the server's end of the one connection, and its listener.
			eventually(t, "the extra ones are closed", func() bool { return openSockets(t) == before+3 })
			st, _ := m.Status(t.Context(), new(control.StatusRequest))
			if l := st.Hosts[0].Links[0]; !strings.HasPrefix(l.Remote, "127.0.0.1:") {
				t.Errorf("%+v", l)
			}
			m.Close()
			eventually(t, "everything is closed", func() bool { return openSockets(t) == before+1 })
		})
	}
}

// What is no connection is refused, in one line that says what it is instead.
func TestFdpassRefuses(t *testing.T) {
	for mode, want := range map[string]string{
		"fail": "ProxyCommand: exit status 7", "nothing": "ProxyCommand: it ended without passing a connection",
		"file": "ProxyCommand: what it passed is not a stream socket", "datagram": "ProxyCommand: what it passed is not a stream socket",
		"text": "ProxyCommand: it wrote to its standard output instead of passing a connection",
	} {
		t.Run(mode, func(t *testing.T) {
			before := openSockets(t)
			_, _, pid, ask := passing(t, mode)
			p := says()
			_, err := ask(t.Context(), p)
			wantError(t, err, control.Refused, "inside: "+want)
			if !strings.Contains(p.Told(), "passing "+mode) {
				t.Errorf("the reason came before what the child said: %q", p.Told())
			}
			gone(t, pid())
			eventually(t, "everything is closed", func() bool { return openSockets(t) == before+1 })
		})
	}
}

// A child that neither passes nor ends has ConnectTimeout, or until nobody
// waits any more.
func TestFdpassHangs(t *testing.T) {
	_, _, pid, ask := passing(t, "hang", "ConnectTimeout 3") // the child has to have begun by then
	start := time.Now()
	_, err := ask(t.Context(), says())
	wantError(t, err, control.Refused, "inside: ProxyCommand: timed out")
	if took := time.Since(start); took < 3*time.Second {
		t.Errorf("after %v", took)
	}
	gone(t, pid())

	_, _, pid, ask = passing(t, "hang")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { _, err := ask(ctx, nil); ended <- err }()
	n := pid()
	cancel()
	if err := <-ended; err == nil {
		t.Error("a session")
	}
	gone(t, n)
}

// A shell's own netcat passes descriptors too, where it is OpenBSD's.
func TestFdpassOfNetcat(t *testing.T) {
	m, srv, _, ask := passing(t, "one")
	const nc = "nc.openbsd" // Debian's name for it
	sshtest.Require(t, nc)
	addr, err := srv.Listen()
	if err != nil {
		t.Fatal(err)
	}
	host, port, _ := net.SplitHostPort(addr)
	config := fmt.Sprintf("Host inside\n ProxyUseFdpass yes\n ProxyCommand %s -F %s %s\n", nc, host, port)
	if err := os.WriteFile(filepath.Join(m.cfg.Home, ".ssh", "config"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := ask(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if out, _, err := finish(s); out != "hello\n" || err != nil {
		t.Errorf("%q %v", out, err)
	}
}
