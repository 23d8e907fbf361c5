package control

import (
	"context"
	"io"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"muxd/socket"
)

// stuckStream is a far side that takes and sends nothing until it is closed; one
// that is mute has ended sending.
type stuckStream struct {
	Stream
	mute   bool
	once   sync.Once
	closed chan struct{}
}

func (s *stuckStream) Read([]byte) (int, error) {
	if s.mute {
		return 0, io.EOF
	}
	<-s.closed
	return 0, io.ErrClosedPipe
}
func (s *stuckStream) Write([]byte) (int, error) { <-s.closed; return 0, io.ErrClosedPipe }
func (s *stuckStream) CloseWrite() error         { return nil }
func (s *stuckStream) CloseRead() error          { return nil }
func (s *stuckStream) Wait() (Exit, error)       { <-s.closed; return Exit{}, nil }
func (s *stuckStream) Close() error              { s.once.Do(func() { close(s.closed) }); return nil }

// TestStuckFarSide: a far side that takes nothing keeps a client that is there
// for as long as that likes, and one that has left no longer than linger; a
// client that keeps its socket and gives up its operation neither.
func TestStuckFarSide(t *testing.T) {
	const short = 50 * time.Millisecond
	for _, tt := range []struct {
		name         string
		write, close bool
		leave        bool
		mute         bool
		want         bool // it ends
	}{
		{"the client is there", true, false, false, false, false},
		{"the client is gone", true, true, false, false, true},
		{"its operation is gone", true, false, true, false, true},
		{"both are gone", true, true, true, false, true},
		{"its operation is gone, and it wrote nothing", false, false, true, false, true},
		{"the far side has ended", false, false, false, true, false},
		{"both have ended, and it does not close", false, true, false, true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ours, theirs, err := socket.Pair()
			if err != nil {
				t.Fatal(err)
			}
			nc, _ := net.FileConn(ours)
			ours.Close()
			defer nc.Close()
			fd, _ := syscall.Dup(int(theirs.Fd()))
			theirs.Close()
			end, err := socket.TakeEnd(fd)
			if err != nil {
				t.Fatal(err)
			}
			defer end.Close()
			st := &stuckStream{closed: make(chan struct{}), mute: tt.mute}
			c := &carriage{st: st, end: end, m: new(Meter), linger: short}
			left, leave := context.WithCancel(context.Background())
			defer leave()
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			over := make(chan struct{})
			go func() { defer close(over); c.run(ctx, left, func() {}) }()
			if tt.write {
				nc.Write([]byte("x"))
				for !c.writing.Load() {
					time.Sleep(time.Millisecond)
				}
			}
			if tt.close {
				nc.Close()
			}
			if tt.leave {
				leave()
			}
			select {
			case <-over:
				if !tt.want {
					t.Error("it ended")
				}
			case <-time.After(10 * short):
				if tt.want {
					t.Error("it did not end")
				}
			}
			cancel()
			<-over
		})
	}
}
