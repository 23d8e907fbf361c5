package forward

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"muxd/control"
	"muxd/internal/sshtest"
)

// realFixture listens with real sockets; what Open gives stays scripted.
func realFixture(t testing.TB, change func(*fixture)) *fixture {
	return newFixture(t, func(fx *fixture) {
		fx.cfg.Listen = nil
		if change != nil {
			change(fx)
		}
	})
}

func freePort(t testing.TB) int { return sshtest.FreePort(t) }

func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within a minute", what)
		}
	}
}

// farSide is what stands behind the newest channel.
func (fx *fixture) farSide(t testing.TB, n int) *side {
	t.Helper()
	eventually(t, "a channel", func() bool { fx.mu.Lock(); defer fx.mu.Unlock(); return len(fx.far) >= n })
	fx.mu.Lock()
	defer fx.mu.Unlock()
	return fx.far[n-1]
}

// places are one of each kind of socket.
func places(t *testing.T) map[string]control.Endpoint {
	return map[string]control.Endpoint{
		"tcp":  {Host: "127.0.0.1", Port: freePort(t)},
		"unix": {Path: filepath.Join(t.TempDir(), "s")},
	}
}

func dialAt(t testing.TB, e control.Endpoint) net.Conn {
	t.Helper()
	network := "tcp"
	if e.Path != "" {
		network = "unix"
	}
	nc, err := net.Dial(network, e.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	return nc
}

type closeWriter interface{ CloseWrite() error }

// TestBytesExact carries 10 MB each way at once, with either side ending first,
// and writes of every size.
func TestBytesExact(t *testing.T) {
	data := make([]byte, 10<<20)
	rnd := rand.NewChaCha8([32]byte{1})
	rnd.Read(data)
	sum := sha256.Sum256(data)
	send := func(w io.Writer, seed uint64) error {
		r := rand.New(rand.NewPCG(seed, 0))
		for b := data; len(b) > 0; {
			n := min(len(b), 1+r.IntN(1<<r.IntN(18)))
			if _, err := w.Write(b[:n]); err != nil {
				return err
			}
			b = b[n:]
		}
		return w.(closeWriter).CloseWrite()
	}
	check := func(what string, r io.Reader, h func()) {
		got := sha256.New()
		if n, err := io.Copy(got, r); n != int64(len(data)) || err != nil || !bytes.Equal(got.Sum(nil), sum[:]) {
			t.Errorf("%s: %d bytes, %v", what, n, err)
		}
		h()
	}
	for name, place := range places(t) {
		for _, order := range []string{"both at once", "client first", "server first"} {
			t.Run(name+", "+order, func(t *testing.T) {
				fx := realFixture(t, nil)
				f := control.Forward{Kind: control.ForwardLocal, Listen: place, Connect: at("x", 80)}
				fx.add(t, f, fx.owner())
				client := dialAt(t, place)
				far := fx.farSide(t, 1)
				var all sync.WaitGroup
				clientHeard, farHeard := make(chan struct{}), make(chan struct{})
				all.Go(func() { check("to the client", client, func() { close(clientHeard) }) })
				all.Go(func() { check("to the server", far, func() { close(farHeard) }) })
				all.Go(func() {
					if order == "server first" {
						<-clientHeard
					}
					if err := send(client, 1); err != nil {
						t.Error(err)
					}
				})
				all.Go(func() {
					if order == "client first" {
						<-farHeard
					}
					if err := send(far, 2); err != nil {
						t.Error(err)
					}
				})
				all.Wait()
				eventually(t, "the end", func() bool { return fx.Open() == 0 })
				if st := fx.Status()[0]; st.In != int64(len(data)) || st.Out != int64(len(data)) || st.Total != 1 || st.Open != 0 || st.LastErr != "" {
					t.Errorf("%+v", st)
				}
			})
		}
	}
}

// TestLossResets has the SSH connection end under an open one: with its other
// direction open or ended, busy or idle, the client sees an error.
func TestLossResets(t *testing.T) {
	place := places(t)["tcp"]
	for name, before := range map[string]func(client net.Conn, far *side){
		"idle":                     func(net.Conn, *side) {},
		"with bytes before":        func(_ net.Conn, far *side) { far.Write([]byte("half of it")) },
		"client ended before":      func(client net.Conn, _ *side) { client.(closeWriter).CloseWrite() },
		"server ended before":      func(_ net.Conn, far *side) { far.CloseWrite() },
		"client writes much":       func(client net.Conn, _ *side) { go client.Write(make([]byte, 1<<24)) },
		"server writes, unread":    func(_ net.Conn, far *side) { go far.Write(make([]byte, 1<<24)) },
		"client reads to the end":  func(client net.Conn, far *side) { far.CloseWrite(); io.Copy(io.Discard, client) },
		"client ends and the rest": func(client net.Conn, far *side) { client.(closeWriter).CloseWrite(); io.Copy(io.Discard, far) },
	} {
		t.Run(name, func(t *testing.T) {
			fx := realFixture(t, nil)
			fx.add(t, control.Forward{Kind: control.ForwardLocal, Listen: place, Connect: at("x", 80)}, fx.owner())
			client := dialAt(t, place)
			far := fx.farSide(t, 1)
			eventually(t, "the connection", func() bool { return fx.Open() == 1 })
			before(client, far)
			time.Sleep(20 * time.Millisecond) // it comes through before the loss, mostly
			fx.channel(0).lose()
			if name == "server writes, unread" { // what came before the loss is its to read
				if n, err := io.Copy(io.Discard, client); n == 0 || !errors.Is(err, syscall.ECONNRESET) {
					t.Errorf("read %d: %v", n, err)
				}
			}
			eventually(t, "the end", func() bool { return fx.Open() == 0 })
			var err error
			for err == nil {
				_, err = client.Write([]byte("x"))
			}
			if !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
				t.Errorf("write: %v", err)
			}
			if name == "idle" || name == "client ended before" || name == "with bytes before" {
				client := dialAt(t, place)
				far := fx.farSide(t, 2)
				eventually(t, "the connection", func() bool { return fx.Open() == 1 })
				before(client, far)
				time.Sleep(20 * time.Millisecond)
				fx.channel(1).lose()
				if _, err := io.Copy(io.Discard, client); !errors.Is(err, syscall.ECONNRESET) {
					t.Errorf("read: %v", err)
				}
			}
		})
	}
}

