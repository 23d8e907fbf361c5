package knownhosts

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// openLocked opens the file and waits for its lock, which is held for one
// reading and one writing. Whoever held it before may have put another file in
// this one's place: what is written to the old one then would be lost, so the
// new one is opened.
func openLocked(file string, flag int) (*os.File, error) {
	for {
		f, err := os.OpenFile(file, flag, 0o600)
		if err != nil {
			return nil, err
		}
		if err := lock(f); err != nil {
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", file, err)
		}
		mine, err := f.Stat()
		if err != nil {
			f.Close()
			return nil, err
		}
		now, err := os.Stat(file)
		if err == nil && os.SameFile(mine, now) {
			return f, nil
		}
		f.Close()
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
}

// lock waits for the file's lock. A file system without locks (some NFS) is
// written without: the worst is a line that stands there twice.
func lock(f *os.File) error {
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.ENOLCK), errors.Is(err, unix.ENOTSUP), errors.Is(err, unix.EOPNOTSUPP):
			return nil
		}
		return err
	}
}
