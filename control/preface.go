package control

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
)

// Version is the number of the native protocol. Both sides must agree on it:
// muxc and muxd are installed together, and a running muxd of another version
// is restarted, not negotiated with. It rises with every change to a frame.
const Version = 10

// prefaceLen is the fixed part of both prefaces, and stays 16 bytes for ever:
// it is what two versions must both be able to read to tell each other so.
const prefaceLen = 16

const magic = "MUXD"

// Flag is a bit of the client's preface.
type Flag uint16

const (
	// FlagOne says that the preface carries one request, whose operation then
	// owns the connection until it ends.
	FlagOne Flag = 1 << 0
	// FlagMany says that the preface carries no request and that streams
	// follow (package control/streams), one operation each.
	FlagMany Flag = 1 << 1
)

const (
	// MaxFrame bounds every frame and the request of a preface, in bytes. It is
	// above the 2 MiB that execve accepts for arguments and environment
	// together, so whatever muxc could be started with, it can send.
	MaxFrame = 4 << 20
	// MaxFDs is how many descriptors a preface may announce: the socket on which
	// a stdio forward's bytes travel.
	MaxFDs = 1
	// maxHello bounds the text of a server's hello, in bytes. It is what
	// CleanLine leaves of any text at most.
	maxHello = maxText
)

// Preface is the first thing a client sends. See PROTOCOL.md, "Preface".
type Preface struct {
	Version uint16
	Flags   Flag
	FDs     uint16 // descriptors attached to the first byte of the preface
	Length  uint32 // bytes of request that follow the fixed part

	reserved uint16 // 0 in this version
}

// ErrNotMuxd is a peer that does not speak this protocol in any version.
var ErrNotMuxd = errors.New("the peer does not speak muxd's protocol")

func (p Preface) append(b []byte) []byte {
	e := encoder{append(b, magic...)}
	e.u16(p.Version)
	e.u16(uint16(p.Flags))
	e.u16(p.FDs)
	e.u16(p.reserved)
	e.u32(p.Length)
	return e.b
}

func parsePreface(b []byte) (Preface, error) {
	if len(b) != prefaceLen || string(b[:4]) != magic {
		return Preface{}, ErrNotMuxd
	}
	p := Preface{
		Version: binary.BigEndian.Uint16(b[4:]),
		Flags:   Flag(binary.BigEndian.Uint16(b[6:])),
		FDs:     binary.BigEndian.Uint16(b[8:]),
		Length:  binary.BigEndian.Uint32(b[12:]),

		reserved: binary.BigEndian.Uint16(b[10:]),
	}
	return p, nil
}

// check says what is wrong with a preface of our own version.
func (p Preface) check() error {
	switch {
	case p.Flags != FlagOne && p.Flags != FlagMany:
		return fmt.Errorf("preface with flags %#x", uint16(p.Flags))
	case p.Length > MaxFrame:
		return fmt.Errorf("request of %d bytes, more than %d", p.Length, MaxFrame)
	case p.Flags == FlagOne && p.Length == 0, p.Flags == FlagMany && p.Length != 0:
		return fmt.Errorf("preface with flags %#x and %d bytes of request", uint16(p.Flags), p.Length)
	case p.reserved != 0:
		return fmt.Errorf("preface with reserved field %#x", p.reserved)
	case p.FDs > MaxFDs, p.FDs > 0 && p.Flags != FlagOne:
		return fmt.Errorf("preface with flags %#x and %d descriptors", uint16(p.Flags), p.FDs)
	}
	return nil
}

// Welcome is how a server answers a preface.
type Welcome uint16

const (
	// Welcomed accepts the client; frames or streams follow.
	Welcomed Welcome = 0
	// WrongVersion refuses it for its protocol version.
	WrongVersion Welcome = 1
	// Malformed refuses what no client of this version sends.
	Malformed Welcome = 2
	// TooBusy refuses it for want of descriptors or memory.
	TooBusy Welcome = 3
)

// Hello is the server's preface: who answers, and whether it accepts.
type Hello struct {
	Version uint16
	Welcome Welcome
	PID     uint32 // of muxd, for messages only
	Text    string // muxd's build when welcomed, else the reason
}

func (h Hello) append(b []byte) []byte {
	e := encoder{append(b, magic...)}
	e.u16(h.Version)
	e.u16(uint16(h.Welcome))
	e.u32(h.PID)
	e.str(CleanLine(h.Text))
	return e.b
}

// VersionError is a muxd of another protocol version on the socket.
type VersionError struct {
	Server uint16 // its protocol version
	PID    int    // its process
	Build  string // its build, as it says
}

// drainsFrom is the first version that drains by a signal.
const drainsFrom = 8

// Drains reports a muxd that drains when it gets SIGUSR1: its protocol is not
// spoken here.
func (e *VersionError) Drains() bool { return e.Server >= drainsFrom }

// Error names both versions and the cure.
func (e *VersionError) Error() string {
	cure := `"muxd stop", which ends its sessions`
	if e.Drains() {
		cure = `"muxd stop --drain", which cuts no session`
	}
	return fmt.Sprintf("the running muxd (pid %d, %s) speaks protocol %d and this program %d: restart it with %s",
		e.PID, e.Build, e.Server, Version, cure)
}

// helloError judges a hello that did not come whole, of which n bytes came.
// A peer that closes with our request unread shows as a reset connection; it
// took nothing on either. A deadline and our own Close are nobody's refusal.
func helloError(n int, err error) error {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, os.ErrClosed):
		return err
	case n == 0:
		return io.EOF
	}
	return ErrNotMuxd
}

// readHello reads the server's preface. A connection that ends before a byte
// of it is io.EOF: the server took nothing on, and the request may be sent
// again elsewhere.
func readHello(r io.Reader) (Hello, error) {
	var b [prefaceLen]byte
	if n, err := io.ReadFull(r, b[:]); err != nil {
		return Hello{}, helloError(n, err)
	}
	n := binary.BigEndian.Uint32(b[12:])
	if string(b[:4]) != magic || n > maxHello {
		return Hello{}, ErrNotMuxd
	}
	text := make([]byte, n)
	if _, err := io.ReadFull(r, text); err != nil {
		return Hello{}, helloError(prefaceLen, err)
	}
	h := Hello{
		Version: binary.BigEndian.Uint16(b[4:]),
		Welcome: Welcome(binary.BigEndian.Uint16(b[6:])),
		PID:     binary.BigEndian.Uint32(b[8:]),
		Text:    Clean(string(text)),
	}
	switch {
	case h.Version != Version || h.Welcome == WrongVersion:
		return h, &VersionError{Server: h.Version, PID: int(h.PID), Build: h.Text}
	case h.Welcome != Welcomed:
		return h, errors.New("muxd refused: " + h.Text)
	}
	return h, nil
}
