package control

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
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
	frameOutputClosed frameType = 7  // nobody reads stdout any more
	frameRan          frameType = 8  // how a Command ended
	frameRetry        frameType = 9  // the person wants another attempt now
	frameMoved        frameType = 10 // another process goes on for the client: its number
	framePassed       frameType = 11 // descriptors, for a Pass
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
	frameCommand      frameType = 43
	frameStdoutEOF    frameType = 44
	frameWaiting      frameType = 45 // how the wait for the connection stands
	frameEvent        frameType = 46
	framePass         frameType = 47 // the descriptors are asked for on which the client reads or writes
	frameElsewhere    frameType = 48 // another muxd takes the request that the Error behind it refuses
	frameBack         frameType = 49 // the terminal is the client's to read again
)

// frameHeader is the length of a frame's header: u32 length of what follows
// it, u8 type.
const frameHeader = 5

// maxData is the payload of one data frame: four SSH packets, so that a bulk
// transfer costs one system call for 128 KiB and a frame still fits the
// kernel's default socket buffer of 208 KiB.
const maxData = 128 << 10

// frameReader takes frames off a byte stream. Its buffer is 16 KiB at rest and
// grows with the bytes that arrive, never with a length that was announced.
// Used by one goroutine.
type frameReader struct {
	r          io.Reader
	buf        []byte
	start, end int // the unread bytes are buf[start:end]
	last       int // bytes of the last read: whether they flow
}

const (
	readBuffer     = 16 << 10
	readBufferBulk = 256 << 10
)

// errFrame is a frame of a length that no version sends.
var errFrame = errors.New("malformed frame")

// next returns the next frame. Its body is valid until the call after it. A
// stream that ends between two frames is io.EOF.
func (f *frameReader) next() (frameType, []byte, error) {
	if err := f.fill(frameHeader); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(f.buf[f.start:])
	if n < 1 || n > MaxFrame {
		return 0, nil, fmt.Errorf("%w of %d bytes, not 1 to %d", errFrame, n, MaxFrame)
	}
	size := 4 + int(n)
	if err := f.fill(size); err != nil {
		return 0, nil, unexpected(err)
	}
	b := f.buf[f.start+4 : f.start+size]
	f.start += size
	return frameType(b[0]), b[1:], nil
}

// fill makes at least n unread bytes available.
func (f *frameReader) fill(n int) error {
	if f.start == f.end {
		f.rest()
	}
	for f.end-f.start < n {
		f.room(n)
		m, err := f.r.Read(f.buf[f.end:])
		f.end += m
		f.last = m
		if err != nil && f.end-f.start < n {
			if f.end > f.start {
				return unexpected(err)
			}
			return err
		}
	}
	return nil
}

// rest starts the empty buffer anew. A large one goes when bytes stopped
// flowing; the body that the caller may still hold goes with it.
func (f *frameReader) rest() {
	f.start, f.end = 0, 0
	if len(f.buf) > readBuffer && f.last < readBuffer {
		f.buf = nil
	}
}

// room makes space for a read towards n unread bytes: by moving what is unread
// to the front, and when that is not enough, or the buffer is full, by one of
// twice the size. A read that filled the buffer means that bytes flow.
func (f *frameReader) room(n int) {
	have := f.end - f.start
	switch {
	case len(f.buf) == 0:
		f.grow(readBuffer)
	case f.last >= readBuffer && len(f.buf) < readBufferBulk:
		f.grow(readBufferBulk)
	case have == len(f.buf):
		f.grow(min(2*len(f.buf), max(n, readBufferBulk)))
	case f.start+n > len(f.buf) && f.start > 0:
		f.end = copy(f.buf, f.buf[f.start:f.end])
		f.start = 0
	}
}

func (f *frameReader) grow(size int) {
	b := make([]byte, size)
	f.end = copy(b, f.buf[f.start:f.end])
	f.start, f.buf = 0, b
}

// Read lets the hello be read through the frames' buffer, so that a hello and
// the first frames cost one system call.
func (f *frameReader) Read(p []byte) (int, error) {
	if err := f.fill(1); err != nil {
		return 0, err
	}
	n := copy(p, f.buf[f.start:f.end])
	f.start += n
	return n, nil
}

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
