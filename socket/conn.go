package socket

import (
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Conn is a connection between a client and a muxd of the same user. Close and
// the deadlines may be used at any time from any goroutine and take effect on
// calls under way. One Read or ReadFDs and one Write or WriteFDs may run at
// once; two of the same direction must be kept apart by the caller.
type Conn struct {
	file   *os.File
	raw    syscall.RawConn // of file
	peer   peer
	scarce bool        // set by Accept alone
	closed atomic.Bool // set before file is closed
}

// newConn takes over fd, a connected socket that is non-blocking, which is
// what makes os.File use the runtime's poller and so gives it deadlines and a
// Close that wakes a reader.
func newConn(fd int, name string, p peer) (*Conn, error) {
	f := os.NewFile(uintptr(fd), name)
	raw, err := f.SyscallConn()
	if err != nil {
		f.Close()
		return nil, err
	}
	return &Conn{file: f, raw: raw, peer: p}, nil
}

// Read reads up to len(p) bytes. At the end it returns io.EOF, past a deadline
// an error that matches os.ErrDeadlineExceeded, after Close one that matches
// os.ErrClosed. Descriptors that come with the bytes are dropped.
func (c *Conn) Read(p []byte) (int, error) { return c.file.Read(p) }

// Write writes all of p, or says why not; a peer that has gone is EPIPE and
// never a signal.
func (c *Conn) Write(p []byte) (int, error) { return c.file.Write(p) }

// Close closes the connection. Calls under way return os.ErrClosed.
func (c *Conn) Close() error {
	c.closed.Store(true)
	return c.file.Close()
}

// CloseWrite ends what the peer reads. It may be called from any goroutine; what
// a Write under way has not written yet fails.
func (c *Conn) CloseWrite() error {
	var err error
	cerr := c.raw.Control(func(fd uintptr) { err = unix.Shutdown(int(fd), unix.SHUT_WR) })
	if cerr != nil {
		err = cerr
	}
	if err != nil {
		return c.fault("shutdown", err)
	}
	return nil
}

// SetDeadline bounds reads and writes, those under way included. The zero
// time means no bound.
func (c *Conn) SetDeadline(t time.Time) error { return c.file.SetDeadline(t) }

// SetReadDeadline bounds Read and ReadFDs.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.file.SetReadDeadline(t) }

// SetWriteDeadline bounds Write and WriteFDs.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.file.SetWriteDeadline(t) }

// PeerPID is the process that opened the other end, 0 if it is not to be seen
// from here. It is for messages: numbers are reused, and a descriptor may have
// been handed on.
func (c *Conn) PeerPID() int { return c.peer.pid }

// Scarce reports a connection that Accept returned when this process was about
// to run out of descriptors: it should be closed soon.
func (c *Conn) Scarce() bool { return c.scarce }

// Unread reports bytes of the peer's that nobody has read, whatever the deadline.
func (c *Conn) Unread() bool {
	n := 0
	c.raw.Control(func(fd uintptr) {
		var b [1]byte
		n, _, _ = unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
	})
	return n > 0
}

// fault gives an error of a raw call the form that Read and Write give theirs.
// A raw call on a closed file fails with an error that is internal to the
// runtime, hence the flag.
func (c *Conn) fault(op string, err error) error {
	if c.closed.Load() {
		err = os.ErrClosed
	}
	return &os.PathError{Op: op, Path: c.file.Name(), Err: err}
}

// Spare reports that this process has descriptors enough to take some that it
// could do without: half of those that it may open are free.
func (c *Conn) Spare() bool {
	lowest := -1
	c.raw.Control(func(fd uintptr) { lowest, _ = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0) })
	if lowest < 0 {
		return false
	}
	unix.Close(lowest)
	var r unix.Rlimit
	return unix.Getrlimit(unix.RLIMIT_NOFILE, &r) == nil && uint64(lowest) < uint64(r.Cur)/2
}
