package sshlink

import (
	"reflect"
	"sync"
	"unsafe"

	"golang.org/x/crypto/ssh"

	"muxd/internal/stuck"
)

// freeOpens answers the opens that the SSH library took when it had ended its
// channels already. It forgets these before it closes the connection, and a write
// that fails is told to nobody but the writers after it (x/crypto, mux.loop and
// handshakeTransport.writePacket): so an open in between counts as sent, waits for
// an answer, and is known to nobody who could give it one.
//
// As with stuck.Reader there is no other way there, and where another version has
// none of these fields, TestOpenBehindTheEnd tells. It may be called only when the
// library's Wait has returned: what sends on these channels is over then, and an
// open that comes later fails.
func freeOpens(c ssh.Conn) {
	mu, chans := channelList(c)
	if mu == nil {
		return
	}
	mu.Lock()
	defer mu.Unlock()
	for i := range chans.Len() {
		msg := stuck.Field(chans.Index(i), "msg")
		if !msg.CanAddr() || msg.Type() != reflect.TypeFor[chan any]() {
			continue
		}
		select {
		case *(*chan any)(unsafe.Pointer(msg.UnsafeAddr())) <- nil: // no answer that it knows, so an error
		default:
		}
	}
}

// library is what is known of how the SSH library stands with a connection.
type library struct {
	list unsafe.Pointer // guarded by the library's lock of it; the array that a channel was seen in, kept so that no other one takes its place
}

// opened notes where the library has a channel that was opened.
func (k *library) opened(c ssh.Conn, ch ssh.Channel) {
	mu, chans := channelList(c)
	if mu == nil {
		return
	}
	mu.Lock()
	defer mu.Unlock()
	if k.list == chans.UnsafePointer() {
		return
	}
	for i, its := 0, reflect.ValueOf(ch).Pointer(); i < chans.Len(); i++ {
		if chans.Index(i).Pointer() == its {
			k.list = chans.UnsafePointer()
		}
	}
}

// keeps reports that the library has not dropped its channels: one that has ended
// was closed by the server then, on a connection that lived. With the end of the
// connection it ends all of them in the same way, but forgets the list of them
// before (x/crypto, mux.loop); for an open that comes later it makes another one,
// and no such open is answered. Where the list has grown and nobody noted it, or
// another version has none, that is not known, and false.
func (k *library) keeps(c ssh.Conn) bool {
	mu, chans := channelList(c)
	if mu == nil {
		return false
	}
	mu.Lock()
	defer mu.Unlock()
	return k.list != nil && k.list == chans.UnsafePointer()
}

// channelList is the SSH library's list of a connection's channels, and the lock of
// it, nil where another version has none.
func channelList(c ssh.Conn) (mu *sync.Mutex, chans reflect.Value) {
	list := libraryField(c, "mux", "chanList")
	lock, chans := stuck.Field(list, "Mutex"), stuck.Field(list, "chans")
	if !lock.CanAddr() || lock.Type() != reflect.TypeFor[sync.Mutex]() || chans.Kind() != reflect.Slice || chans.Type().Elem().Kind() != reflect.Pointer {
		return nil, chans
	}
	return (*sync.Mutex)(unsafe.Pointer(lock.UnsafeAddr())), chans
}

// libraryField is a field within the library's own connection, the zero Value where
// it has none of that name.
func libraryField(c ssh.Conn, names ...string) reflect.Value {
	if in, ok := c.(inTurn); ok {
		c = in.Conn
	}
	v := reflect.ValueOf(c)
	for _, name := range names {
		v = stuck.Field(v, name)
	}
	return v
}
