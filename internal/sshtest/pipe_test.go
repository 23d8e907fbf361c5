package sshtest

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// bubble runs f in virtual time.
func bubble(t *testing.T, f func(t *testing.T)) { t.Helper(); synctest.Test(t, f) }

func mustWrite(t *testing.T, c net.Conn, s string) {
	t.Helper()
	if n, err := c.Write([]byte(s)); err != nil || n != len(s) {
		t.Fatalf("write %q: %d, %v", s, n, err)
	}
}

func mustRead(t *testing.T, c net.Conn, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
		t.Fatalf("read %q, %v, want %q", got, err, want)
	}
}

func wantReadError(t *testing.T, c net.Conn, want error) {
	t.Helper()
	if n, err := c.Read(make([]byte, 8)); n != 0 || !errors.Is(err, want) {
		t.Fatalf("read: %d, %v, want %v", n, err, want)
	}
}

func wantWriteError(t *testing.T, c net.Conn, want error) {
	t.Helper()
	if _, err := c.Write([]byte("x")); !errors.Is(err, want) {
		t.Fatalf("write: %v, want %v", err, want)
	}
}

func TestPipeBothEndsMayWriteFirst(t *testing.T) {
	a, b := Pipe()
	mustWrite(t, a, "from a")
	mustWrite(t, b, "from b")
	mustRead(t, a, "from b")
	mustRead(t, b, "from a")
}

func TestPipeCloseDeliversWhatWasWritten(t *testing.T) {
	a, b := Pipe()
	mustWrite(t, a, "last words")
	mustWrite(t, b, "unread")
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	mustRead(t, b, "last words")
	wantReadError(t, b, io.EOF)
	wantWriteError(t, b, syscall.EPIPE)
	wantReadError(t, a, net.ErrClosed)
	wantWriteError(t, a, net.ErrClosed)
	if err := a.Close(); !errors.Is(err, net.ErrClosed) {
		t.Fatalf("second close: %v", err)
	}
}

func TestPipeCutFailsBothEndsAndLosesWhatWasOnTheWay(t *testing.T) {
	a, b := Pipe()
	mustWrite(t, a, "lost")
	b.Cut()
	for _, c := range []*Conn{a, b} {
		wantReadError(t, c, syscall.ECONNRESET)
		wantWriteError(t, c, syscall.ECONNRESET)
	}
}

func TestPipeCutFreesBlockedReaderAndWriter(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b := PipeSize(1)
		mustWrite(t, a, "x")
		errs := make(chan error, 2)
		go func() { _, err := a.Write([]byte("y")); errs <- err }()
		go func() { _, err := a.Read(make([]byte, 1)); errs <- err }()
		synctest.Wait()
		b.Cut()
		for range 2 {
			if err := <-errs; !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("got %v", err)
			}
		}
	})
}

func TestPipeCutAfterDeliversExactlyThatMany(t *testing.T) {
	for n := range int64(7) {
		a, b := Pipe()
		mustWrite(t, a, "zero")
		mustRead(t, b, "zero")
		a.Out().CutAfter(n)
		a.Write([]byte("sixsix"))
		got, err := io.ReadAll(b)
		if string(got) != "sixsix"[:n] || !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("cut after %d: read %q, %v", n, got, err)
		}
		wantReadError(t, a, syscall.ECONNRESET)
	}
}

func TestPipeStallHoldsBytesAndTheNewsOfClose(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b := PipeSize(4)
		a.Out().Stall()
		mustWrite(t, a, "abcd")
		a.SetWriteDeadline(time.Now().Add(time.Second))
		wantWriteError(t, a, os.ErrDeadlineExceeded)
		b.SetReadDeadline(time.Now().Add(time.Minute))
		wantReadError(t, b, os.ErrDeadlineExceeded)
		mustWrite(t, b, "rev") // the other lane is untouched
		mustRead(t, a, "rev")
		a.Close()
		mustWrite(t, b, "to!") // nobody reads, but b cannot know
		a.Out().Resume()
		wantWriteError(t, b, syscall.EPIPE)
		b.SetReadDeadline(time.Time{})
		mustRead(t, b, "abcd")
		wantReadError(t, b, io.EOF)
	})
}

