package socket

import (
	"errors"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// End is one end of a pair of connected Unix sockets that a client made: the
// one that came to muxd with a request. Close may be called at any time from any
// goroutine and takes effect on calls under way; one Receive or WaitGone and one
// Write may run at once.
type End struct {
	file   *os.File
	raw    syscall.RawConn // of file
	closed atomic.Bool     // set before file is shut down
}

var errNotEnd = errors.New("a descriptor that is no connected Unix stream socket")

// TakeEnd becomes the owner of fd if that is a connected Unix socket on which
// bytes travel in order; otherwise fd stays the caller's.
//
// It sets O_NONBLOCK, which is shared with everybody who has this very end. That
// is nobody who uses it: whoever makes a pair keeps the other end, which is
// another open file description with flags of its own, and hands this one over.
func TakeEnd(fd int) (*End, error) {
	if kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE); err != nil || kind != unix.SOCK_STREAM {
		return nil, errNotEnd
	}
	here, err := unix.Getsockname(fd)
	if _, ok := here.(*unix.SockaddrUnix); err != nil || !ok {
		return nil, errNotEnd
	}
	if _, err := unix.Getpeername(fd); err != nil {
		return nil, errNotEnd
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	f := os.NewFile(uintptr(fd), "end of a pair")
	raw, err := f.SyscallConn()
	if err != nil {
		f.Close()
		return nil, err
	}
	return &End{file: f, raw: raw}, nil
}

// pieceSize is how many bytes an End receives at once: two SSH packets.
const pieceSize = 64 << 10

// pieces are borrowed for as long as bytes are on their way.
var pieces = sync.Pool{New: func() any { return new([pieceSize]byte) }}

// Receive waits for bytes, without holding any memory for them, and calls f
// with what there is, up to 64 KiB, that belongs to f until it returns. At the
// end of what the other side sends the error is io.EOF; after Close it matches
// os.ErrClosed; an error of f is returned as it is.
func (e *End) Receive(f func(b []byte) error) error {
	var b *[pieceSize]byte
	var n int
	var err error
	rerr := e.raw.Read(func(fd uintptr) bool {
		b = pieces.Get().(*[pieceSize]byte)
		if err = again(func() error { n, err = unix.Read(int(fd), b[:]); return err }); err == unix.EAGAIN {
			pieces.Put(b)
			return false
		}
		return true
	})
	if rerr != nil {
		return os.ErrClosed // nothing was read, and there are no deadlines
	}
	defer pieces.Put(b)
	switch {
	case e.closed.Load(): // what was read is for nobody any more
		return os.ErrClosed
	case err != nil:
		return os.NewSyscallError("read", err)
	case n == 0:
		return io.EOF
	}
	return f(b[:n])
}

// Write writes all of b, or says why not; a peer that reads no more is EPIPE.
func (e *End) Write(b []byte) (int, error) { return e.file.Write(b) }

// CloseWrite ends what the other side reads.
func (e *End) CloseWrite() error { return e.shutdown(unix.SHUT_WR) }

// CloseRead has the other side's writes fail, and counts as a Receive: what was
// not received goes. A writer that waits for room until a poller wakes it is told
// of nothing but room (Linux, unix_poll), so it would wait for ever beside a queue
// that stays full; and nothing comes into the queue any more.
func (e *End) CloseRead() error {
	err := e.shutdown(unix.SHUT_RD)
	if err == nil {
		e.raw.Control(func(fd uintptr) { discard(int(fd)) })
	}
	return err
}

func (e *End) shutdown(how int) error {
	var err error
	if cerr := e.raw.Control(func(fd uintptr) { err = unix.Shutdown(int(fd), how) }); cerr != nil {
		return os.ErrClosed
	}
	return os.NewSyscallError("shutdown", err)
}

// Gone reports that nobody has the other end any more, or that both directions
// were closed here. It is true also after Close.
func (e *End) Gone() bool {
	gone := true
	e.raw.Control(func(fd uintptr) { gone = hungUp(int(fd)) })
	return gone
}

// WaitGone returns once Gone is true. It may be called when the other side has
// ended sending, or CloseRead was called: before, there may be bytes to receive.
func (e *End) WaitGone() {
	e.raw.Read(func(fd uintptr) bool { return hungUp(int(fd)) })
}

// hungUp asks the kernel, without waiting.
func hungUp(fd int) bool {
	p := []unix.PollFd{{Fd: int32(fd)}}
	n, err := unix.Poll(p, 0)
	return err == nil && n > 0 && p[0].Revents&(unix.POLLHUP|unix.POLLERR|unix.POLLNVAL) != 0
}

// Close closes the end. What was written arrives. What was not received goes,
// and goes first: where some is left, the other side would read a reset in place
// of the end (unix(7), ECONNRESET).
func (e *End) Close() error {
	e.closed.Store(true)
	e.raw.Control(func(fd uintptr) {
		if unix.Shutdown(int(fd), unix.SHUT_RDWR) == nil {
			discard(int(fd))
		}
	})
	return e.file.Close()
}

// discard empties the queue of a socket to which nobody can add any more.
func discard(fd int) {
	b := pieces.Get().(*[pieceSize]byte)
	defer pieces.Put(b)
	for {
		if n, err := unix.Read(fd, b[:]); err != unix.EINTR && n <= 0 {
			return
		}
	}
}

// Pair makes two connected Unix sockets, close-on-exec and blocking, both of
// which the caller closes.
func Pair() (ours, theirs *os.File, err error) {
	syscall.ForkLock.RLock() // no child may inherit the pair before it is marked
	defer syscall.ForkLock.RUnlock()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	unix.CloseOnExec(fds[0])
	unix.CloseOnExec(fds[1])
	return os.NewFile(uintptr(fds[0]), "pair"), os.NewFile(uintptr(fds[1]), "pair"), nil
}

// Pass hands fd over on the socket on, in the one message that ssh waits for
// from a ProxyCommand (monitor_fdpass.c, mm_send_fd): one zero byte, with the
// descriptor. A socket that is non-blocking, because somebody who shares it made
// it so, is waited for, and its flag stays.
func Pass(on, fd int) error {
	rights := unix.UnixRights(fd)
	for {
		err := again(func() error { return unix.Sendmsg(on, []byte{0}, rights, nil, 0) })
		if err != unix.EAGAIN {
			return os.NewSyscallError("sendmsg", err)
		}
		unix.Poll([]unix.PollFd{{Fd: int32(on), Events: unix.POLLOUT}}, -1)
	}
}

// IsSocket reports a descriptor that is a socket.
func IsSocket(fd int) bool {
	_, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	return err == nil
}
