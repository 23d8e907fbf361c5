package master

import (
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"muxd/alive"
	"muxd/internal/reach"
	"muxd/internal/sshlink"
)

// tcpPair is a connection over loopback: socket options need a real socket.
func tcpPair(t *testing.T) *net.TCPConn {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c.(*net.TCPConn)
}

func option(t *testing.T, c *net.TCPConn, level, name int) int {
	t.Helper()
	v := -1
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Control(func(fd uintptr) { v, err = unix.GetsockoptInt(int(fd), level, name) }); err != nil {
		t.Fatal(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestTune(t *testing.T) {
	system := map[int]int{}
	for _, o := range []int{unix.TCP_KEEPIDLE, unix.TCP_KEEPINTVL, unix.TCP_KEEPCNT} {
		// Go's own dialler sets these; the system's are those of a bare socket.
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
		if err != nil {
			t.Fatal(err)
		}
		system[o], _ = unix.GetsockoptInt(fd, unix.IPPROTO_TCP, o)
		unix.Close(fd)
	}
	const tcp, sol, ip = unix.IPPROTO_TCP, unix.SOL_SOCKET, unix.IPPROTO_IP
	type want struct{ level, name, value int }
	tests := []struct {
		name    string
		options []string
		want    []want
	}{
		{"as ssh", nil, []want{{sol, unix.SO_KEEPALIVE, 1}, {tcp, unix.TCP_NODELAY, 1}, {tcp, unix.TCP_USER_TIMEOUT, 0},
			{tcp, unix.TCP_KEEPIDLE, system[unix.TCP_KEEPIDLE]}, {tcp, unix.TCP_KEEPINTVL, system[unix.TCP_KEEPINTVL]},
			{tcp, unix.TCP_KEEPCNT, system[unix.TCP_KEEPCNT]}}},
		{"no keepalive", []string{"TCPKeepAlive=no"}, []want{{sol, unix.SO_KEEPALIVE, 0}}},
		{"keepalive times", []string{"TCPKeepAliveIdle=70", "TCPKeepAliveInterval=7", "TCPKeepAliveCount=4"},
			[]want{{sol, unix.SO_KEEPALIVE, 1}, {tcp, unix.TCP_KEEPIDLE, 70}, {tcp, unix.TCP_KEEPINTVL, 7}, {tcp, unix.TCP_KEEPCNT, 4}}},
		{"delay", []string{"TCPNoDelay=no"}, []want{{tcp, unix.TCP_NODELAY, 0}}},
		{"beyond the budget", []string{"ServerAliveInterval=5", "ServerAliveCountMax=1"}, []want{{tcp, unix.TCP_USER_TIMEOUT, 25_000}}},
		{"no budget", []string{"ServerAliveInterval=0"}, []want{{tcp, unix.TCP_USER_TIMEOUT, 0}}},
		{"user timeout", []string{"TCPUserTimeout=90"}, []want{{tcp, unix.TCP_USER_TIMEOUT, 90_000}}},
		{"bulk class first", []string{"IPQoS=af21 cs1"}, []want{{ip, unix.IP_TOS, 0x20}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			nc, err := reach.Dial(t.Context(), "tcp", listening(t))
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			c := nc.(*net.TCPConn)
			if err := socketOptions(configured(t, tt.options...)).Set(c); err != nil {
				t.Fatal(err)
			}
			for _, w := range tt.want {
				if got := option(t, c, w.level, w.name); got != w.value {
					t.Errorf("option %d/%d = %d, want %d", w.level, w.name, got, w.value)
				}
			}
		})
	}
}

func listening(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}

// TestUserTimeoutBeyondBudget: the kernel must never overrule the prober.
func TestUserTimeoutBeyondBudget(t *testing.T) {
	d := configured(t, "ServerAliveInterval=15", "ServerAliveCountMax=3")
	c := tcpPair(t)
	if err := socketOptions(d).Set(c); err != nil {
		t.Fatal(err)
	}
	budget := time.Duration(d.Alive.CountMax+1) * d.Alive.Interval
	if got := time.Duration(option(t, c, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT)) * time.Millisecond; got <= budget {
		t.Errorf("TCP_USER_TIMEOUT %v within the budget %v", got, budget)
	}
	if (d.Alive == alive.Config{}) {
		t.Error("ServerAliveInterval did not come through")
	}
}

// A descriptor that a ProxyCommand passed is a connection like one of our own.
func TestTuneOfAPassedDescriptor(t *testing.T) {
	m, _, _, ask := passing(t, "one", "ServerAliveInterval 5", "ServerAliveCountMax 1")
	s, err := ask(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer finish(s)
	c, tcp := s.(*sshlink.Session).Link().Wire.Conn.(*net.TCPConn)
	if !tcp {
		t.Fatal("no TCP connection")
	}
	if got := option(t, c, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT); got != 25_000 {
		t.Errorf("TCP_USER_TIMEOUT is %d", got)
	}
	m.Close()
}
