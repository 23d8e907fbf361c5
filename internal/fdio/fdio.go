package fdio

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// pipeBuf is what a pipe takes at once when poll says that it takes anything.
const pipeBuf = 4096

// port is one of the ways to serve a descriptor, in one direction.
type port interface {
	read(p []byte) (int, error)  // once; 0 and no error at the end
	write(p []byte) (int, error) // all of it, or an error
	close()
}

// Reader reads from a descriptor that another process passed, and whose open
// file description it still uses.
type Reader struct {
	port     port
	terminal bool
}

// NewReader becomes the owner of fd, also when it fails. A descriptor that is
// not open for reading is no failure yet: Read returns EBADF, as read does.
func NewReader(fd int) (*Reader, error) {
	terminal := IsTerminal(fd)
	p, err := newPort(fd, unix.O_RDONLY)
	if err != nil {
		return nil, err
	}
	return &Reader{p, terminal}, nil
}

// Read is for one goroutine at a time. It returns io.EOF at the end, for a
// terminal also when it was hung up, and os.ErrClosed after Close. Where a
// terminal's end is a typed one, a further Read goes on.
func (r *Reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	n, err := r.port.read(p)
	switch {
	case n > 0:
		return n, nil
	case err == nil, err == io.EOF, r.terminal && errors.Is(err, unix.EIO):
		return 0, io.EOF
	}
	return 0, bare(err)
}

// Close wakes a Read and closes the descriptor. After it returned, no byte is
// taken any more. It may be called from any goroutine, and more than once.
func (r *Reader) Close() error {
	r.port.close()
	return nil
}

// Terminal reports whether the descriptor was a terminal when it was passed.
func (r *Reader) Terminal() bool { return r.terminal }

// Writer writes to a descriptor that another process passed, and whose open
// file description it still uses.
type Writer struct {
	port     port
	terminal bool
}

// NewWriter becomes the owner of fd, also when it fails. A descriptor that is
// not open for writing is no failure yet: Write returns EBADF, as write does.
func NewWriter(fd int) (*Writer, error) {
	terminal := IsTerminal(fd)
	p, err := newPort(fd, unix.O_WRONLY)
	if err != nil {
		return nil, err
	}
	return &Writer{p, terminal}, nil
}

// Write is for one goroutine at a time. It writes all of p or returns an error:
// EPIPE where nobody reads, os.ErrClosed after Close.
func (w *Writer) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	n, err := w.port.write(p)
	return max(n, 0), bare(err)
}

// Close wakes a Write and closes the descriptor. After it returned, no byte is
// written any more. It may be called from any goroutine, and more than once.
func (w *Writer) Close() error {
	w.port.close()
	return nil
}

// Terminal reports whether the descriptor was a terminal when it was passed.
func (w *Writer) Terminal() bool { return w.terminal }

// IsTerminal reports whether fd is a terminal that is not hung up.
func IsTerminal(fd int) bool {
	_, err := unix.IoctlGetTermios(fd, getTermios)
	return err == nil
}

// bare takes off what package os puts around an error: it names a file that
// does not exist.
func bare(err error) error {
	if path := (*os.PathError)(nil); errors.As(err, &path) {
		return path.Err
	}
	return err
}

// retry makes a system call again that a signal ended, and returns no negative
// count.
func retry(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if err != unix.EINTR {
			return max(n, 0), err
		}
	}
}
