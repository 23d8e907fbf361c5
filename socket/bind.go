package socket

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// backlog is how many clients may wait to be accepted: a parallel make or an
// ansible run starts some hundreds at once. The kernel caps it by its own
// limit (4096 on Linux since 5.4).
const backlog = 1024

// bound is one listening socket. It is never rebound; a listener whose path
// has vanished gets a new one.
type bound struct {
	file *os.File
	raw  syscall.RawConn // of file
	id   inode           // of the path; zero if it was gone already
	ours bool            // made by this process, so removed by it too
}

func newBound(fd int, path string, id inode, ours bool) (*bound, error) {
	f := os.NewFile(uintptr(fd), path)
	raw, err := f.SyscallConn()
	if err != nil {
		f.Close()
		return nil, err
	}
	return &bound{f, raw, id, ours}, nil
}

// bind makes p's socket and puts it in place in one step: it is bound under a
// random name, made private, set listening, and only then renamed. So nobody
// ever finds at the path a socket that refuses him while a muxd is starting,
// and what a dead muxd left is replaced without a moment of nothing there.
// A socket another program listens on, and what is no socket, is not replaced.
func (c claim) bind(p Place) (*bound, error) {
	if err := c.vacant(p); err != nil {
		return nil, err
	}
	c.sweep(p)
	fd, err := newSocket()
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	// math/rand suffices: nobody else can make names in this directory.
	temp := fmt.Sprintf("%s.%016x", p.Name, rand.Uint64())
	id, err := c.publish(fd, p, temp)
	if err != nil {
		_ = unix.Unlinkat(c.dir, temp, 0)
		unix.Close(fd)
		return nil, fmt.Errorf("cannot serve %s: %w", p.Path(), err)
	}
	return newBound(fd, p.Path(), id, true)
}

func (c claim) publish(fd int, p Place, temp string) (id inode, err error) {
	if id, err = c.prepare(fd, p, temp); err != nil {
		return id, err
	}
	return id, os.NewSyscallError("rename", unix.Renameat(c.dir, temp, c.dir, p.Name))
}

// prepare makes a socket under a name that nobody looks for, private and
// listening.
func (c claim) prepare(fd int, p Place, temp string) (id inode, err error) {
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: c.bindPath(p, temp)}); err != nil {
		return id, os.NewSyscallError("bind", err)
	}
	// The mode comes from the umask, which belongs to the whole process and
	// so is not changed here. Until listen nobody can connect anyway.
	if err := unix.Fchmodat(c.dir, temp, 0o600, 0); err != nil {
		return id, os.NewSyscallError("chmod", err)
	}
	if id, _, err = statAt(c.dir, temp); err != nil {
		return id, err
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return id, os.NewSyscallError("fcntl", err)
	}
	return id, os.NewSyscallError("listen", unix.Listen(fd, backlog))
}

// bindPath prefers the true path, since that is what ss and lsof will show.
func (c claim) bindPath(p Place, temp string) string {
	path := filepath.Join(p.Dir, temp)
	if len(path) > maxBind {
		if short, ok := viaFD(c.dir); ok {
			return short + "/" + temp
		}
	}
	return path
}

// vacant reports whether the path may be taken: there is nothing, or a socket
// on which nobody listens. A listener that does not hold the lock is not a
// muxd, say an agent whose path MUXD_SOCKET was set to by mistake.
func (c claim) vacant(p Place) error {
	_, mode, err := statAt(c.dir, p.Name)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if mode&unix.S_IFMT != unix.S_IFSOCK {
		return unsound(p.Path(), "is %s and not a socket: remove it, or set MUXD_SOCKET to another path", kind(mode))
	}
	fd, err := connected(p.Path())
	if err == unix.ECONNREFUSED || err == unix.ENOENT {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s is in use: %w", p.Path(), err)
	}
	defer unix.Close(fd)
	other, _ := peerOf(fd)
	return &RunningError{Path: p.Path(), PID: other.pid}
}

// sweep removes what muxds that were killed between bind and rename left.
// Nobody is between the two now, since that takes the lock. Failure is of no
// consequence: the names are never used again.
func (c claim) sweep(p Place) {
	entries, _ := os.ReadDir(p.Dir)
	for _, e := range entries {
		digits, ok := strings.CutPrefix(e.Name(), p.Name+".")
		if ok && e.Type() == os.ModeSocket && len(digits) == 16 && strings.Trim(digits, "0123456789abcdef") == "" {
			_ = unix.Unlinkat(c.dir, e.Name(), 0)
		}
	}
}

// remove removes b's path, if it is b's: it may be a successor's by now, and
// it is the starter's if we were handed the socket. To be called before b is
// closed, while its inode cannot have become another file's.
func (c claim) remove(p Place, b *bound) error {
	id, _, err := statAt(c.dir, p.Name)
	if err != nil || id != b.id || !b.ours {
		return nil
	}
	return os.NewSyscallError("unlink", unix.Unlinkat(c.dir, p.Name, 0))
}
