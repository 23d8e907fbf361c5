package x11

import (
	"encoding/binary"
	"fmt"
	"io"
)

// Bounds of what a connection may show, in bytes. The lengths are 16 bits; the
// longest that is in use is a Kerberos ticket.
const (
	maxProto = 256
	maxData  = 4096
)

// headSize is the fixed part of a connection's setup.
const headSize = 12

// Setup is how an X11 connection begins (X11 protocol, section 8, "Connection
// Setup"): the client's byte order, version and authorization.
type Setup struct {
	Proto string
	Data  []byte

	head  [headSize]byte
	order binary.ByteOrder
}

// ReadSetup reads a connection's setup, and not a byte beyond it: what follows
// belongs to the X server. It may wait for as long as r does, so that r is to be
// closed where a client takes too long.
func ReadSetup(r io.Reader) (*Setup, error) {
	s := &Setup{}
	if _, err := io.ReadFull(r, s.head[:]); err != nil {
		return nil, fmt.Errorf("an X11 connection that says nothing: %w", err)
	}
	switch s.head[0] {
	case 'B':
		s.order = binary.BigEndian
	case 'l':
		s.order = binary.LittleEndian
	default:
		return nil, fmt.Errorf("no X11 connection: it begins with 0x%02x", s.head[0])
	}
	np, nd := int(s.order.Uint16(s.head[6:])), int(s.order.Uint16(s.head[8:]))
	if np > maxProto || nd > maxData {
		return nil, fmt.Errorf("an X11 connection with %d bytes of authorization", np+nd)
	}
	b := make([]byte, padded(np)+padded(nd))
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, fmt.Errorf("an X11 connection that breaks off: %w", err)
	}
	s.Proto = string(b[:np])
	s.Data = b[padded(np):][:nd:nd]
	return s, nil
}

// padded is a length with the padding that follows.
func padded(n int) int { return (n + 3) &^ 3 }

// With is the setup as the X server shall see it: the client's, with other
// authorization. Of neither the name nor the data more than 65535 bytes have
// room.
func (s *Setup) With(proto string, data []byte) []byte {
	b := make([]byte, headSize+padded(len(proto))+padded(len(data)))
	copy(b, s.head[:])
	s.order.PutUint16(b[6:], uint16(len(proto)))
	s.order.PutUint16(b[8:], uint16(len(data)))
	copy(b[headSize:], proto)
	copy(b[headSize+padded(len(proto)):], data)
	return b
}

// Refusal is an X server's answer that lets nobody in, so that the person at the
// far end reads why and not only that the connection broke. The reason is cut
// to what has room, 255 bytes.
func (s *Setup) Refusal(reason string) []byte {
	reason = reason[:min(len(reason), 255)]
	n := padded(len(reason))
	b := make([]byte, 8+n)
	b[1] = byte(len(reason))
	copy(b[2:6], s.head[2:6]) // the protocol's version, in the client's order
	s.order.PutUint16(b[6:], uint16(n/4))
	copy(b[8:], reason)
	return b
}
