package reach

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// passedMax is how many descriptors of one message are received, to be closed:
// one is expected, and the kernel closes those that find no room.
const passedMax = 16

// Pass starts the command, which connects, hands the descriptor over its
// standard input and output, which are one end of a socket pair, and ends
// (ProxyUseFdpass; sshconnect.c, ssh_proxy_fdpass_connect). Limit bounds the
// wait. What the command said has been passed on when heard returns, unless it
// lingers.
func (c *Command) Pass(ctx context.Context, limit time.Duration) (nc net.Conn, heard func(), err error) {
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, nil, &StartError{err}
	}
	defer ours.Close()
	ch, err := c.start(theirs, theirs)
	theirs.Close() // so that the child's end is the end of the pair
	if err != nil {
		return nil, nil, &StartError{err}
	}
	ours.SetReadDeadline(time.Now().Add(limit))
	stop := context.AfterFunc(ctx, func() { ours.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	nc, err = receiveConn(ours)
	if err == nil {
		ch.end(grace) // it has nothing left to do
		return nc, ch.heard, nil
	}
	if ctx.Err() != nil {
		ch.end(0)
		return nil, nil, ctx.Err()
	}
	if _, how := ch.outcome(); how != nil {
		err = how
	}
	ch.end(0)
	return nil, nil, Cause(err)
}

// socketPair makes the pair, ours as a connection with deadlines.
func socketPair() (ours *net.UnixConn, theirs *os.File, err error) {
	syscall.ForkLock.RLock() // no child may inherit the pair before it is marked
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err == nil {
		unix.CloseOnExec(pair[0])
		unix.CloseOnExec(pair[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, nil, err
	}
	theirs = os.NewFile(uintptr(pair[1]), "passing")
	nc, err := connOf(pair[0])
	if err != nil {
		theirs.Close()
		return nil, nil, err
	}
	return nc.(*net.UnixConn), theirs, nil
}

// connOf makes a descriptor a connection, and is its owner from then on.
func connOf(fd int) (net.Conn, error) {
	f := os.NewFile(uintptr(fd), "passed")
	defer f.Close() // FileConn has a copy
	return net.FileConn(f)
}

// receiveConn reads the one message and makes of its first descriptor a
// connection. All others are closed: nobody expects them.
func receiveConn(from *net.UnixConn) (net.Conn, error) {
	var b [1]byte
	oob := make([]byte, unix.CmsgSpace(4*passedMax))
	n, oobn, _, _, err := from.ReadMsgUnix(b[:], oob) // marks what it receives close-on-exec
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		n = 0 // a reset, if the child left something unread
	} else if err != nil {
		return nil, err
	}
	fds := passed(oob[:oobn])
	for i, fd := range fds {
		if i > 0 {
			unix.Close(fd)
		}
	}
	switch {
	case len(fds) > 0:
		nc, err := streamOf(fds[0])
		if err == nil && scarce(nc) {
			nc.Close()
			return nil, errScarce
		}
		return nc, err
	case n == 0:
		return nil, errors.New("it ended without passing a connection")
	}
	return nil, errors.New("it wrote to its standard output instead of passing a connection, as ProxyUseFdpass wants it")
}

// passed are the descriptors in a message's control data.
func passed(oob []byte) (fds []int) {
	msgs, _ := unix.ParseSocketControlMessage(oob)
	for _, msg := range msgs {
		got, _ := unix.ParseUnixRights(&msg) // an error: of another kind
		fds = append(fds, got...)
	}
	return fds
}

// streamOf refuses what bytes in order cannot travel on.
func streamOf(fd int) (net.Conn, error) {
	kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil || kind != unix.SOCK_STREAM {
		unix.Close(fd)
		return nil, errors.New("what it passed is not a stream socket")
	}
	nc, err := connOf(fd)
	if err != nil {
		return nil, fmt.Errorf("what it passed is not a connection: %w", Cause(err))
	}
	return nc, nil
}
