package sshlink

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"

	"muxd/control"
)

// TestMark: terminals alone are interactive.
func TestMark(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0") // socket options need a real socket
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	nc, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	raw, err := nc.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	l := &Link{Config: Config{QoS: [2]int{0x48, 0x20}}, tcp: nc.(*net.TCPConn), sessions: map[*Session]struct{}{}}
	shell, command := &Session{r: &control.SessionRequest{TTY: &control.TTY{}}}, &Session{r: &control.SessionRequest{}}
	steps := []struct {
		do   func()
		want int
	}{
		{func() { l.sessions[shell] = struct{}{} }, 0x48},
		{func() { l.sessions[command] = struct{}{} }, 0x20},
		{func() { delete(l.sessions, command) }, 0x48},
		{func() { delete(l.sessions, shell) }, 0x20},
	}
	for i, s := range steps {
		s.do()
		l.mark()
		got := -1
		raw.Control(func(fd uintptr) { got, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_TOS) })
		if err != nil || got != s.want {
			t.Errorf("step %d: TOS %#x, want %#x, %v", i, got, s.want, err)
		}
	}
}
