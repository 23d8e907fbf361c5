package wire

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"muxd/internal/sshtest"
)

// counted counts the writes that come to a connection, and can hold them up.
type counted struct {
	net.Conn
	writes atomic.Int64
	gate   sync.Mutex // held: writes wait
}

func (c *counted) Write(p []byte) (int, error) {
	c.gate.Lock()
	defer c.gate.Unlock()
	c.writes.Add(1)
	return c.Conn.Write(p)
}

// wired runs f with a wire over a pipe, in virtual time.
func wired(t *testing.T, f func(t *testing.T, w *Conn, near, far *sshtest.Conn)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		near, far := sshtest.PipeSize(64 << 10)
		w := New(near)
		f(t, w, near, far)
		w.Close()
		far.Close()
	})
}

// Whatever the sizes and the speed of the reader, the bytes come in order.
func TestWireKeepsTheOrder(t *testing.T) {
	wired(t, func(t *testing.T, w *Conn, near, far *sshtest.Conn) {
		var sent bytes.Buffer
		got := make(chan []byte, 1)
		go func() {
			b, _ := io.ReadAll(far)
			got <- b
		}()
		for i := range 3000 {
			p := bytes.Repeat([]byte{byte(i)}, 1+i*37%9000)
			sent.Write(p)
			if n, err := w.Write(p); n != len(p) || err != nil {
				t.Fatal(n, err)
			}
			if i%100 == 0 {
				time.Sleep(time.Millisecond)
			}
		}
		synctest.Wait()
		near.Close()
		if !bytes.Equal(<-got, sent.Bytes()) {
			t.Error("other bytes came than were sent")
		}
		if w.out.Load() != int64(sent.Len()) {
			t.Errorf("counted %d of %d", w.out.Load(), sent.Len())
		}
	})
}

// A write to a quiet wire goes out by itself; those that follow go together.
func TestWireCoalesces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := sshtest.PipeSize(4 << 20)
		c := &counted{Conn: near}
		w := New(c)
		defer far.Close()
		defer w.Close()
		for range 10 {
			w.Write([]byte("key press"))
			if n := c.writes.Swap(0); n != 1 {
				t.Errorf("%d writes, not one at once", n)
			}
			time.Sleep(directAfter + time.Microsecond)
		}
		w.Write([]byte("first"))
		for range 100 {
			w.Write(make([]byte, 1000))
		}
		synctest.Wait()
		if n := c.writes.Load(); n < 2 || n > 100 {
			t.Errorf("%d writes", n)
		}
	})
}

