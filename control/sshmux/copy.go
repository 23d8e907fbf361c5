package sshmux

import (
	"io"
	"sync"

	"muxd/control"
)

const (
	// atRest is the buffer of a direction in which little flows, in bytes.
	atRest = 4 << 10
	// inBulk is the one of a direction in which much does: what an SSH channel
	// hands out at once is a multiple of 32 KiB.
	inBulk = 128 << 10
)

var bulk = sync.Pool{New: func() any { return new([inBulk]byte) }}

// buffer is borrowed while bytes flow and small at rest, because it is held while
// its owner waits.
type buffer struct {
	small [atRest]byte
	big   *[inBulk]byte
}

func (b *buffer) bytes() []byte {
	if b.big != nil {
		return b.big[:]
	}
	return b.small[:]
}

// took adapts the buffer to what the last read took.
func (b *buffer) took(n int) {
	switch {
	case b.big == nil && n == atRest:
		b.big = bulk.Get().(*[inBulk]byte)
	case b.big != nil && n < atRest:
		b.free()
	}
}

func (b *buffer) free() {
	if b.big != nil {
		bulk.Put(b.big)
		b.big = nil
	}
}

// copyOut writes the session's output to the client's descriptor until its end,
// and returns what that is.
// Once nobody reads there it goes on reading, so that the session can end, and
// calls closed if that is not nil.
func copyOut(r io.Reader, w io.Writer, m *control.Meter, closed func()) error {
	var b buffer
	defer b.free()
	gone := false
	for {
		n, err := r.Read(b.bytes())
		if n > 0 && !gone {
			m.Out.Add(int64(n))
			if _, werr := w.Write(b.bytes()[:n]); werr != nil {
				if gone = true; closed != nil {
					closed()
				}
			}
		}
		if err != nil {
			return err
		}
		b.took(n)
	}
}

// copyIn hands on what the client's descriptor has, until its end, which is
// io.EOF, or an error.
func copyIn(r io.Reader, put func([]byte) error) error {
	var b buffer
	defer b.free()
	for {
		n, err := r.Read(b.bytes())
		if n > 0 {
			if err := put(b.bytes()[:n]); err != nil {
				if err == io.EOF {
					err = io.ErrClosedPipe
				}
				return err
			}
		}
		if err != nil {
			return err
		}
		b.took(n)
	}
}
