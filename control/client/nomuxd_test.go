package client_test

import (
	"context"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"muxd/control"
	"muxd/control/client"
	"muxd/socket"
)

// A muxd that goes away before it takes the request is looked for again, and
// where there is none and none can be started, that is the error.
func TestNoMuxd(t *testing.T) {
	_, err := client.New("host").DialContext(t.Context(), "tcp", "a:1")
	if opError(t, err, "dial", control.NotDialled); err == nil || !strings.Contains(err.Error(), "host: start muxd: no program muxd") {
		t.Error(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ml, err := socket.Listen(socket.At(os.Getenv("MUXD_SOCKET")))
	if err != nil {
		t.Fatal(err)
	}
	defer ml.Close()
	var came atomic.Int32
	b := &muxd{}
	b.OnResolve, b.OnDirect = b.resolve, connect
	srv := &control.Server{Backend: b, Log: silence{}}
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	wg.Go(func() {
		for {
			c, err := ml.Accept()
			if err != nil {
				return
			}
			if came.Add(1) < 3 {
				c.Close() // before the hello
				continue
			}
			wg.Go(func() { srv.ServeConn(ctx, c) })
		}
	})
	nc, err := client.New("host").DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil || came.Load() != 3 {
		t.Fatalf("%v after %d attempts", err, came.Load())
	}
	nc.Close()
	ml.Close()
}
