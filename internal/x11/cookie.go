package x11

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"
	"encoding/hex"
)

// magicCookie is the one way of authorization that forwarding can offer: the
// client shows a secret, and another can be put in its place.
const magicCookie = "MIT-MAGIC-COOKIE-1"

// Auth is what an X server accepts: the name of a way of authorization and its
// data. It is secret.
type Auth struct {
	Proto string
	Data  []byte
}

// Cookie is a session's fake cookie: all that the SSH server learns.
type Cookie [16]byte

// NewFake draws a cookie for a session. Every session has its own.
func NewFake() Cookie {
	var c Cookie
	rand.Read(c[:]) // never fails
	return c
}

// Matches reports that a connection shows the cookie. It takes as long for a
// cookie that is nearly right as for one that is not.
func (c Cookie) Matches(s *Setup) bool {
	return s.Proto == magicCookie && subtle.ConstantTimeCompare(s.Data, c[:]) == 1
}

// Request is the payload of x11-req that shows the cookie to the server (RFC
// 4254 section 6.3.1), for as many connections as it opens, of that screen.
func (c Cookie) Request(screen int) []byte {
	b := []byte{0} // single connection: false
	b = appendString(b, magicCookie)
	b = appendString(b, hex.EncodeToString(c[:]))
	return binary.BigEndian.AppendUint32(b, uint32(screen))
}

// appendString appends a string of RFC 4251 section 5.
func appendString(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(s))), s...)
}
