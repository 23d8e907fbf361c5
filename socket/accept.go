package socket

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// acceptPause is how long to leave the queue alone when the process may open
// no more files. Trying at once would spin, since the waiting client keeps the
// socket readable. It is short of the second within which a client shall know.
const acceptPause = 50 * time.Millisecond

// headroom is how many of the descriptors that this process may open clients
// leave to it: for configurations to be read, servers to be dialled, and a word
// to be said to those who come when there are no more. Of few it is a quarter.
const headroom = 16

// Accept waits for the next client of this very user. Connections of others
// are closed before a byte is read or written, and reported through OnReject.
// When the process is out of descriptors it pauses for a moment and goes on.
// After Close, which may come while it waits, it returns os.ErrClosed; any
// other error is final too.
func (l *Listener) Accept() (*Conn, error) {
	for told := false; ; {
		b, err := l.current()
		if err != nil {
			return nil, err
		}
		fd, err := b.accept()
		switch {
		case err == nil:
			if c := l.admit(fd); c != nil {
				return c, nil
			}
		case exhausted(err):
			if !told {
				l.report(fmt.Errorf("cannot accept for now, clients wait: %w", os.NewSyscallError("accept", err)))
			}
			told = true
			if l.OnExhausted != nil {
				l.OnExhausted()
			}
			l.pause()
		case err == unix.ECONNABORTED || err == unix.EPROTO:
			// That client has left; the next one may not have.
		case l.superseded(b):
			// Closed by Check or Close; current tells which.
		default:
			return nil, os.NewSyscallError("accept", err)
		}
	}
}

func (l *Listener) current() (*bound, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, os.ErrClosed
	}
	return l.sock, nil
}

func (l *Listener) superseded(b *bound) bool {
	now, err := l.current()
	return err != nil || now != b
}

// accept waits for one connection. The call is tried before the wait, so a
// connection that came while nobody waited is not missed.
func (b *bound) accept() (nfd int, err error) {
	werr := b.raw.Read(func(fd uintptr) bool {
		err = again(func() error { nfd, err = accept(int(fd)); return err })
		return err != unix.EAGAIN
	})
	if werr != nil {
		return -1, werr
	}
	return nfd, err
}

func exhausted(err error) bool {
	return err == unix.EMFILE || err == unix.ENFILE || err == unix.ENOBUFS || err == unix.ENOMEM
}

// pause waits without keeping Close waiting.
func (l *Listener) pause() {
	timer := time.NewTimer(acceptPause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-l.done:
	}
}

// admit makes a Conn of fd, or closes it and returns nil.
func (l *Listener) admit(fd int) *Conn {
	who, err := peerOf(fd)
	if err == nil {
		err = who.check()
	}
	if err != nil {
		unix.Close(fd)
		l.rejected.Add(1)
		l.report(fmt.Errorf("connection to %s refused: %w", l.place.Path(), err))
		return nil
	}
	c, err := newConn(fd, "client of "+l.place.Path(), who)
	if err != nil {
		l.report(err)
		return nil
	}
	c.scarce = scarce(fd)
	return c
}

// scarce reports whether fd, which was just opened, took one of the last
// descriptors of this process. The lowest free number is given, so all below it
// are in use. The limit is asked each time: it can be set from outside.
func scarce(fd int) bool {
	var r unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &r) != nil {
		return false
	}
	limit := uint64(r.Cur)
	return uint64(fd) >= limit-min(headroom, limit/4)
}

func (l *Listener) report(err error) {
	if l.OnReject != nil {
		l.OnReject(err)
	}
}
