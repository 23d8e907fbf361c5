package knownhosts

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// openLocked opens the file and waits for its lock, which is held for one
// reading and one writing. Whoever held it before may have put another file in
// this one's place: what is written to the old one then would be lost, so the
// new one is opened.
func openLocked(file string, flag int) (*os.File, error) {
	for {
		f, err := os.OpenFile(file, flag|unix.O_NONBLOCK, 0o600)
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

// lockTime bounds the wait for a lock, and lockPause is the pause between two
// looks. Nobody needs one for longer than the milliseconds of a rewrite; but a
// process that has one and was stopped must not stop every login with it, as a
// login that waits here cannot be given up. Tests shorten it.
var lockTime = 5 * time.Second

const lockPause = 5 * time.Millisecond

// lock waits for the file's lock. A file system without locks (some NFS) is
// written without: the worst is a line that stands there twice.
func lock(f *os.File) error {
	for end := time.Now().Add(lockTime); ; {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EWOULDBLOCK):
			if !time.Now().Before(end) {
				return errLocked
			}
			time.Sleep(lockPause)
			continue
		case errors.Is(err, unix.ENOLCK), errors.Is(err, unix.ENOTSUP), errors.Is(err, unix.EOPNOTSUPP):
			return nil
		}
		return err
	}
}
