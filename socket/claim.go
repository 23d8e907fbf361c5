package socket

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// claim is the right to serve a place: its open directory, and in it the lock
// that is held for life. Only who has it binds, renames or removes there.
type claim struct {
	dir  int
	lock lockFile
}

// claimPlace takes the place, or fails with a *RunningError. A lock is worth
// something only if it is on the file that the next one will open, so when a
// cleaner removed the file between open and lock, it is done over; a cleaner
// comes once a day, so the loop ends.
func claimPlace(p Place) (claim, error) {
	dir, err := p.open(true)
	if err != nil {
		return claim{}, err
	}
	for {
		l, err := lockIn(dir, p)
		if err != nil {
			unix.Close(dir)
			return claim{}, err
		}
		c := claim{dir, l}
		if c.holds(dir, p) {
			return c, nil
		}
		l.close()
	}
}

func lockIn(dir int, p Place) (lockFile, error) {
	l, err := openLock(dir, p.LockPath(), p.lockName())
	if err != nil {
		return lockFile{}, err
	}
	ok, err := l.tryLock()
	switch {
	case err != nil:
		err = &os.PathError{Op: "lock", Path: p.LockPath(), Err: err}
	case !ok:
		err = &RunningError{Path: p.Path(), PID: l.readPID()}
	default:
		_ = l.writePID() // for messages; a full disk must not keep muxd from serving
	}
	if err != nil {
		l.close()
		return lockFile{}, err
	}
	return l, nil
}

// holds reports whether the lock file in dir is the one that c has locked.
func (c claim) holds(dir int, p Place) bool {
	id, _, err := statAt(dir, p.lockName())
	return err == nil && id == c.lock.id
}

// confirm finds out whether c still is the right to serve p, whose directory
// or lock file may have been removed meanwhile. If so the lock that c holds is
// on a file nobody will ever open again, and the place must be claimed anew,
// in competition with others; losing is ErrTakenOver.
func (c claim) confirm(p Place) (claim, error) {
	dir, err := p.open(true)
	if err != nil {
		return c, err
	}
	defer unix.Close(dir)
	if c.holds(dir, p) {
		return c, nil
	}
	fresh, err := claimPlace(p)
	if errors.Is(err, ErrRunning) {
		return c, takenOver(err)
	}
	if err != nil {
		return c, err
	}
	return fresh, nil
}

// release lets the next muxd serve.
func (c claim) release() error {
	unix.Close(c.dir)
	if c.lock.fd < 0 { // of ListenAt
		return nil
	}
	return c.lock.close()
}
