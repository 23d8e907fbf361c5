package control

import (
	"errors"
	"io"
	"os"
	"time"
)

// helloTimeout bounds the wait for muxd's hello, which it sends before it does
// anything else: a muxd that is silent for that long is stopped or stuck, and
// no command may hang on it.
const helloTimeout = 10 * time.Second

// start sends a request, and fds with it, for which c is an FDConn.
func start(c Conn, request []byte, fds ...int) (*Op, error) {
	if len(request) > MaxFrame {
		return nil, &Error{Phase: NotDialled, Text: "arguments and environment are longer than 4 MiB together"}
	}
	o := newOp(c)
	b := Preface{Version: Version, Flags: FlagOne, FDs: uint16(len(fds)), Length: uint32(len(request))}.append(make([]byte, 0, prefaceLen+len(request)))
	if err := o.greet(append(b, request...), fds...); err != nil {
		return nil, err
	}
	return o, nil
}

// greet writes the preface. The deadline matters to a request that is longer
// than the socket's buffer: a muxd that was stopped takes none of it.
func (o *Op) greet(preface []byte, fds ...int) error {
	o.conn.SetWriteDeadline(time.Now().Add(helloTimeout))
	var err error
	if len(fds) > 0 {
		_, err = o.conn.(FDConn).WriteFDs(preface, fds...)
	} else {
		_, err = o.conn.Write(preface)
	}
	o.conn.SetWriteDeadline(time.Time{})
	switch {
	case err == nil:
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return ErrSilent
	}
	// The server may have refused without reading all: its hello says why.
	if _, err := o.hello(); err != nil {
		return err
	}
	return ErrNotTaken
}

// Greet sends the preface of a connection for many operations and waits for
// the hello. The caller then runs package control/streams over c.
func Greet(c Conn) (Hello, error) {
	o := newOp(c)
	// The hello is read to its exact end, because streams follow it.
	o.exact = true
	if err := o.greet(Preface{Version: Version, Flags: FlagMany}.append(nil)); err != nil {
		return Hello{}, err
	}
	return o.hello()
}

// hello waits for the server's preface.
func (o *Op) hello() (Hello, error) {
	o.conn.SetReadDeadline(time.Now().Add(helloTimeout))
	var src io.Reader = &o.r
	if o.exact {
		src = o.conn
	}
	h, err := readHello(src)
	if u, ok := o.conn.(unread); ok && errors.Is(err, os.ErrDeadlineExceeded) && u.Unread() {
		// It came while this process was stopped (^Z), and only the time was seen.
		o.conn.SetReadDeadline(time.Now().Add(lookFor))
		h, err = readHello(src)
	}
	o.conn.SetReadDeadline(time.Time{})
	switch {
	case errors.Is(err, io.EOF):
		return h, ErrNotTaken
	case errors.Is(err, os.ErrDeadlineExceeded):
		return h, ErrSilent
	}
	return h, err
}
