package socket

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

const (
	// socketName has no host, user or version in it, so that the length of
	// the path is known before it is needed and nothing private shows in ss.
	socketName = "ctl"

	// maxName keeps "/proc/self/fd/N/" + name + "." + 16 digits, by which a
	// socket in a deep directory is bound, inside the 107 bytes of sun_path.
	maxName = 64
)

// Place is one spot from which a muxd may serve. It is a comparable value and
// safe for concurrent use; making one touches nothing.
type Place struct {
	Dir  string // the private directory, absolute
	Name string // of the socket in it

	// anchor, if set and present, is where directories missing above Dir may
	// be made. Empty: nothing but Dir itself is ever made.
	anchor string
}

// At is the place of a socket whose whole path was given, as in MUXD_SOCKET.
// A path that cannot serve is reported by Prepare and Check.
func At(path string) Place {
	dir, name := filepath.Split(path)
	if dir != "" {
		dir = filepath.Clean(dir)
	}
	return Place{Dir: dir, Name: name}
}

// Path is the socket's path, which a client connects to.
func (p Place) Path() string { return filepath.Join(p.Dir, p.Name) }

// LockPath is the file whose lock the serving muxd holds for life. It bears
// the socket's name, so two sockets given in one directory do not collide.
func (p Place) LockPath() string { return filepath.Join(p.Dir, p.lockName()) }

func (p Place) lockName() string  { return p.Name + ".lock" }
func (p Place) startName() string { return p.Name + ".start" }

// Prepare makes the directory if it is missing, mode 0700, and checks it as
// Check does. An error is an *UnsoundError when something is there and not
// to be trusted; it matches os.ErrNotExist when the parent is missing.
func (p Place) Prepare() error { return p.inspect(true) }

// Check reports whether the directory may be trusted: it is not a link, it
// belongs to this user alone, and nobody else can put another in its stead.
// It makes nothing; the error matches os.ErrNotExist when nothing is there,
// and is an *UnsoundError when what is there is not to be trusted.
func (p Place) Check() error { return p.inspect(false) }

func (p Place) inspect(create bool) error {
	fd, err := p.open(create)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

// open is the only way to a place's directory. The checks are made on the
// descriptor it returns, so what was checked is what is used.
func (p Place) open(create bool) (int, error) {
	if err := errors.Join(p.usable(), named()); err != nil {
		return -1, err
	}
	if create {
		if err := p.make(); err != nil {
			return -1, err
		}
	}
	fd, err := openAt(unix.AT_FDCWD, p.Dir, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return -1, p.whyClosed(err)
	}
	if err := p.verify(fd); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// usable judges the path as text.
func (p Place) usable() error {
	switch path := p.Path(); {
	case !filepath.IsAbs(p.Dir):
		return fmt.Errorf("socket path %q is not absolute: set MUXD_SOCKET to a full path", path)
	case p.Name == "" || p.Name == "." || p.Name == "..":
		return fmt.Errorf("socket path %q names no file: set MUXD_SOCKET to the path of the socket itself", path)
	case len(p.Name) > maxName:
		return fmt.Errorf("socket name %q has %d bytes and may have %d", p.Name, len(p.Name), maxName)
	case len(path) > maxPath:
		return fmt.Errorf("socket path %s has %d bytes and may have %d: set MUXD_SOCKET to a shorter one", path, len(path), maxPath)
	}
	return nil
}

func (p Place) make() error {
	if p.anchor != "" {
		if _, err := os.Stat(p.anchor); err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Dir(p.Dir), 0o700); err != nil {
			return err
		}
	}
	err := os.Mkdir(p.Dir, 0o700)
	if errors.Is(err, os.ErrExist) {
		return nil // whatever it is that exists, open judges it
	}
	return err
}

// whyClosed turns a refusal of the kernel into the reason behind it: a
// stranger's directory of mode 0700 says no more than "permission denied",
// and a link no more than "too many levels".
func (p Place) whyClosed(cause error) error {
	var st unix.Stat_t
	if unix.Lstat(p.Dir, &st) == nil {
		if err := judge(p.Dir, &st); err != nil {
			return err
		}
	}
	return &os.PathError{Op: "open", Path: p.Dir, Err: cause}
}

func (p Place) verify(fd int) error {
	var st, up unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return &os.PathError{Op: "fstat", Path: p.Dir, Err: err}
	}
	if err := judge(p.Dir, &st); err != nil {
		return err
	}
	// ".." of the open directory is its true parent, whatever the path says
	// by now, and asking needs no permission to read that parent.
	if err := unix.Fstatat(fd, "..", &up, 0); err != nil {
		return &os.PathError{Op: "stat parent of", Path: p.Dir, Err: err}
	}
	return judgeParent(filepath.Dir(p.Dir), &up)
}