// TestClientGoes ends the channel, whether it went quietly or by a reset.
func TestClientGoes(t *testing.T) {
	place := places(t)["tcp"]
	for _, hard := range []bool{false, true} {
		fx := realFixture(t, nil)
		fx.add(t, control.Forward{Kind: control.ForwardLocal, Listen: place, Connect: at("x", 80)}, fx.owner())
		client := dialAt(t, place)
		far := fx.farSide(t, 1)
		client.Write([]byte("x"))
		io.ReadFull(far, make([]byte, 1))
		if hard {
			client.(*net.TCPConn).SetLinger(0)
		}
		client.Close()
		if n, err := far.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("%d, %v", n, err)
		}
		if !hard { // the channel's other direction lives until somebody uses it
			far.Write(make([]byte, 1<<20))
			far.Write(make([]byte, 1<<20))
		}
		eventually(t, "the end", func() bool { return fx.Open() == 0 })
		fx.Close()
	}
}

// TestClientReadsNoMore has a client that takes nothing and goes on sending, or
// has sent all and gone, while the server sends: what it sent arrives, and then
// the connection ends.
func TestClientReadsNoMore(t *testing.T) {
	data := make([]byte, 1<<20)
	rand.NewChaCha8([32]byte{2}).Read(data)
	for _, gone := range []bool{false, true} {
		place := places(t)["unix"]
		fx := realFixture(t, nil)
		fx.add(t, control.Forward{Kind: control.ForwardLocal, Listen: place, Connect: at("x", 80)}, fx.owner())
		client := dialAt(t, place).(*net.UnixConn)
		far := fx.farSide(t, 1)
		want := data
		if gone {
			want = data[:100<<10] // as much as waits in the socket and on the way
			client.Write(want)
			client.Close()
		} else {
			client.CloseRead()
		}
		eventually(t, "the connection", func() bool { return fx.Open() == 1 })
		for range 3 { // the first meets the client, and the next what it left behind
			far.Write(make([]byte, 1<<20))
		}
		if !gone {
			go func() { client.Write(want); client.CloseWrite() }()
		}
		if got, err := io.ReadAll(far); !bytes.Equal(got, want) || err != nil {
			t.Errorf("gone %v: %d of %d bytes, %v", gone, len(got), len(want), err)
		}
		eventually(t, "the end", func() bool { return fx.Open() == 0 })
	}
}