// Writers may run ahead of a stalled connection by so much and no more.
func TestWireIsBounded(t *testing.T) {
	wired(t, func(t *testing.T, w *Conn, near, far *sshtest.Conn) {
		near.Out().Stall()
		var n atomic.Int64
		done := make(chan error, 1)
		go func() {
			for {
				if _, err := w.Write(make([]byte, 32<<10)); err != nil {
					done <- err
					return
				}
				n.Add(32 << 10)
			}
		}()
		synctest.Wait()
		// One buffer is in the flusher's write, one waits.
		if most := int64(64<<10 + 2*(pendingMost+64<<10)); n.Load() < pendingMost || n.Load() > most {
			t.Errorf("took %d bytes", n.Load())
		}
		w.Close()
		if err := <-done; !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
}

func TestWireTellsTheFlushersError(t *testing.T) {
	wired(t, func(t *testing.T, w *Conn, near, far *sshtest.Conn) {
		w.Write([]byte("a"))
		near.Cut()
		w.Write([]byte("b")) // left to the flusher
		synctest.Wait()
		time.Sleep(time.Second)
		for range 2 {
			if _, err := w.Write([]byte("c")); !errors.Is(err, syscall.ECONNRESET) {
				t.Error(err)
			}
		}
	})
}

func TestWireCloseFreesBoth(t *testing.T) {
	for name, end := range map[string]struct {
		end  func(w *Conn)
		want error
	}{
		"close":  {func(w *Conn) { w.Close() }, net.ErrClosed},
		"expire": {func(w *Conn) { w.Expire() }, os.ErrDeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			wired(t, func(t *testing.T, w *Conn, near, far *sshtest.Conn) {
				w.Write([]byte("version")) // before anybody reads, as the SSH library
				near.Stall()
				errs := make(chan error, 2)
				go func() { _, err := w.Read(make([]byte, 1)); errs <- err }()
				go func() {
					var err error
					for err == nil {
						_, err = w.Write(make([]byte, 100<<10))
					}
					errs <- err
				}()
				synctest.Wait()
				end.end(w)
				for range 2 {
					if err := <-errs; !errors.Is(err, end.want) {
						t.Error(err)
					}
				}
			})
		})
	}
}

// A write that goes out by itself is freed too.
func TestWireCloseFreesADirectWrite(t *testing.T) {
	wired(t, func(t *testing.T, w *Conn, near, far *sshtest.Conn) {
		done := make(chan error, 1)
		go func() { _, err := w.Write(make([]byte, 1<<20)); done <- err }()
		synctest.Wait()
		w.Close()
		if err := <-done; !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
}

// held is what the wire's buffers come to.
func (w *Conn) held() int {
	n := 0
	if w.lent != nil {
		n += len(*w.lent)
	}
	if w.pending != nil {
		n += cap(*w.pending)
	}
	return n
}

func TestWireAtRestHoldsSixteenKiB(t *testing.T) {
	wired(t, func(t *testing.T, w *Conn, near, far *sshtest.Conn) {
		go io.Copy(io.Discard, far)
		const total = 1 << 20
		go func() {
			far.Write(make([]byte, total))
			time.Sleep(time.Second)
			far.Write([]byte("a probe's answer"))
		}()
		borrowed := false
		buf := make([]byte, 4<<10)
		for n := 0; n < total+16; {
			k, err := w.Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			borrowed = borrowed || len(*w.lent) == bulkSize
			n += k
		}
		for range 100 {
			w.Write(make([]byte, 32<<10))
		}
		go w.Read(buf)
		synctest.Wait()
		if !borrowed {
			t.Error("never read in large pieces")
		}
		if n := w.held(); n > 16<<10 {
			t.Errorf("%d bytes at rest", n)
		}
		if len(w.unread) != 0 || w.in.Load() != total+16 {
			t.Errorf("%d unread, %d read", len(w.unread), w.in.Load())
		}
	})
}

// A write after a pause waits for what the flusher is still writing.
func TestWireKeepsTheOrderBehindABlockedFlusher(t *testing.T) {
	for range 20 {
		wired(t, func(t *testing.T, w *Conn, near, far *sshtest.Conn) {
			want := append(bytes.Repeat([]byte("a"), 64<<10), bytes.Repeat([]byte("b"), 1000)...)
			w.Write(want[:64<<10]) // fills the pipe
			w.Write(want[64<<10:]) // left to the flusher, who waits
			time.Sleep(time.Second)
			go w.Write([]byte("c"))
			synctest.Wait()
			got := make([]byte, len(want)+1)
			if _, err := io.ReadFull(far, got); err != nil || string(got) != string(want)+"c" {
				t.Errorf("…%q, %v", got[64<<10:], err)
			}
		})
	}
}

// A connection of the kernel's has no buffer while it waits, whatever it read
// before, and the one that it has while bytes flow is a large one.
func TestWireWaitsWithoutABuffer(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			near, far := socketPair(t, network)
			w := New(near)
			defer w.Close()
			waiting := -1 // bytes held when it was found that there is nothing to read
			w.try = func(fd uintptr) bool {
				got := w.attempt(fd)
				if !got {
					waiting = w.held()
				}
				return got
			}
			sent := make([]byte, 3*readSize)
			for i := range sent {
				sent[i] = byte(i * 7)
			}
			got := make([]byte, len(sent))
			for range 3 {
				far.Write(sent) // there is room for all of it
				if _, err := io.ReadFull(w, got); err != nil || !bytes.Equal(got, sent) {
					t.Fatal("other bytes came than were sent", err)
				}
				near.SetReadDeadline(time.Now().Add(time.Millisecond))
				if n, err := w.Read(got); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) || !strings.HasPrefix(err.Error(), "read "+network+" ") {
					t.Fatal(n, err)
				}
				if waiting != 0 || w.held() != 0 {
					t.Errorf("waits with %d bytes, and has %d after that", waiting, w.held())
				}
				if !w.flows {
					t.Error("bytes flowed, and the next buffer is a small one")
				}
				near.SetReadDeadline(time.Time{})
			}
			far.Write([]byte("a probe's answer"))
			w.Read(got)
			if len(*w.lent) != bulkSize || w.flows {
				t.Errorf("%d bytes, flows %v", len(*w.lent), w.flows)
			}
			far.Close()
			if _, err := w.Read(got); err != io.EOF {
				t.Error(err)
			}
		})
	}
}

// socketPair are both ends of a connection of the kernel's.
func socketPair(t *testing.T, network string) (near, far net.Conn) {
	t.Helper()
	at := "127.0.0.1:0"
	if network == "unix" {
		at = filepath.Join(t.TempDir(), "s")
	}
	ln, err := net.Listen(network, at)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if near, err = net.Dial(network, ln.Addr().String()); err == nil {
		far, err = ln.Accept()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close(); far.Close() })
	return near, far
}

