package sshmux

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"

	"muxd/socket"
)

// wire is the socket of a client in proxy mode as the library wants it: it plays
// a client that begins proxy mode, so what it says first is kept from ours, which
// has begun.
//
// It lets through what the library can take. A packet without a type would end
// muxd, with a panic in a goroutine that is not ours; and one that is about a
// transport (keys, logins: RFC 4250 section 4.1.2) has no place on a connection
// without one, so it is dropped, as a stock client drops its own.
type wire struct {
	*socket.Conn
	greeting *bytes.Reader // what the library expects to read first
	in       *bufio.Reader // the library asks for a packet's length and then for its body
	left     int           // bytes of the packet that is being handed on

	mu   sync.Mutex // guards following, and is held while one packet is written
	skip int        // bytes still to be kept from the client
}

// Numbers of messages that the library takes: the connection protocol's, and
// ping@openssh.com.
const (
	firstConnection = 80
	lastConnection  = 127
	ping            = 192
)

// maxPacket is the longest packet that the library takes, in bytes.
const maxPacket = 256 << 10

// newWire begins with what the library expects, and goes on with what was read
// of the client already.
func newWire(c *socket.Conn, rest []byte) *wire {
	greeting := append(reply(hello, uint32(version)), reply(proxyGranted, uint32(0))...)
	return &wire{Conn: c, skip: len(greeting), greeting: bytes.NewReader(greeting),
		in: bufio.NewReaderSize(io.MultiReader(bytes.NewReader(rest), c), 64<<10)}
}

// Read hands on packets that the library can take.
func (w *wire) Read(p []byte) (int, error) {
	if w.greeting.Len() > 0 {
		return w.greeting.Read(p)
	}
	for w.left == 0 {
		if err := w.next(); err != nil {
			return 0, err
		}
	}
	n, err := w.in.Read(p[:min(len(p), w.left)])
	w.left -= n
	return n, err
}

// next looks at the next packet, and drops it or lets it through.
func (w *wire) next() error {
	head, err := w.in.Peek(4)
	if err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(head)
	if n < 2 || n > maxPacket {
		return fmt.Errorf("a packet of %d bytes", n)
	}
	if head, err = w.in.Peek(6); err != nil {
		return err
	}
	size := 4 + int(n)
	switch kind := head[5]; {
	case kind >= firstConnection && kind <= lastConnection, kind == ping:
		w.left = size
	default:
		_, err = w.in.Discard(size)
	}
	return err
}

// Write is called with one whole packet, by any of the library's goroutines.
func (w *wire) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	k := min(w.skip, len(p))
	if w.skip -= k; k == len(p) {
		return k, nil
	}
	n, err := w.Conn.Write(p[k:])
	return k + n, err
}

// LocalAddr implements net.Conn.
func (w *wire) LocalAddr() net.Addr { return &net.UnixAddr{Net: "unix"} }

// RemoteAddr implements net.Conn.
func (w *wire) RemoteAddr() net.Addr { return &net.UnixAddr{Net: "unix"} }

var _ net.Conn = (*wire)(nil)
