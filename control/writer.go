package control

import (
	"encoding/binary"
	"errors"
	"io"
	"math"
	"slices"
	"sync"
)

// How much a writer holds for a peer that does not read, in bytes, before post
// refuses. Prompts have room after notices, so that a server's chatter cannot
// keep a question away; taking a question back is never refused, and there are
// no more of those than of questions.
const (
	heldNotices = 64 << 10
	heldPrompts = 128 << 10
	heldCancels = math.MaxInt
)

var (
	errUnread = errors.New("the client does not read what it was sent")
	errEnded  = errors.New("the operation ended")
)

// frameWriter puts frames on a byte stream. Every operation has one of its
// own, so a peer that does not read blocks the callers of send and sendData,
// which are the operation's pumps, and nobody else. Who serves several clients
// uses post, which never waits. Safe for concurrent use.
type frameWriter struct {
	w io.Writer

	// turn is held while writing, and taken before mu, never inside it. It is a
	// channel of capacity 1 and not a mutex, because its holder may wait for as
	// long as the peer does not read: testing/synctest takes who waits for a
	// mutex to be about to go on.
	turn  chan struct{}
	spare []byte // guarded by turn; the buffer that was written last

	mu      sync.Mutex
	buf     []byte // guarded by mu; whole frames that go out before the next
	posting bool   // guarded by mu; flush runs, and will write what is added
	latest  span   // guarded by mu; where in buf the frame of postLatest is
	err     error  // guarded by mu; what ended the writer
}

// span is a part of a buffer; the zero value is none.
type span struct{ start, end int }

func newFrameWriter(w io.Writer) *frameWriter {
	return &frameWriter{w: w, turn: make(chan struct{}, 1)}
}

func (f *frameWriter) take() { f.turn <- struct{}{} }
func (f *frameWriter) give() { <-f.turn }

// hold adds a frame that may wait for the next one: it costs no write.
func (f *frameWriter) hold(t frameType, body []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.buf = appendFrame(f.buf, t, body)
	}
}

// send writes what is held and the frame.
func (f *frameWriter) send(t frameType, body []byte) error {
	f.take()
	defer f.give()
	f.hold(t, body)
	return f.write(nil)
}

// sendFDs is send for a frame that descriptors go with.
func (f *frameWriter) sendFDs(t frameType, body []byte, fds []int) {
	if len(fds) == 0 {
		f.send(t, body)
		return
	}
	f.take()
	defer f.give()
	if f.write(nil) == nil {
		_, err := f.w.(FDConn).WriteFDs(appendFrame(nil, t, body), fds...)
		f.fail(err)
	}
}

// finish is send for the last frame: nothing follows it, whoever tries.
func (f *frameWriter) finish(t frameType, body []byte) error {
	f.take()
	defer f.give()
	f.hold(t, body)
	err := f.write(nil)
	f.fail(errEnded)
	return err
}

// sendData writes a data frame whose payload starts at b[frameHeader:]: the
// header goes into the room the caller left, so that bulk is not copied.
func (f *frameWriter) sendData(t frameType, b []byte) error {
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	b[4] = byte(t)
	f.take()
	defer f.give()
	return f.write(b)
}

// post has the frame written in order and does not wait for it. It refuses
// while more than limit bytes are held for a peer that does not read.
func (f *frameWriter) post(t frameType, body []byte, limit int) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.err != nil:
		return f.err
	case len(f.buf) >= limit:
		return errUnread
	}
	f.buf = appendFrame(f.buf, t, body)
	f.flushSoon()
	return nil
}

// postLatest is post for a frame that makes the one before it worthless: one
// that was not written yet is taken back, so that at most one is held.
func (f *frameWriter) postLatest(t frameType, body []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return
	}
	f.buf = slices.Delete(f.buf, f.latest.start, f.latest.end)
	f.latest.start = len(f.buf)
	f.buf = appendFrame(f.buf, t, body)
	f.latest.end = len(f.buf)
	f.flushSoon()
}

// flushSoon has what is held written. Called with mu held.
func (f *frameWriter) flushSoon() {
	if !f.posting {
		f.posting = true
		go f.flush()
	}
}

// flush writes until nothing is held. There is one at a time.
func (f *frameWriter) flush() {
	f.take()
	defer f.give()
	for err, more := error(nil), true; more; {
		err = f.write(nil)
		f.mu.Lock()
		more = err == nil && len(f.buf) > 0
		f.posting = more
		f.mu.Unlock()
	}
}

// write writes what is held, then data. It is called with turn held.
func (f *frameWriter) write(data []byte) error {
	f.mu.Lock()
	held, err := f.buf, f.err
	f.buf, f.spare = f.spare, nil
	f.latest = span{}
	f.mu.Unlock()
	if err == nil && len(held) > 0 {
		_, err = f.w.Write(held)
	}
	if err == nil && len(data) > 0 {
		_, err = f.w.Write(data)
	}
	if cap(held) <= readBuffer {
		f.spare = held[:0]
	}
	f.fail(err)
	return err
}

// fail ends the writer, unless it has ended or err is nil.
func (f *frameWriter) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.err = err
	}
}

func appendFrame(b []byte, t frameType, body []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(body)+1))
	b = append(b, byte(t))
	return append(b, body...)
}
