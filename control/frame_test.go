package control

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"sync"
	"testing"
	"testing/iotest"
)

// FuzzFrames holds the reader to a second, plain reading of the same bytes,
// however they are cut into reads.
func FuzzFrames(f *testing.F) {
	f.Add([]byte{}, 1)
	f.Add([]byte{0, 0, 0, 1, 2}, 3)
	f.Add([]byte{0, 0, 0, 0, 2}, 3)
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 2}, 7)
	f.Add(append(appendFrame(nil, frameStdin, make([]byte, 3*readBuffer)), appendFrame(nil, frameExit, []byte("x"))...), 5000)
	f.Add(bytes.Repeat(appendFrame(nil, frameStdout, []byte("abc")), 9000), readBuffer)
	f.Fuzz(func(t *testing.T, b []byte, cut int) {
		r := frameReader{r: &cutter{b, max(cut, 1)}}
		for rest := b; ; {
			k, body, err := r.next()
			wk, wbody, after, werr := plain(rest)
			if k != wk || !bytes.Equal(body, wbody) || !errors.Is(err, werr) {
				t.Fatalf("frame %d of %d bytes, %v; want %d of %d bytes, %v", k, len(body), err, wk, len(wbody), werr)
			}
			if err != nil {
				return
			}
			rest = after
		}
	})
}

// cutter gives at most n bytes at once.
type cutter struct {
	b []byte
	n int
}

func (c *cutter) Read(p []byte) (int, error) {
	if len(c.b) == 0 {
		return 0, io.EOF
	}
	n := copy(p, c.b[:min(len(c.b), c.n)])
	c.b = c.b[n:]
	return n, nil
}

func plain(b []byte) (t frameType, body, rest []byte, err error) {
	switch {
	case len(b) == 0:
		return 0, nil, nil, io.EOF
	case len(b) < 5:
		return 0, nil, nil, io.ErrUnexpectedEOF
	}
	n := int(b[0])<<24 | int(b[1])<<16 | int(b[2])<<8 | int(b[3])
	switch {
	case n < 1 || n > MaxFrame:
		return 0, nil, nil, errFrame
	case len(b) < 4+n:
		return 0, nil, nil, io.ErrUnexpectedEOF
	}
	return frameType(b[4]), b[5 : 4+n], b[4+n:], nil
}

// The buffer is small at rest, large while bytes flow or a frame is, and small
// again.
func TestFrameReaderAtRest(t *testing.T) {
	small := appendFrame(nil, frameResize, make([]byte, 16))
	pr, pw := io.Pipe()
	r := frameReader{r: pr}
	feed := func(b []byte) {
		go pw.Write(b)
		for n := 0; n < len(b); {
			_, body, err := r.next()
			if err != nil {
				t.Fatal(err)
			}
			n += frameHeader + len(body)
		}
	}
	steps := []struct {
		name string
		b    []byte
		size int
	}{
		{"a small frame", small, readBuffer},
		{"bulk", bytes.Repeat(appendFrame(nil, frameStdin, make([]byte, 8<<10)), 64), readBufferBulk},
		{"a small frame after bulk", small, readBuffer},
		{"a large frame", appendFrame(nil, frameStdin, make([]byte, MaxFrame-1)), MaxFrame + 4},
		{"a small frame after it", small, -1},
		{"the one after that", small, readBuffer},
	}
	for _, s := range steps {
		feed(s.b)
		if s.size == MaxFrame+4 && len(r.buf) < s.size || s.size < MaxFrame && s.size > 0 && len(r.buf) != s.size {
			t.Errorf("after %s: buffer of %d, want %d", s.name, len(r.buf), s.size)
		}
	}
}

// A length that was only announced takes no memory.
func TestFrameReaderTakesNoMemoryForAClaim(t *testing.T) {
	for _, claim := range []string{"\xff\xff\xff\xff\x02", "\x00\x40\x00\x00\x02abc"} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		r := frameReader{r: bytes.NewReader([]byte(claim))}
		if _, _, err := r.next(); err == nil {
			t.Error("read a frame")
		}
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > 4*readBuffer {
			t.Errorf("%d bytes allocated for %x", n, claim)
		}
	}
}

