package socks

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
)

// Codes of RFC 1928 section 6 that are no outcome of a connection.
const (
	noCommand     = 7
	noAddressType = 8
)

// noAuthentication is the method of RFC 1928 section 3 that is offered here, and
// noMethod says that the client has none that is.
const (
	noAuthentication = 0x00
	noMethod         = 0xff
)

// handshake5 is RFC 1928.
//
//	client: version 5 | n | methods n        we: 5 | method
//	client: version 5 | command | 0 | address type | address | port 2
func handshake5(rw io.ReadWriter) (*Request, error) {
	if err := method5(rw); err != nil {
		return nil, err
	}
	var b [4]byte
	if err := readFull(rw, b[:]); err != nil {
		return nil, err
	}
	if b[0] != 5 {
		return nil, refuse(fmt.Errorf("socks: a greeting of version 5 and a request of version %d", b[0]), reply5(rw, code5(Failed)))
	}
	r := &Request{version: 5}
	if err := r.read5(rw, b[3]); err != nil {
		return nil, err
	}
	if b[1] != connect {
		return nil, refuse(unsupported(b[1]), reply5(rw, noCommand))
	}
	return r, nil
}

// method5 agrees on no authentication.
func method5(rw io.ReadWriter) error {
	n, err := length(rw)
	if err != nil {
		return err
	}
	methods := make([]byte, n)
	if err := readFull(rw, methods); err != nil {
		return err
	}
	if !slices.Contains(methods, noAuthentication) {
		_, err := rw.Write([]byte{5, noMethod})
		return refuse(errors.New("socks: the client insists on authentication, and there is none here"), err)
	}
	_, err = rw.Write([]byte{5, noAuthentication})
	return err
}

// read5 reads address and port.
func (r *Request) read5(rw io.ReadWriter, kind byte) error {
	n, name := 0, false
	switch kind {
	case 1:
		n = 4
	case 4:
		n = 16
	case 3:
		var err error
		if n, err = length(rw); err != nil {
			return err
		}
		name = true
	default: // where it ends cannot be known
		return refuse(fmt.Errorf("socks: the address type %d is not known", kind), reply5(rw, noAddressType))
	}
	b := make([]byte, n+2)
	if err := readFull(rw, b); err != nil {
		return err
	}
	r.Port = int(binary.BigEndian.Uint16(b[n:]))
	if !name {
		r.addr(b[:n])
	} else if err := r.host(b[:n]); err != nil {
		return refuse(err, reply5(rw, code5(Failed)))
	}
	return nil
}

// code5 is the reply of RFC 1928 section 6.
func code5(o Outcome) byte {
	switch o {
	case Granted:
		return 0
	case NotAllowed:
		return 2
	case Unreachable:
		return 4
	case Refused:
		return 5
	}
	return 1
}

func reply5(w io.Writer, code byte) error {
	_, err := w.Write([]byte{5, code, 0, 1, 0, 0, 0, 0, 0, 0})
	return err
}

func length(r io.Reader) (int, error) {
	var b [1]byte
	err := readFull(r, b[:])
	return int(b[0]), err
}
