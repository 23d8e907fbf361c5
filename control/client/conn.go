package client

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"time"

	"muxd/control"
)

// conn is a connection that muxd carries: the data on a socket, and on the
// operation's own connection what becomes of it.
type conn struct {
	c             *Client
	data          *net.UnixConn
	op            *control.Op
	local, remote address // set before anybody else has the conn
	verdict       *verdict
	reading       deadline // for the part of a read that waits for the verdict
	once          sync.Once
	closed        chan struct{} // closed by Close
}

func newConn(c *Client, data *net.UnixConn, op *control.Op) *conn {
	nc := &conn{c: c, data: data, op: op, verdict: newVerdict(), closed: make(chan struct{})}
	go nc.verdict.wait(op)
	return nc
}

// opening waits until muxd has opened the connection, or says why not.
func (nc *conn) opening(ctx context.Context) error {
	select {
	case <-nc.verdict.opened:
		return nil
	case <-nc.verdict.done:
		return nc.verdict.notOpened(nc.op)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Read implements net.Conn.
func (nc *conn) Read(p []byte) (int, error) {
	n, err := nc.data.Read(p)
	if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
		// The socket ends in the same way whether the far side has ended or the
		// connection was lost.
		err = nc.end()
	}
	return n, nc.fault("read", err)
}

// end is what the end of the data means, once that is known: it comes at once,
// but on another socket.
func (nc *conn) end() error {
	for {
		late, changed := nc.reading.get()
		select {
		case <-nc.verdict.eof:
			return io.EOF
		case <-nc.verdict.done:
			return nc.verdict.ended(nc.c)
		case <-late:
			return errTimeout
		case <-changed:
		case <-nc.closed:
			return net.ErrClosed
		}
	}
}

// verdictRace is how long the reason of a failed write may take to be heard. It
// is there before the socket is closed, but a far side that only takes nothing
// more gives none.
const verdictRace = 100 * time.Millisecond

// Write implements net.Conn.
func (nc *conn) Write(p []byte) (int, error) {
	n, err := nc.data.Write(p)
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) {
		t := time.NewTimer(verdictRace)
		defer t.Stop()
		select {
		case <-nc.verdict.done:
			if why := nc.verdict.ended(nc.c); why != io.EOF {
				err = why
			}
		case <-t.C:
		}
	}
	return n, nc.fault("write", err)
}

// CloseWrite ends what the far side reads, as that of a *net.TCPConn does.
func (nc *conn) CloseWrite() error { return nc.fault("close", nc.data.CloseWrite()) }

// Close implements net.Conn. What was written before still arrives: muxd looks
// at the data's end first.
func (nc *conn) Close() error {
	err := nc.data.Close()
	nc.once.Do(func() {
		close(nc.closed)
		nc.op.Close()
		nc.reading.set(time.Time{})
	})
	return nc.fault("close", err)
}

// LocalAddr names the host that the connection goes out from.
func (nc *conn) LocalAddr() net.Addr { return nc.local }

// RemoteAddr names what was dialled.
func (nc *conn) RemoteAddr() net.Addr { return nc.remote }

// SetDeadline implements net.Conn.
func (nc *conn) SetDeadline(t time.Time) error {
	nc.reading.set(t)
	return nc.fault("set", nc.data.SetDeadline(t))
}

// SetReadDeadline implements net.Conn.
func (nc *conn) SetReadDeadline(t time.Time) error {
	nc.reading.set(t)
	return nc.fault("set", nc.data.SetReadDeadline(t))
}

// SetWriteDeadline implements net.Conn.
func (nc *conn) SetWriteDeadline(t time.Time) error {
	return nc.fault("set", nc.data.SetWriteDeadline(t))
}

// fault gives an error the form of those of package net, with the ends that a
// person knows in place of those of the pair.
func (nc *conn) fault(op string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	var oe *net.OpError
	if errors.As(err, &oe) {
		err = oe.Err
	}
	return &net.OpError{Op: op, Net: nc.remote.network, Source: nc.local, Addr: nc.remote, Err: err}
}