func TestFrameReaderKeepsError(t *testing.T) {
	r := frameReader{r: iotest.DataErrReader(bytes.NewReader(appendFrame(nil, frameExit, []byte("x"))))}
	if _, _, err := r.next(); err != nil {
		t.Fatal("the frame came with the end:", err)
	}
	if _, _, err := r.next(); err != io.EOF {
		t.Errorf("got %v", err)
	}
}

// record is a peer that keeps what it is sent, and can be made not to read.
type record struct {
	mu   sync.Mutex
	b    bytes.Buffer
	gate chan struct{}
	err  error
}

func (r *record) Write(p []byte) (int, error) {
	if r.gate != nil {
		<-r.gate
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return 0, r.err
	}
	return r.b.Write(p)
}

func (r *record) types() (s string) {
	f := frameReader{r: &r.b}
	for {
		t, _, err := f.next()
		if err != nil {
			return s
		}
		s += string(rune('a' + t))
	}
}

func TestWriterOrderAndEnd(t *testing.T) {
	r := &record{gate: make(chan struct{})}
	w := newFrameWriter(r)
	w.hold(0, nil)
	if err := w.post(1, nil, 1<<10); err != nil {
		t.Fatal(err)
	}
	w.post(2, nil, 1<<10)
	for w.post(3, make([]byte, 100), 1<<10) == nil { // until too much is held
	}
	if err := w.post(4, nil, 1<<10); err != errUnread {
		t.Errorf("beyond the limit: %v", err)
	}
	if err := w.post(4, nil, heldCancels); err != nil {
		t.Errorf("what has no limit: %v", err)
	}
	done := make(chan error)
	go func() { done <- w.finish(5, nil) }()
	close(r.gate)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{w.send(6, nil), w.sendData(6, make([]byte, 9)), w.post(6, nil, 1<<20)} {
		if err != errEnded {
			t.Errorf("after the end: %v", err)
		}
	}
	w.hold(6, nil)
	got := r.types()
	if want := "abc"; got[:3] != want || got[len(got)-2:] != "ef" {
		t.Errorf("frames %s", got)
	}
}

func TestWriterKeepsItsFirstError(t *testing.T) {
	broken := errors.New("broken")
	r := &record{err: broken}
	w := newFrameWriter(r)
	if err := w.send(1, nil); err != broken {
		t.Errorf("got %v", err)
	}
	r.err = nil
	if err := w.send(1, nil); err != broken || r.b.Len() > 0 {
		t.Errorf("after a failed write: %v, %d bytes", err, r.b.Len())
	}
	for range 100 {
		w.hold(1, make([]byte, 1000))
	}
	if len(w.buf) > 0 {
		t.Errorf("%d bytes held for nobody", len(w.buf))
	}
}

// The queue's buffers are small when it is empty, and a queue that is not
// emptied is bounded.
func TestStdinQueueAtRest(t *testing.T) {
	q := newStdinQueue()
	q.allow(stdinCredit)
	if err := q.put(make([]byte, stdinCredit)); err != nil {
		t.Fatal(err)
	}
	if err := q.put([]byte{1}); err != errCredit {
		t.Errorf("beyond the credit: %v", err)
	}
	b, err := q.take()
	if len(b) != stdinCredit || err != nil {
		t.Fatal(len(b), err)
	}
	if err := q.put([]byte{1}); err != errCredit {
		t.Errorf("what was taken and not used counts: %v", err)
	}
	q.used(len(b))
	q.eof()
	if _, err := q.take(); err != io.EOF {
		t.Error(err)
	}
	if n := cap(q.buf) + cap(q.out); n > queueAtRest {
		t.Errorf("%d bytes kept", n)
	}
	q.close()
	if _, err := q.take(); err != io.ErrClosedPipe {
		t.Error(err)
	}
}
