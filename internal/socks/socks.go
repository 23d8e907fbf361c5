package socks

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
)

// Outcome is what became of a request.
type Outcome int

// The outcomes that a client is told apart.
const (
	Granted     Outcome = iota // the connection stands
	NotAllowed                 // a rule forbids it
	Unreachable                // no way to the host, or no such name
	Refused                    // the host is there and refused
	Failed                     // anything else
)

// Request is what a client asked for.
type Request struct {
	Host string // a name, or an address without brackets; 1 to 255 bytes, none of them a space or a control character
	Port int    // 0 to 65535

	version byte
}

// connect is the one command that is carried out, in every version.
const connect = 1

// Handshake reads a request: a single CONNECT, for which nothing has been
// answered yet. It never reads a byte behind the request, so that what a client
// sends ahead of the answer stays for the connection. It reads at most 520
// bytes and waits as long as the stream does; a client that says nothing at all
// is io.EOF. What cannot be carried out is answered before it is an error.
func Handshake(rw io.ReadWriter) (*Request, error) {
	version, err := readByte(rw)
	if err != nil {
		return nil, err
	}
	switch version {
	case 4:
		return handshake4(rw)
	case 5:
		return handshake5(rw)
	}
	return nil, fmt.Errorf("socks: version %d is not known: the client speaks something else", version)
}

// Reply tells the client what became of its request, in one Write. The address
// that it names is none, as in OpenSSH (channels.c, channel_decode_socks5):
// which one the far side connected from is not known here.
func (r *Request) Reply(w io.Writer, o Outcome) error {
	if r.version == 4 {
		return reply4(w, o)
	}
	return reply5(w, code5(o))
}

// host settles what a client named.
func (r *Request) host(name []byte) error {
	if len(name) == 0 {
		return errors.New("socks: the client named no host")
	}
	for _, b := range name {
		// A NUL would end the name early for a server written in C, and no
		// name has the others.
		if b <= ' ' || b == 0x7f {
			return fmt.Errorf("socks: the client named a host with the byte %#02x", b)
		}
	}
	r.Host = string(name)
	return nil
}

// refuse is err, which the client was just told: whether it heard is no matter.
func refuse(err, _ error) error { return err }

func (r *Request) addr(b []byte) {
	a, _ := netip.AddrFromSlice(b)
	r.Host = a.String()
}

func readByte(r io.Reader) (byte, error) {
	var b [1]byte
	_, err := io.ReadFull(r, b[:])
	return b[0], err
}

// readFull is for everything behind the first byte: an end is one in the
// middle.
func readFull(r io.Reader, b []byte) error {
	_, err := io.ReadFull(r, b)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return err
}
