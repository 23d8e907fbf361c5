package wire

import (
	"encoding/binary"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"muxd/internal/firstkex"
)

// plain is a packet before there are keys, of one byte and its padding.
func plain(number byte) []byte {
	b := make([]byte, 16)
	binary.BigEndian.PutUint32(b, 12)
	b[4], b[5] = 10, number
	return b
}

// Between a server's keys and the request to be logged in, the SSH library gets
// what comes in pieces; before and after, as it comes.
func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		w := New(near)
		w.Observe(&firstkex.Observer{})
		piece := piecePackets * leastPacket
		go func() {
			far.Write(append(append([]byte("SSH-2.0-x\r\n"), plain(99)...), append(plain(msgNewKeys), make([]byte, 3*piece)...)...))
			far.Write(make([]byte, 5*piece))
		}()
		go func() {
			for b := make([]byte, 100); ; {
				if _, err := far.Read(b); err != nil {
					return
				}
			}
		}()
		start, b := time.Now(), make([]byte, 1<<20)
		reads := func(want int, at time.Duration) {
			t.Helper()
			if n, err := w.Read(b); n != want || err != nil || time.Since(start) != at {
				t.Errorf("read %d bytes after %v, %v; want %d after %v", n, time.Since(start), err, want, at)
			}
		}
		w.Write([]byte("version"))
		w.Write([]byte("keys"))
		reads(11+16, 0)
		reads(16, 0)
		reads(piece, 0)
		w.Write([]byte("service"))
		reads(piece, turn)
		time.Sleep(turn)
		reads(piece, 2*turn) // what comes a while after the last piece does not wait
		w.Write([]byte("login"))
		reads(5*piece, 2*turn)
		near.Close()
		far.Close()
	})
}

// A piece that waits ends with the connection.
func TestPaceEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		w := New(near)
		w.Observe(&firstkex.Observer{})
		go far.Write(append(append([]byte("SSH-2.0-x\r\n"), plain(msgNewKeys)...), make([]byte, 1000)...))
		b := make([]byte, 1<<20)
		for range 3 {
			if _, err := w.Read(b); err != nil {
				t.Error(err)
			}
		}
		start := time.Now()
		time.AfterFunc(turn/2, func() { w.Close() })
		if _, err := w.Read(b); err != net.ErrClosed || time.Since(start) != turn/2 {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		far.Close()
	})
}

const msgNewKeys = 21 // RFC 4253 section 12
