// Package stuck frees what the SSH library leaves standing for ever once a
// connection is over: a goroutine that waits on a channel of its own, which closing
// the net.Conn does not wake.
//
// There is no other way to that channel than the library's own field. Where another
// version has it no more, nothing is freed, and tests tell. The package holds nothing
// and decides nothing: when a connection is over is for others to know.
package stuck

import (
	"reflect"
	"unsafe"

	"golang.org/x/crypto/ssh"
)

// Reader takes the packets that the SSH library's reader wants to hand to nobody.
// The reader stands at the seventeenth packet that comes after the last one that
// anybody took (x/crypto, handshakeTransport.readLoop): behind one that breaks the
// protocol, because the library closes the connection then and waits for that
// reader (handshakeTransport.Close); and behind the last refusal of a login, because
// NewClientConn closes the net.Conn and waits for nobody. Closing the net.Conn does
// not wake it, because it does not read; so it, its packets, and one or two
// goroutines beside it were left until muxd ended, for each such connection.
//
// It may be called only when the net.Conn is closed: the reader finds its end then,
// and closes the channel. sshlink: TestBrokenProtocolLeavesNothing; login:
// TestFloodInTheLoginLeavesNothing.
func Reader(c ssh.ConnMetadata) {
	v := Field(Field(reflect.ValueOf(c), "transport"), "incoming")
	if !v.CanAddr() || v.Type() != reflect.TypeFor[chan []byte]() {
		return
	}
	for range *(*chan []byte)(unsafe.Pointer(v.UnsafeAddr())) {
	}
}

// Field is a field of a struct, or of one that v leads to, nil on the way included.
func Field(v reflect.Value, name string) reflect.Value {
	for v.Kind() == reflect.Interface || v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	if v.Kind() != reflect.Struct {
		return reflect.Value{}
	}
	return v.FieldByName(name)
}