func TestPipeSlowDelaysToTheMillisecondAndKeepsOrder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b := Pipe()
		start := time.Now()
		a.Slow(100 * time.Millisecond)
		mustWrite(t, a, "first")
		time.Sleep(10 * time.Millisecond)
		mustWrite(t, a, "second")
		a.Slow(0)
		mustWrite(t, a, "third")
		a.Close()
		for _, step := range []struct {
			text string
			at   time.Duration
		}{{"first", 100 * time.Millisecond}, {"secondthird", 110 * time.Millisecond}} {
			mustRead(t, b, step.text)
			if d := time.Since(start); d != step.at {
				t.Errorf("%s after %v, want %v", step.text, d, step.at)
			}
		}
		wantReadError(t, b, io.EOF)
	})
}

func TestPipeEndOfFileIsDelayedToo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b := Pipe()
		a.Slow(time.Second)
		start := time.Now()
		a.Close()
		wantReadError(t, b, io.EOF)
		if d := time.Since(start); d != time.Second {
			t.Errorf("EOF after %v", d)
		}
	})
}

func TestPipeDeadlines(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b := PipeSize(2)
		start := time.Now()
		a.SetDeadline(start.Add(3 * time.Second))
		wantReadError(t, a, os.ErrDeadlineExceeded)
		if d := time.Since(start); d != 3*time.Second {
			t.Errorf("deadline after %v", d)
		}
		n, err := b.Write([]byte("ok"))
		if n != 2 || err != nil {
			t.Fatalf("the other end has no deadline: %d, %v", n, err)
		}
		var timeout net.Error
		if _, err := a.Read(make([]byte, 1)); !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Fatalf("not a timeout: %v", err)
		}
		a.SetDeadline(time.Time{})
		mustRead(t, a, "ok")
		// A deadline set while a Read waits ends that Read.
		go func() { time.Sleep(time.Second); a.SetReadDeadline(time.Now()) }()
		wantReadError(t, a, os.ErrDeadlineExceeded)
		// A partial write says how much was taken.
		b.SetWriteDeadline(time.Now().Add(time.Second))
		if n, err := b.Write([]byte("abc")); n != 2 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("partial write: %d, %v", n, err)
		}
	})
}

func TestPipeCounts(t *testing.T) {
	a, b := Pipe()
	mustWrite(t, a, "12345")
	mustRead(t, b, "12")
	if d, h := a.Out().Delivered(), b.In().Held(); d != 2 || h != 3 {
		t.Errorf("delivered %d, held %d", d, h)
	}
}

// Whatever the sizes, delays and stalls, the bytes that arrive are the bytes
// that were sent.
func TestPipeIsAByteStream(t *testing.T) {
	for seed := range uint64(20) {
		bubble(t, func(t *testing.T) { streamOnce(t, rand.New(rand.NewPCG(seed, 7))) })
	}
}

func streamOnce(t *testing.T, r *rand.Rand) {
	a, b := PipeSize(1 + r.IntN(5000))
	data := make([]byte, 100_000)
	for i := range data {
		data[i] = byte(r.Uint32())
	}
	chunk, bite := 1+r.IntN(9000), 1+r.IntN(9000)
	var wg sync.WaitGroup
	wg.Go(func() {
		for rest := data; len(rest) > 0; {
			n := min(chunk, len(rest))
			a.Write(rest[:n])
			rest = rest[n:]
		}
		a.Close()
	})
	for range 10 {
		at := time.Duration(r.Int64N(int64(time.Second)))
		delay := time.Duration(r.Int64N(int64(10 * time.Millisecond)))
		wg.Go(func() {
			time.Sleep(at)
			a.Out().Stall()
			time.Sleep(time.Millisecond)
			a.Slow(delay)
			a.Out().Resume()
		})
	}
	var got bytes.Buffer
	_, err := io.CopyBuffer(struct{ io.Writer }{&got}, struct{ io.Reader }{b}, make([]byte, bite))
	wg.Wait()
	if err != nil || sha256.Sum256(got.Bytes()) != sha256.Sum256(data) {
		t.Errorf("got %d bytes of %d, %v", got.Len(), len(data), err)
	}
}
