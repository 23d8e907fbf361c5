package socket

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// startWait bounds the wait for a client that is starting muxd. A start takes
// milliseconds; a starter that was stopped would otherwise hang every other.
const startWait = 10 * time.Second

// lockFile is an open file in a place's directory that can be locked. flock
// and not fcntl: it belongs to the open file, so closing another descriptor
// of the same file does not drop it, two listeners in one process exclude each
// other, and the kernel frees it when the holder is killed.
type lockFile struct {
	fd int
	id inode
}

// openLock opens or makes the file. It is never removed, since removing a
// locked file lets the next one lock another of the same name.
func openLock(dir int, path, name string) (lockFile, error) {
	// O_NONBLOCK: a named pipe in its place must not hang us.
	fd, err := openAt(dir, name, unix.O_RDWR|unix.O_CREAT|unix.O_NONBLOCK, 0o600)
	if err != nil {
		return lockFile{}, &os.PathError{Op: "open", Path: path, Err: err}
	}
	var st unix.Stat_t
	err = unix.Fstat(fd, &st)
	if mode := uint32(st.Mode); err == nil && (mode&unix.S_IFMT != unix.S_IFREG || st.Uid != uint32(os.Geteuid())) {
		err = unsound(path, "is %s of %s and not a file of uid %d: remove it", kind(mode), owner(st.Uid), os.Geteuid())
	} else if err == nil && st.Nlink > 1 {
		// What is written into it must not be written into something else.
		err = unsound(path, "is a hard link to another file: remove it")
	}
	if err != nil {
		unix.Close(fd)
		return lockFile{}, err
	}
	return lockFile{fd, inode{uint64(st.Dev), uint64(st.Ino)}}, nil
}

func (l lockFile) close() error { return unix.Close(l.fd) }

// tryLock takes the lock if it is free; false says that somebody holds it.
func (l lockFile) tryLock() (bool, error) {
	err := again(func() error { return unix.Flock(l.fd, unix.LOCK_EX|unix.LOCK_NB) })
	if err == unix.EWOULDBLOCK {
		return false, nil
	}
	return err == nil, err
}

// lockWithin takes the lock, waiting for it; with an error the file is no
// longer the caller's. The wait is a blocking call in a goroutine of its own
// and not a poll, so that fifty waiting clients follow one another without
// pauses. No call can end it early: when time is up it is left behind with the
// file, and frees the lock should it ever get it.
func (l lockFile) lockWithin(wait time.Duration) error {
	got, abandoned := make(chan error), make(chan struct{})
	go func() {
		err := again(func() error { return unix.Flock(l.fd, unix.LOCK_EX) })
		select {
		case got <- err:
		case <-abandoned:
			l.close()
		}
	}()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case err := <-got:
		if err != nil {
			l.close()
		}
		return err
	case <-timer.C:
		holder := l.readPID()
		close(abandoned)
		return fmt.Errorf("another client (pid %d) has been starting muxd for %v, is it stopped? %w", holder, wait, os.ErrDeadlineExceeded)
	}
}

// writePID leaves this process's number for messages.
func (l lockFile) writePID() error {
	if err := unix.Ftruncate(l.fd, 0); err != nil {
		return err
	}
	_, err := unix.Pwrite(l.fd, []byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

// readPID is the number that the holder left, 0 if there is none yet.
func (l lockFile) readPID() int {
	var buf [20]byte
	n, err := unix.Pread(l.fd, buf[:], 0)
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(buf[:n])))
	if err != nil {
		return 0
	}
	return pid
}

// LockStart serialises the clients that found no muxd at p, so that fifty first
// ones start one. Whoever gets the lock must Dial once more before he starts a
// muxd, and unlocks when that muxd answers or has failed. It makes the
// directory if need be. A holder that does not let go within ten seconds, being
// stopped, is an error that matches os.ErrDeadlineExceeded; one that dies lets
// go. The lock is not inherited by processes started under it.
func LockStart(p Place) (unlock func(), err error) { return lockStart(p, startWait) }

func lockStart(p Place, wait time.Duration) (unlock func(), err error) {
	dir, err := p.open(true)
	if err != nil {
		return nil, err
	}
	defer unix.Close(dir)
	path := p.Dir + "/" + p.startName()
	l, err := openLock(dir, path, p.startName())
	if err != nil {
		return nil, err
	}
	ok, err := l.tryLock()
	if err != nil {
		l.close()
	} else if !ok {
		err = l.lockWithin(wait)
	}
	if err != nil {
		return nil, &os.PathError{Op: "lock", Path: path, Err: err}
	}
	_ = l.writePID() // for messages; a full disk must not keep muxd from starting
	return sync.OnceFunc(func() { l.close() }), nil
}
