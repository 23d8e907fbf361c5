package streams

import (
	"context"
	"encoding/binary"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/yamux"
	"go.uber.org/goleak"

	"muxd/control"
	"muxd/control/controltest"
)

// flooded is a server with one client that behaves and one that speaks yamux by
// hand.
type flooded struct {
	t     *testing.T
	srv   *control.Server
	other *Session
	raw   *controltest.Socket
	done  chan struct{} // the one by hand was cut
}

func flood(t *testing.T) *flooded {
	t.Helper()
	was := goleak.IgnoreCurrent()
	srv := &control.Server{Backend: byArg(echo), Log: quiet{}, Many: Serve}
	ends := make([]chan struct{}, 2)
	conns := make([]*controltest.Socket, 2)
	for i := range conns {
		c, s := controltest.SocketPair(t)
		conns[i], ends[i] = c, make(chan struct{})
		go func() { defer close(ends[i]); srv.ServeConn(context.Background(), s) }()
	}
	other, err := Dial(conns[0])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := control.Greet(conns[1]); err != nil {
		t.Fatal(err)
	}
	f := &flooded{t, srv, other, conns[1], ends[1]}
	t.Cleanup(func() {
		other.Close()
		f.raw.Close()
		<-ends[0]
		<-ends[1]
		goleak.VerifyNone(t, was)
		if n := srv.Clients(); n != 0 {
			t.Errorf("%d clients are left", n)
		}
	})
	return f
}

// works has the client that behaves run something.
func (f *flooded) works() {
	f.t.Helper()
	op := start(f.t, f.other, "ab")
	if x, err := op.WaitStream(&controltest.Screen{}); err != nil || x.Code != 2 {
		f.t.Errorf("beside the flood: %+v, %v", x, err)
	}
	op.Close()
}

// cut waits until the one by hand is no client any more.
func (f *flooded) cut() {
	f.t.Helper()
	select {
	case <-f.done:
	case <-time.After(patience):
		f.t.Error("it is not cut")
	}
	f.works()
}

// header is a frame's, of a version, with what follows it.
func header(kind byte, flags uint16, stream, length uint32, body ...byte) []byte {
	b := binary.BigEndian.AppendUint16([]byte{0, kind}, flags)
	b = binary.BigEndian.AppendUint32(b, stream)
	return append(binary.BigEndian.AppendUint32(b, length), body...)
}

// A client that pings and does not read the answers is cut before they take
// memory; one that reads them may ping as often as it likes.
func TestPingFlood(t *testing.T) {
	f := flood(t)
	for range 50 * control.MaxPings {
		if _, err := f.raw.Write(header(typePing, flagSYN, 0, 7)); err != nil {
			break
		}
	}
	f.cut()

	f = flood(t)
	answer := make([]byte, headerLen)
	for range 50 * control.MaxPings {
		if _, err := f.raw.Write(header(typePing, flagSYN, 0, 7)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(f.raw, answer); err != nil || answer[1] != typePing || answer[3] != flagACK {
			t.Fatalf("%v, %v", answer, err)
		}
	}
	f.works()
}

// A client that opens streams without end is cut, whether or not it reads and
// whatever it says on them, and holds up nobody.
func TestStreamFlood(t *testing.T) {
	for name, says := range map[string][]byte{
		"nothing":          nil,
		"half a frame":     {0, 0},
		"no request":       {0, 0, 0, 1, 2},
		"a window's bytes": append([]byte{0, 0, 0, 1, 2}, make([]byte, 100<<10)...),
	} {
		for _, reads := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				f := flood(t)
				if reads {
					go io.Copy(io.Discard, f.raw)
				}
				go func() {
					for id := uint32(1); ; id += 2 {
						b := append(header(1, flagSYN, id, 0), header(typeData, 0, id, uint32(len(says)), says...)...)
						if _, err := f.raw.Write(b); err != nil {
							return
						}
					}
				}()
				for range 5 {
					f.works()
				}
				if n := f.srv.Clients(); n > control.MaxStreams+2 {
					t.Errorf("it has %d operations", n)
				}
			})
		}
	}
}

// Streams that muxd has closed count until their client has closed them too: the
// library keeps them, and what is sent on them.
func TestStreamsThatTheClientDoesNotClose(t *testing.T) {
	f := flood(t)
	go io.Copy(io.Discard, f.raw)
	junk := make([]byte, 4<<10)
	for i := range uint32(2 * control.MaxStreams) {
		id := 1 + 2*i
		b := append(header(1, flagSYN, id, 0), header(typeData, 0, id, uint32(len(junk)), junk...)...)
		if _, err := f.raw.Write(b); err != nil {
			break
		}
		if i%32 == 0 {
			time.Sleep(time.Millisecond) // within its backlog: what is beyond is reset by the library
		}
	}
	f.cut()
}

// Streams that are silent are no operations: they wait for each other, and take
// nothing of the number that is for all clients.
func TestSilentStreams(t *testing.T) {
	f := flood(t)
	y, err := yamux.Client(f.raw, config())
	if err != nil {
		t.Fatal(err)
	}
	defer y.Close()
	const silent, backlog = 128, 64 // maxGreeting, and what the library holds beside it
	var opened atomic.Int32
	began, done := time.Now(), make(chan struct{})
	go func() {
		defer close(done)
		for range 3 * silent {
			if _, err := y.OpenStream(); err != nil {
				return
			}
			opened.Add(1)
		}
	}()
	for opened.Load() < silent+backlog {
		time.Sleep(time.Millisecond)
	}
	f.works()
	const conns = 2
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		n := f.srv.Clients()
		if n == conns {
			break
		}
		if n != conns+1 || time.Now().After(end) { // who has worked is leaving
			t.Fatalf("%d clients", n)
		}
	}
	time.Sleep(100 * time.Millisecond)
	// The first of them have 5 s.
	if n := opened.Load(); n > silent+backlog && time.Since(began) < 4*time.Second {
		t.Errorf("%d are open", n)
	}
	y.Close()
	<-done
}