// TestServerCloses has the server close the channel while the client still
// sends: what came before is all read, and the client is not reset before it
// could.
func TestServerCloses(t *testing.T) {
	for _, busy := range []bool{false, true} {
		bubble(t, func(t *testing.T) {
			fx := newFixture(t, nil)
			fx.add(t, local(1, "x"), fx.owner())
			client := fx.lis.dial()
			synctest.Wait()
			far := fx.far[0]
			if busy {
				go func() {
					for {
						if _, err := client.Write(make([]byte, 1000)); err != nil {
							return
						}
						time.Sleep(10 * time.Millisecond)
					}
				}()
			}
			synctest.Wait()
			far.Write([]byte("all there is"))
			far.Close()
			if b, err := io.ReadAll(client); string(b) != "all there is" || err != nil {
				t.Errorf("%q, %v", b, err)
			}
			time.Sleep(settleMost + 100*time.Millisecond)
			synctest.Wait()
			if open := fx.Open(); busy != (open == 0) {
				t.Errorf("busy %v: %d open", busy, open)
			}
		})
	}
}

// TestChannelSaysDone closes a client that does nothing once the server closed
// the channel.
func TestChannelSaysDone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fx := newFixture(t, nil)
		fx.add(t, local(1, "x"), fx.owner())
		client := fx.lis.dial()
		synctest.Wait()
		far := fx.far[0]
		far.CloseWrite()
		time.Sleep(time.Hour)
		if fx.Open() != 1 {
			t.Error("ended with half of it open")
		}
		far.Close()
		close(fx.channel(0).done)
		time.Sleep(settleMost)
		synctest.Wait()
		if fx.Open() != 0 {
			t.Error("still open")
		}
		if _, err := io.ReadAll(client); err != nil {
			t.Error(err)
		}
	})
}

// TestStuckConsumer has one client that never reads; another's bytes pass.
func TestStuckConsumer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fx := newFixture(t, nil)
		fx.add(t, local(1, "x"), fx.owner())
		for range 50 {
			fx.lis.dial()
		}
		good := fx.lis.dial()
		synctest.Wait()
		for _, far := range fx.far {
			go far.Write(make([]byte, 1<<20))
		}
		synctest.Wait()
		if n, err := io.CopyN(io.Discard, good, 1<<20); err != nil {
			t.Errorf("%d, %v", n, err)
		}
	})
}

// TestStepped returns what it borrowed when nothing more comes.
func TestStepped(t *testing.T) {
	a, b := couple(1 << 20)
	s := &stepped{r: a}
	for _, c := range []struct{ wrote, first, then int }{{10, 10, 0}, {first - 1, first - 1, 0}, {first + 10, first, 10}, {first + burst + 5, first, burst}} {
		b.Write(make([]byte, c.wrote))
		got := 0
		for i := 0; got < c.wrote; i++ {
			b, err := s.next()
			if want := []int{c.first, c.then, c.wrote - c.first - c.then}[i]; len(b) != want || err != nil {
				t.Errorf("%+v: read %d, %v", c, len(b), err)
			}
			got += len(b)
			s.done()
		}
		if s.many != nil {
			t.Errorf("%+v: kept", c)
		}
	}
	b.CloseWrite()
	if _, err := s.next(); err != io.EOF {
		t.Error(err)
	}
}

// TestSteppedInBulk reads pieces that do not fill its buffer in one each, keeps
// the buffer for the next, gives it back with the last, and leaves those beyond
// a number none to wait with.
func TestSteppedInBulk(t *testing.T) {
	eventually(t, "no other test's are lent", func() bool { return lent.Load() == 0 })
	var all []*stepped
	for i := range lentAtRest + 1 {
		a, b := couple(1 << 20)
		s := &stepped{r: a}
		read := func(want int) {
			t.Helper()
			if b, err := s.next(); len(b) != want || err != nil {
				t.Errorf("%d: read %d, %v, want %d", i, len(b), err, want)
			}
			s.done()
		}
		for n := range 3 {
			b.Write(make([]byte, burst/2))
			if n == 0 || i == lentAtRest {
				read(first)
				read(burst/2 - first)
			} else {
				read(burst / 2)
			}
		}
		all = append(all, s)
		if i == 0 {
			b.Write(make([]byte, 1))
			read(1)
			if s.many != nil || lent.Load() != 0 {
				t.Errorf("%d are kept after a piece that is small", lent.Load())
			}
			b.Write(make([]byte, burst/2))
			read(first)
			read(burst/2 - first)
		}
	}
	for _, s := range all {
		s.free()
	}
	if n := lent.Load(); n != 0 {
		t.Errorf("%d are kept after all", n)
	}
}
