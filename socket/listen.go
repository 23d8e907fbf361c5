package socket

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
)

// Listener is a muxd's socket and the right to serve it. Accept is for one
// goroutine; everything else may be called from any, at any time.
type Listener struct {
	// OnReject, if set, is told of every connection that was turned away and
	// of every pause for want of descriptors. It is called by Accept's
	// goroutine and so must be set before Accept, and must not block.
	OnReject func(error)
	// OnExhausted, if set, is called before each pause for want of descriptors,
	// by the same rules. It may see to it that some are closed.
	OnExhausted func()

	place    Place
	rejected atomic.Uint64
	done     chan struct{} // closed by Close

	mu     sync.Mutex // guards following; held for system calls that do not wait
	claim  claim      // released by Close
	sock   *bound     // replaced by Check, closed by Close
	closed bool
}

// Listen serves p: it prepares the directory, takes the lock and puts a socket
// of mode 0600 in place. The error matches ErrRunning if another process
// serves p, which includes a program that is no muxd listening on that path;
// it is an *UnsoundError if what is there is not to be trusted or replaced.
func Listen(p Place) (*Listener, error) {
	c, err := claimPlace(p)
	if err != nil {
		return nil, err
	}
	b, err := c.bind(p)
	if err != nil {
		c.release()
		return nil, err
	}
	return newListener(p, c, b), nil
}

func newListener(p Place, c claim, b *bound) *Listener {
	return &Listener{place: p, done: make(chan struct{}), claim: c, sock: b}
}

// Place is where l serves.
func (l *Listener) Place() Place { return l.place }

// Rejected counts the connections that were turned away for their uid.
func (l *Listener) Rejected() uint64 { return l.rejected.Load() }

// Check looks whether clients still find l, and mends what can be mended; the
// daemon calls it once a minute, since cleaners of /tmp come by. A vanished
// directory, lock or socket is made again. ErrTakenOver (the error matches it)
// means that others are there now and that l should be closed. Any other error
// says what stands in the way and may be gone the next time.
func (l *Listener) Check() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return os.ErrClosed
	}
	fresh := l.claim
	if l.claim.lock.fd >= 0 {
		var err error
		if fresh, err = l.claim.confirm(l.place); err != nil {
			return err
		}
	}
	if fresh != l.claim {
		l.claim.release()
		l.claim = fresh
	}
	id, _, err := statAt(l.claim.dir, l.place.Name)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return l.rebind()
	case err != nil:
		return err
	case id != l.sock.id:
		return takenOver(fmt.Errorf("%s is another file now", l.place.Path()))
	}
	return nil
}

// rebind puts a new socket where the old one was. Nobody waits in the old
// one's queue for long: without a name it gets no new clients, and Accept has
// been emptying it. One that does, because Accept pauses, reads EOF and dials
// again.
func (l *Listener) rebind() error {
	bind := l.claim.bind
	if l.claim.lock.fd < 0 { // of ListenAt
		bind = l.claim.bindShared
	}
	b, err := bind(l.place)
	if errors.Is(err, ErrRunning) {
		return takenOver(err)
	}
	if err != nil {
		return err
	}
	old := l.sock
	l.sock = b // before the close, which sends Accept to look for it
	old.file.Close()
	return nil
}

func takenOver(cause error) error { return fmt.Errorf("%w: %w", ErrTakenOver, cause) }

// Close stops accepting, removes the socket if the path is still this
// listener's own, and gives up the lock, in this order: a client that comes
// meanwhile finds no socket, and the next muxd cannot bind before this one has
// removed what it had. A second Close returns os.ErrClosed.
func (l *Listener) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return os.ErrClosed
	}
	l.closed = true
	close(l.done)
	err := l.claim.remove(l.place, l.sock)
	return errors.Join(err, l.sock.file.Close(), l.claim.release())
}
