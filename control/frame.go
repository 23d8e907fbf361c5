package control

import (
	"encoding/binary"
	"fmt"
	"io"
	"sync"
)

// frameType is the kind of a frame. PROTOCOL.md holds the table; a test holds
// the table to these constants.
type frameType uint8

// Frames from the client.
const (
	frameRequest      frameType = 1 // first frame of an operation
	frameStdin        frameType = 2 // bytes of standard input, within the credit
	frameStdinEOF     frameType = 3
	frameResize       frameType = 4
	frameSignal       frameType = 5
	frameAnswer       frameType = 6
	frameOutputClosed frameType = 7 // nobody reads stdout any more
)

// Frames from the server.
const (
	framePlan         frameType = 32
	frameOpened       frameType = 33
	frameStdout       frameType = 34
	frameStderr       frameType = 35
	frameCredit       frameType = 36
	framePrompt       frameType = 37
	framePromptCancel frameType = 38
	frameNotice       frameType = 39
	frameExit         frameType = 40
	frameError        frameType = 41
	frameResult       frameType = 42
)

// frameHeader is the length of a frame's header: u32 length of what follows
// it, u8 type.
const frameHeader = 5

// maxData is the payload of one data frame: four SSH packets, so that a bulk
// transfer costs one system call for 128 KiB and a frame still fits the
// kernel's default socket buffer of 208 KiB.
const maxData = 128 << 10

// frameReader takes frames off a byte stream. Its buffer is 16 KiB at rest and
// grows only when frames or the flow ask for it. Used by one goroutine.
type frameReader struct {
	r          io.Reader
	buf        []byte
	start, end int // the unread bytes are buf[start:end]
}

const (
	readBuffer     = 16 << 10
	readBufferBulk = 256 << 10
)

// next returns the next frame. Its body is valid until the call after it. A
// stream that ends between two frames is io.EOF.
func (f *frameReader) next() (frameType, []byte, error) {
	if err := f.fill(frameHeader); err != nil {
		return 0, nil, err
	}
	n := int(binary.BigEndian.Uint32(f.buf[f.start:]))
	if n < 1 || n > MaxFrame {
		return 0, nil, fmt.Errorf("frame of %d bytes, more than %d", n, MaxFrame)
	}
	if err := f.fill(4 + n); err != nil {
		return 0, nil, unexpected(err)
	}
	b := f.buf[f.start+4 : f.start+4+n]
	f.start += 4 + n
	return frameType(b[0]), b[1:], nil
}

// fill makes at least n unread bytes available.
func (f *frameReader) fill(n int) error {
	if f.start == f.end {
		f.start, f.end = 0, 0
	}
	if f.start+n > len(f.buf) {
		f.room(n)
	}
	for f.end-f.start < n {
		m, err := f.r.Read(f.buf[f.end:])
		f.end += m
		if f.end-f.start >= n {
			break
		}
		if err != nil {
			if f.end > f.start {
				return unexpected(err)
			}
			return err
		}
	}
	// A read that filled the buffer means that bytes flow: take more at a time.
	if f.end == len(f.buf) && len(f.buf) < readBufferBulk && f.start == 0 {
		f.grow(readBufferBulk)
	}
	return nil
}

func (f *frameReader) room(n int) {
	if n <= len(f.buf) {
		f.end = copy(f.buf, f.buf[f.start:f.end])
		f.start = 0
		return
	}
	f.grow(max(n, readBuffer))
}

func (f *frameReader) grow(size int) {
	b := make([]byte, size)
	f.end = copy(b, f.buf[f.start:f.end])
	f.start, f.buf = 0, b
}

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// frameWriter puts frames on a byte stream, each with one Write. Its methods
// may be called from several goroutines; a peer that does not read blocks
// them, and nobody else, because every operation has a writer of its own.
type frameWriter struct {
	mu  sync.Mutex
	w   io.Writer
	buf []byte // guarded by mu; frames held back by hold
	err error  // guarded by mu; the first failed write, which ends the writer
}

// hold adds a frame that may wait for the next one: it costs no write.
func (f *frameWriter) hold(t frameType, body []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.buf = appendFrame(f.buf, t, body)
}

// send writes what is held and the frame.
func (f *frameWriter) send(t frameType, body []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.buf = appendFrame(f.buf, t, body)
	return f.flush()
}

// sendData writes a data frame whose payload starts at b[frameHeader:]: the
// header goes into the room the caller left, so that bulk is not copied.
func (f *frameWriter) sendData(t frameType, b []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	b[4] = byte(t)
	if err := f.flush(); err != nil {
		return err
	}
	_, f.err = f.w.Write(b)
	return f.err
}

// flush is called with mu held.
func (f *frameWriter) flush() error {
	if f.err == nil && len(f.buf) > 0 {
		_, f.err = f.w.Write(f.buf)
	}
	f.buf = f.buf[:0]
	if cap(f.buf) > readBuffer {
		f.buf = nil
	}
	return f.err
}

func appendFrame(b []byte, t frameType, body []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(body)+1))
	b = append(b, byte(t))
	return append(b, body...)
}