// A connection that was reset says so in the words of the net package.
func TestWireTellsAReset(t *testing.T) {
	near, far := socketPair(t, "tcp")
	w := New(near)
	defer w.Close()
	far.(*net.TCPConn).SetLinger(0)
	far.Close()
	_, err := w.Read(make([]byte, 1))
	if want := "read tcp " + near.LocalAddr().String() + "->" + near.RemoteAddr().String() + ": read: connection reset by peer"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

// What is read while the big buffer goes back is not lost.
func TestWireReadsEverything(t *testing.T) {
	wired(t, func(t *testing.T, w *Conn, near, far *sshtest.Conn) {
		var sent []byte
		for i := range 400 {
			sent = append(sent, bytes.Repeat([]byte{byte(i), byte(i >> 8)}, 1+i*i%20000)...)
		}
		go func() {
			for rest, i := sent, 0; len(rest) > 0; i++ {
				n := min(len(rest), 1+i*7919%60000)
				far.Write(rest[:n])
				rest = rest[n:]
				if i%5 == 0 {
					time.Sleep(time.Millisecond)
				}
			}
			far.Close()
		}()
		got, err := io.ReadAll(w)
		if !bytes.Equal(got, sent) || err != nil {
			t.Errorf("%d of %d bytes, %v", len(got), len(sent), err)
		}
	})
}

func TestWireStampsTheLastByte(t *testing.T) {
	wired(t, func(t *testing.T, w *Conn, near, far *sshtest.Conn) {
		start := time.Now()
		if !w.LastRead().Equal(start) {
			t.Errorf("begins at %v", w.LastRead().Sub(start))
		}
		far.Write([]byte("abc"))
		time.Sleep(time.Second)
		w.Read(make([]byte, 1))
		at := w.LastRead()
		if at.Sub(start) != time.Second {
			t.Errorf("stamped %v", at.Sub(start))
		}
		time.Sleep(time.Second)
		w.Read(make([]byte, 1)) // out of the buffer: nothing was received
		if !w.LastRead().Equal(at) {
			t.Error("stamped without a byte received")
		}
	})
}

func TestSniffing(t *testing.T) {
	long := strings.Repeat("x", 300)
	for _, c := range []struct{ says, want string }{
		{"Exceeded MaxStartups\r\n", "Exceeded MaxStartups\r\n"},
		{"SSH-2.0-OpenSSH_9.9\r\n\x00\x00binary", ""},
		{"Welcome\r\nSSH-2.0-x\r\n", "Welcome\r\n"},
		{long, long[:sniffMax]}, {"", ""},
	} {
		for _, size := range []int{1, 1000} {
			wired(t, func(t *testing.T, w *Conn, near, far *sshtest.Conn) {
				go func() {
					for rest := c.says; rest != ""; {
						n := min(len(rest), size)
						io.WriteString(far, rest[:n])
						rest = rest[n:]
						time.Sleep(time.Millisecond)
					}
					far.Close()
				}()
				if got, _ := io.ReadAll(w); string(got) != c.says {
					t.Errorf("read %q", got)
				}
				if got := w.Sniffed(); got != c.want {
					t.Errorf("%q in pieces of %d: %q, want %q", c.says, size, got, c.want)
				}
			})
		}
	}
}

// A server that had its say and left before our first write is still heard.
func TestLastWords(t *testing.T) {
	wired(t, func(t *testing.T, w *Conn, near, far *sshtest.Conn) {
		io.WriteString(far, "Exceeded MaxStartups\r\n")
		far.Close()
		if _, err := w.Write([]byte("SSH-2.0-muxd\r\n")); !errors.Is(err, syscall.EPIPE) {
			t.Error(err)
		}
		if got := w.Sniffed(); got != "Exceeded MaxStartups\r\n" {
			t.Errorf("%q", got)
		}
	})
}

// BenchmarkUpload reports how many writes a megabyte of an upload costs, in
// packets as the SSH library makes them.
func BenchmarkUpload(b *testing.B) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go io.Copy(io.Discard, c)
		}
	}()
	nc, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	c := &counted{Conn: nc}
	w := New(c)
	defer w.Close()
	packet := make([]byte, 32<<10+32)
	b.SetBytes(1 << 20)
	b.ReportAllocs()
	for b.Loop() {
		for range 32 {
			if _, err := w.Write(packet); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(c.writes.Load())/float64(b.N), "writes/MB")
}
