package socket

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// connectWait bounds a connect to a muxd whose queue is full. A muxd that works
// empties it in microseconds; one that has run out of descriptors pauses for
// a second, several times perhaps. Longer than this and it is stopped.
const connectWait = 10 * time.Second

// Dial connects to the muxd at p: it checks the directory, connects, and asks
// the kernel whether the server is of this very user, all before a byte is
// sent, since what is sent may be a password. The error matches ErrNoServer if
// nobody listens there, is an *UnsoundError if what is there is not to be
// trusted, and matches os.ErrDeadlineExceeded if a muxd is there but has not
// taken a connection for ten seconds.
func Dial(p Place) (*Conn, error) {
	err := p.Check()
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w at %s", ErrNoServer, p.Path())
	}
	if err != nil {
		return nil, err
	}
	return connect(p)
}

// DialAny connects to the first living muxd in Places and says where it is. A
// place that fails the checks is not dialled, but does not end the search: a
// muxd further on is as good, and is the one the user has.
//
// The error matches ErrNoServer when there is none, even if some place was
// unsound; it then says so too and matches *UnsoundError, and whether a muxd
// may be started all the same is for Choose to say. Any other error comes from
// a place where somebody does listen, and starting a second muxd is no help.
func DialAny(getenv func(string) string) (*Conn, Place, error) { return dialAny(places(getenv)) }

func dialAny(candidates iter.Seq[Place]) (*Conn, Place, error) {
	var why error
	for p := range candidates {
		if err := p.Check(); err != nil {
			if !errors.Is(err, os.ErrNotExist) {
				why = cmp.Or(why, err)
			}
			continue
		}
		c, err := connect(p)
		if !errors.Is(err, ErrNoServer) {
			return c, p, err
		}
	}
	if why != nil {
		return nil, Place{}, fmt.Errorf("%w (%w)", ErrNoServer, why)
	}
	return nil, Place{}, ErrNoServer
}

// connect dials a place that has been checked. It goes by the path: nobody
// else can change what that names, and if root did, the server's uid tells.
func connect(p Place) (*Conn, error) {
	path := p.Path()
	fd, err := connected(path)
	switch err {
	case nil:
	case unix.ENOENT, unix.ECONNREFUSED:
		return nil, fmt.Errorf("%w at %s", ErrNoServer, path)
	case unix.EAGAIN:
		return nil, fmt.Errorf("muxd at %s has taken no connection for %v, is it stopped? %w", path, connectWait, os.ErrDeadlineExceeded)
	default:
		return nil, &os.PathError{Op: "connect", Path: path, Err: err}
	}
	server, err := peerOf(fd)
	if err == nil && server.check() != nil {
		err = unsound(path, "is served by %s (pid %d) and not by uid %d", owner(server.uid), server.pid, os.Geteuid())
	}
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	return newConn(fd, path, server)
}

// connected is a connected, non-blocking socket. The connect itself blocks,
// with a timeout: a non-blocking one fails at once when the queue is full,
// and offers nothing to wait for.
func connected(path string) (int, error) {
	fd, err := newSocket()
	if err != nil {
		return -1, err
	}
	bound := unix.NsecToTimeval(connectWait.Nanoseconds())
	err = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &bound)
	if err == nil {
		err = again(func() error { return unix.Connect(fd, &unix.SockaddrUnix{Name: path}) })
	}
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}
