package streams

import (
	"context"
	"io"
	"testing"
	"time"

	"muxd/control"
	"muxd/control/controltest"
)

// FuzzStreams has a client that was let in for many operations say anything. The
// connection ends with it, whatever the library makes of the bytes.
func FuzzStreams(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0, 1, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0})                                                 // a stream is opened
	f.Add([]byte{0, 1, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff}) // more than the window
	f.Add([]byte{0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 6, 0, 0, 0, 2, 1, 2})                               // and a request on it
	f.Add([]byte{0, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1})                                                 // a ping
	f.Add([]byte{0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})                                                 // going away
	f.Fuzz(func(t *testing.T, said []byte) {
		c, s := controltest.Pipe()
		srv := &control.Server{Backend: &controltest.Backend{OnStatus: func(context.Context, *control.StatusRequest) (*control.Status, error) { return &control.Status{}, nil }},
			Build: "test", PID: 1, Log: quiet{}, Many: Serve}
		done := make(chan struct{})
		go func() { defer close(done); srv.ServeConn(context.Background(), s) }()
		if _, err := control.Greet(c); err != nil {
			t.Fatal(err)
		}
		go io.Copy(io.Discard, c)
		c.Write(said)
		c.Close()
		select {
		case <-done:
		case <-time.After(patience):
			t.Fatal("still served")
		}
		if n := srv.Clients(); n != 0 {
			t.Errorf("%d clients are left", n)
		}
	})
}
