package sshlink

import (
	"reflect"
	"unsafe"

	"golang.org/x/crypto/ssh"
)

// freeReader takes the packets that the SSH library's reader wants to hand to
// nobody. The library ends the connection of a server that breaks the protocol by
// closing it, and waits then for that reader: which stands at the seventeenth
// packet that the server sent after the wrong one (x/crypto, handshakeTransport.Close
// and readLoop). Closing the net.Conn does not wake it, because it does not read;
// so it, its packets, and two goroutines beside it were left until muxd ended, for
// each such connection.
//
// There is no other way to that channel than the library's own field. Where another
// version has it no more, nothing is freed, and TestBrokenProtocolLeavesNothing
// tells. It may be called only when the connection is closed: the reader finds its
// end then, and closes the channel.
func freeReader(c ssh.Conn) {
	if in, ok := c.(inTurn); ok {
		c = in.Conn
	}
	v := reflect.ValueOf(c)
	for _, name := range []string{"transport", "incoming"} {
		for v.Kind() == reflect.Interface || v.Kind() == reflect.Pointer {
			v = v.Elem()
		}
		if v.Kind() != reflect.Struct || !v.FieldByName(name).IsValid() {
			return
		}
		v = v.FieldByName(name)
	}
	if !v.CanAddr() || v.Type() != reflect.TypeFor[chan []byte]() {
		return
	}
	for range *(*chan []byte)(unsafe.Pointer(v.UnsafeAddr())) {
	}
}
