package socket

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// ListenAt serves a path that somebody named for one connection: a ControlPath.
// Unlike Listen it leaves no lock behind, because others write there too: an ssh
// that is master at the same path follows no rule of ours. So the socket is
// linked into place, as in mux.c (muxserver_listen), and what somebody listens on
// is never replaced. The error is a *RunningError if somebody does, and an
// *UnsoundError for a directory or a file that is not to be trusted or replaced.
func ListenAt(path string) (*Listener, error) {
	p := Place{Dir: filepath.Dir(path), Name: filepath.Base(path)}
	switch {
	case !filepath.IsAbs(path):
		return nil, unsound(path, "is not an absolute path")
	case len(path) > maxPath:
		return nil, unsound(path, "is longer than the %d bytes that a Unix socket's path can have: use a shorter one, such as one with %%C in a short directory", maxPath)
	}
	if err := named(); err != nil {
		return nil, err
	}
	dir, err := openShared(p.Dir)
	if err != nil {
		return nil, err
	}
	c := claim{dir: dir, lock: lockFile{fd: -1}}
	b, err := c.bindShared(p)
	if err != nil {
		c.release()
		return nil, err
	}
	return newListener(p, c, b), nil
}

// openShared opens a directory in which nobody else can move what we make.
func openShared(dir string) (int, error) {
	fd, err := openAt(unix.AT_FDCWD, dir+"/", unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: dir, Err: err}
	}
	var st unix.Stat_t
	if err = unix.Fstat(fd, &st); err == nil {
		err = judgeShared(dir, &st)
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// judgeShared is judgeParent for a directory whose name is the user's own choice.
func judgeShared(dir string, st *unix.Stat_t) error {
	mode := uint32(st.Mode)
	switch {
	case st.Uid != uint32(os.Geteuid()) && st.Uid != 0:
		return unsound(dir, "is owned by %s, who could replace a socket in it: use a directory of your own", owner(st.Uid))
	case mode&0o002 != 0 && mode&unix.S_ISVTX == 0:
		return unsound(dir, "is writable by everyone and not sticky, so anybody could replace a socket in it: use a directory of your own")
	}
	return nil
}

// tempName is how many bytes of a socket's name that under which it is bound
// begins with: there has to be room for it behind the path of a descriptor too
// (bindPath), however long the name is.
const tempName = 64

// bindShared is bind where others may bind too.
func (c claim) bindShared(p Place) (*bound, error) {
	fd, err := newSocket()
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	temp := fmt.Sprintf("%s.%016x", p.Name[:min(len(p.Name), tempName)], rand.Uint64())
	id, err := c.prepare(fd, p, temp)
	if err == nil {
		err = c.linkAlone(p, temp)
	}
	_ = unix.Unlinkat(c.dir, temp, 0)
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	return newBound(fd, p.Path(), id, true)
}

// linkAlone is link while no other of ours does the same: of two that clear a
// dead socket away, one could move what the other has just put there, and a
// third take the name. It is the directory that is locked, so nothing is left.
func (c claim) linkAlone(p Place, temp string) error {
	lock := lockFile{fd: c.dir}
	for until := time.Now().Add(linkWait); ; time.Sleep(time.Millisecond) {
		if ok, err := lock.tryLock(); ok || err != nil || time.Now().After(until) {
			break // whoever keeps a directory locked is not one of ours
		}
	}
	defer unix.Flock(c.dir, unix.LOCK_UN)
	return c.link(p, temp)
}

// linkWait bounds the wait for the others; each of them takes microseconds.
const linkWait = time.Second

// link gives the socket its name, where nothing has it or what a dead master
// left.
func (c claim) link(p Place, temp string) error {
	for attempt := 0; ; attempt++ {
		err := unix.Linkat(c.dir, temp, c.dir, p.Name, 0)
		if err == nil {
			return nil
		}
		if !errors.Is(err, unix.EEXIST) || attempt == 3 {
			return &os.PathError{Op: "link", Path: p.Path(), Err: err}
		}
		if err := c.clear(p, temp+".old"); err != nil {
			return err
		}
	}
}

// clear removes a socket on which nobody listens. It is moved aside first and
// looked at again: between a look and a removal another master may have put its
// own there, which then gets its name back.
func (c claim) clear(p Place, aside string) error {
	before, mode, err := statAt(c.dir, p.Name)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return err
	case mode&unix.S_IFMT != unix.S_IFSOCK:
		return unsound(p.Path(), "is %s and not a socket: remove it, or use another path", kind(mode))
	}
	if err := c.vacant(p); err != nil {
		return err
	}
	if err := unix.Renameat(c.dir, p.Name, c.dir, aside); err != nil {
		if errors.Is(err, unix.ENOENT) {
			return nil
		}
		return &os.PathError{Op: "rename", Path: p.Path(), Err: err}
	}
	if after, _, err := statAt(c.dir, aside); err == nil && after != before {
		_ = unix.Linkat(c.dir, aside, c.dir, p.Name, 0)
	}
	_ = unix.Unlinkat(c.dir, aside, 0)
	return nil
}
