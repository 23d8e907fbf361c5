package client

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"muxd/control"
	"muxd/control/controltest"
	"muxd/socket"
)

// The data has ended and muxd says nothing: the deadline, one that is moved
// meanwhile, Close and the verdict each end the read.
func TestReadThatWaitsForTheVerdict(t *testing.T) {
	for name, tt := range map[string]struct {
		do   func(nc *conn)
		want error
	}{
		"deadline": {func(nc *conn) { nc.SetReadDeadline(time.Now().Add(10 * time.Millisecond)) }, os.ErrDeadlineExceeded},
		"moved": {func(nc *conn) {
			nc.SetReadDeadline(time.Now().Add(time.Hour))
			time.Sleep(5 * time.Millisecond)
			nc.SetDeadline(time.Now())
		}, os.ErrDeadlineExceeded},
		"taken back": {func(nc *conn) {
			nc.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
			nc.SetReadDeadline(time.Time{})
			time.Sleep(40 * time.Millisecond)
			nc.op.Close()
		}, os.ErrClosed},
		"close": {func(nc *conn) { nc.Close() }, net.ErrClosed},
		"eof":   {func(nc *conn) { nc.verdict.StdoutEOF() }, io.EOF},
	} {
		t.Run(name, func(t *testing.T) {
			ours, theirs, err := socket.Pair()
			if err != nil {
				t.Fatal(err)
			}
			data, err := net.FileConn(ours)
			if err != nil {
				t.Fatal(err)
			}
			ours.Close()
			theirs.Close()
			c, _ := controltest.Pipe()
			op, err := control.Run(c, new(control.Invocation))
			if err != nil {
				t.Fatal(err)
			}
			nc := newConn(New("h"), data.(*net.UnixConn), op)
			defer nc.Close()
			got := make(chan error, 1)
			go func() {
				_, err := nc.Read(make([]byte, 1))
				got <- err
			}()
			time.Sleep(5 * time.Millisecond)
			tt.do(nc)
			select {
			case err := <-got:
				if !errors.Is(err, tt.want) {
					t.Errorf("%v, want %v", err, tt.want)
				}
			case <-time.After(time.Minute):
				t.Error("it still reads")
			}
		})
	}
}
