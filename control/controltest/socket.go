package controltest

import (
	"os"
	"syscall"
	"testing"
)

// Socket is one end of a real socketpair, with what a control.ServerConn needs
// besides.
type Socket struct {
	*os.File
	raw syscall.RawConn // of File
	// PID is what PeerPID says.
	PID int
}

// SocketPair returns two connected Unix sockets, which the test's end closes.
func SocketPair(t testing.TB) (client, server *Socket) {
	t.Helper()
	syscall.ForkLock.RLock()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fds[0])
		syscall.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		t.Fatal(err)
	}
	client, server = newSocket(t, fds[0]), newSocket(t, fds[1])
	server.PID = os.Getpid()
	return client, server
}

// newSocket makes fd non-blocking first, which is what gives an os.File its
// deadlines and a Close that wakes a reader.
func newSocket(t testing.TB, fd int) *Socket {
	t.Helper()
	if err := syscall.SetNonblock(fd, true); err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "socketpair")
	t.Cleanup(func() { f.Close() })
	raw, err := f.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	return &Socket{File: f, raw: raw}
}

// PeerPID implements control.ServerConn.
func (s *Socket) PeerPID() int { return s.PID }

// ReadFDs implements control.ServerConn; it returns all descriptors that came.
func (s *Socket) ReadFDs(p []byte, _ int) (n int, fds []int, err error) {
	oob := make([]byte, syscall.CmsgSpace(4*16))
	var oobn int
	rerr := s.raw.Read(func(fd uintptr) bool {
		n, oobn, _, _, err = syscall.Recvmsg(int(fd), p, oob, 0)
		return err != syscall.EAGAIN
	})
	if rerr != nil {
		return 0, nil, rerr
	}
	if err != nil {
		return 0, nil, err
	}
	msgs, err := syscall.ParseSocketControlMessage(oob[:oobn])
	for i := range msgs {
		if got, err := syscall.ParseUnixRights(&msgs[i]); err == nil {
			fds = append(fds, got...)
		}
	}
	return n, fds, err
}

// WriteFDs implements control.FDConn. The descriptors stay the caller's.
func (s *Socket) WriteFDs(p []byte, fds ...int) (n int, err error) {
	werr := s.raw.Write(func(fd uintptr) bool {
		n, err = syscall.SendmsgN(int(fd), p, syscall.UnixRights(fds...), nil, 0)
		return err != syscall.EAGAIN
	})
	switch {
	case werr != nil:
		return 0, werr
	case err != nil:
		return 0, err
	case n < len(p):
		m, err := s.Write(p[n:])
		return n + m, err
	}
	return n, nil
}

// HalfClose ends the direction from s to its peer.
func (s *Socket) HalfClose() error {
	var err error
	if cerr := s.raw.Control(func(fd uintptr) { err = syscall.Shutdown(int(fd), syscall.SHUT_WR) }); cerr != nil {
		return cerr
	}
	return err
}

// Unread is as socket.Conn's.
func (s *Socket) Unread() bool {
	n := 0
	s.raw.Control(func(fd uintptr) {
		var b [1]byte
		n, _, _ = syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	})
	return n > 0
}
