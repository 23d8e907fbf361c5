package sshlink

import (
	"reflect"
	"sync"
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
	v := libraryField(c, "transport", "incoming")
	if !v.CanAddr() || v.Type() != reflect.TypeFor[chan []byte]() {
		return
	}
	for range *(*chan []byte)(unsafe.Pointer(v.UnsafeAddr())) {
	}
}

// freeOpens answers the opens that the SSH library took when it had ended its
// channels already. It forgets these before it closes the connection, and a write
// that fails is told to nobody but the writers after it (x/crypto, mux.loop and
// handshakeTransport.writePacket): so an open in between counts as sent, waits for
// an answer, and is known to nobody who could give it one.
//
// As with freeReader there is no other way there, and where another version has
// none of these fields, TestOpenBehindTheEnd tells. It may be called only when the
// library's Wait has returned: what sends on these channels is over then, and an
// open that comes later fails.
func freeOpens(c ssh.Conn) {
	list := libraryField(c, "mux", "chanList")
	mu, chans := field(list, "Mutex"), field(list, "chans")
	if !mu.CanAddr() || mu.Type() != reflect.TypeFor[sync.Mutex]() || chans.Kind() != reflect.Slice {
		return
	}
	lock := (*sync.Mutex)(unsafe.Pointer(mu.UnsafeAddr()))
	lock.Lock()
	defer lock.Unlock()
	for i := range chans.Len() {
		msg := field(chans.Index(i), "msg")
		if !msg.CanAddr() || msg.Type() != reflect.TypeFor[chan any]() {
			continue
		}
		select {
		case *(*chan any)(unsafe.Pointer(msg.UnsafeAddr())) <- nil: // no answer that it knows, so an error
		default:
		}
	}
}

// libraryField is a field within the library's own connection, the zero Value where
// it has none of that name.
func libraryField(c ssh.Conn, names ...string) reflect.Value {
	if in, ok := c.(inTurn); ok {
		c = in.Conn
	}
	v := reflect.ValueOf(c)
	for _, name := range names {
		v = field(v, name)
	}
	return v
}

// field is a field of a struct, or of one that v leads to, nil on the way included.
func field(v reflect.Value, name string) reflect.Value {
	for v.Kind() == reflect.Interface || v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	if v.Kind() != reflect.Struct {
		return reflect.Value{}
	}
	return v.FieldByName(name)
}
