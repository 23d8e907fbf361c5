package socks

import (
	"encoding/binary"
	"fmt"
	"io"
)

// most4 bounds the two strings of version 4 that end with a NUL, without it; a
// name has no more (RFC 1035), and OpenSSH takes no more of a user.
const most4 = 255

// handshake4 is version 4 (Ying-Da Lee, SOCKS: A protocol for TCP proxy across
// firewalls) and its extension 4a, for which an address of 0.0.0.x, x not 0,
// says that a name follows.
//
//	version 4 | command | port 2 | address 4 | user … 0 | (4a) name … 0
func handshake4(rw io.ReadWriter) (*Request, error) {
	var b [7]byte
	if err := readFull(rw, b[:]); err != nil {
		return nil, err
	}
	r := &Request{version: 4, Port: int(binary.BigEndian.Uint16(b[1:]))}
	if _, err := readString(rw); err != nil { // the user, which nobody asks for
		return nil, err
	}
	if b[3] == 0 && b[4] == 0 && b[5] == 0 && b[6] != 0 {
		name, err := readString(rw)
		if err != nil {
			return nil, err
		}
		if err := r.host(name); err != nil {
			return nil, refuse(err, reply4(rw, Failed))
		}
	} else {
		r.addr(b[3:7])
	}
	if b[0] != connect {
		return nil, refuse(unsupported(b[0]), reply4(rw, Failed))
	}
	return r, nil
}

// reply4 has one code for every failure: the others are about identd.
func reply4(w io.Writer, o Outcome) error {
	b := [8]byte{1: 90}
	if o != Granted {
		b[1] = 91
	}
	_, err := w.Write(b[:])
	return err
}

// readString reads one byte at a time: there is no other way not to read what
// follows.
func readString(r io.Reader) ([]byte, error) {
	var s []byte
	for len(s) <= most4 {
		var b [1]byte
		if err := readFull(r, b[:]); err != nil {
			return nil, err
		}
		if b[0] == 0 {
			return s, nil
		}
		s = append(s, b[0])
	}
	return nil, fmt.Errorf("socks: a name of more than %d bytes", most4)
}

func unsupported(command byte) error {
	name, known := map[byte]string{2: "BIND", 3: "UDP ASSOCIATE"}[command]
	if !known {
		name = fmt.Sprintf("command %d", command)
	}
	return fmt.Errorf("socks: the client asked for %s, and only CONNECT goes through SSH", name)
}
