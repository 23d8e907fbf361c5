package forward

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"muxd/control"
)

// mostPath is how long the path of a Unix socket may be: the C string has its
// NUL in the same place (107 on Linux, 103 on macOS).
const mostPath = len(syscall.RawSockaddrUnix{}.Path) - 1

// unixListener is a Unix socket whose path goes when it is closed, if it is
// still its own.
type unixListener struct {
	*net.UnixListener
	path string
	own  fs.FileInfo // nil: not known
	once sync.Once
}

// Close implements net.Listener. The path goes first: a client that finds it
// finds somebody.
func (l *unixListener) Close() (err error) {
	l.once.Do(func() {
		if now, e := os.Lstat(l.path); e == nil && os.SameFile(now, l.own) {
			os.Remove(l.path)
		}
		err = l.UnixListener.Close()
	})
	return err
}

func listenUnix(path string, how control.ForwardOptions) (net.Listener, error) {
	if len(path) > mostPath {
		return nil, fmt.Errorf("listen on %s: the path has %d bytes, and a Unix socket's has at most %d", path, len(path), mostPath)
	}
	if how.Unlink { // sshd and ssh do so whatever it is (misc.c, unix_listener)
		if err := unix.Unlink(path); err != nil && err != unix.ENOENT && !isDir(path) {
			return nil, fmt.Errorf("remove %s: %w", path, err)
		}
	}
	l, err := bindUnix(path, how.Mask)
	if errors.Is(err, syscall.EADDRINUSE) && forsaken(path) {
		l, err = bindUnix(path, how.Mask)
	}
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, inTheWay(path, cause(err)))
	}
	return l, nil
}

// bindUnix makes the socket with the permissions that mask leaves. They are set
// on the socket before it has a path, so that the path never had more: what a
// socket is bound with is its own mode without the process's umask, which is
// stricter than most masks and cannot be changed for one goroutine. macOS
// refuses that, and has the umask alone. What the umask took too much comes back
// after.
func bindUnix(path string, mask uint32) (*unixListener, error) {
	mode := 0o777 &^ mask & 0o777
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { unix.Fchmod(int(fd), mode) })
	}}
	nl, err := lc.Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, err
	}
	l := &unixListener{UnixListener: nl.(*net.UnixListener), path: path}
	l.SetUnlinkOnClose(false)
	if l.own, err = os.Lstat(path); err == nil && uint32(l.own.Mode().Perm()) != mode {
		err = os.Chmod(path, fs.FileMode(mode))
	}
	if err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// forsaken removes the socket at path if it is ours and nobody listens to it:
// that of a program which was killed. Refused once may also be one that is about
// to listen, so it is asked twice.
func forsaken(path string) bool {
	at, err := os.Lstat(path)
	if err != nil || at.Mode().Type() != fs.ModeSocket || !ours(at) {
		return false
	}
	for try := range 2 {
		if try > 0 {
			time.Sleep(20 * time.Millisecond)
		}
		nc, err := net.DialTimeout("unix", path, time.Second)
		if err == nil {
			nc.Close()
			return false
		}
		if !errors.Is(err, syscall.ECONNREFUSED) {
			return false
		}
	}
	now, err := os.Lstat(path)
	return err == nil && os.SameFile(at, now) && os.Remove(path) == nil
}

func ours(at fs.FileInfo) bool {
	st, ok := at.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) == os.Getuid()
}

// inTheWay says what an address in use is in use by.
func inTheWay(path string, err error) error {
	if err != syscall.EADDRINUSE {
		return err
	}
	at, lerr := os.Lstat(path)
	switch {
	case lerr != nil:
		return err
	case at.IsDir():
		return fmt.Errorf("a directory is in the way: %w", err)
	case at.Mode().Type() == fs.ModeSocket:
		return err
	}
	return fmt.Errorf("a file is in the way (StreamLocalBindUnlink yes removes it): %w", err)
}

func isDir(path string) bool {
	at, err := os.Lstat(path)
	return err == nil && at.IsDir()
}
