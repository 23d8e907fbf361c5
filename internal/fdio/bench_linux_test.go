package fdio

import (
	"fmt"
	"io"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// BenchmarkPipe moves bytes through a pipe whose ends are served in each way,
// beside package os on a pipe of its own.
func BenchmarkPipe(b *testing.B) {
	ways := []struct {
		name string
		open func(b *testing.B) (io.ReadCloser, io.WriteCloser)
	}{
		{"os", func(b *testing.B) (io.ReadCloser, io.WriteCloser) {
			r, w, err := os.Pipe()
			must(b, err)
			return r, w
		}},
		{"private", func(b *testing.B) (io.ReadCloser, io.WriteCloser) { return bothEnds(b, newPort) }},
		{"polled", func(b *testing.B) (io.ReadCloser, io.WriteCloser) {
			return bothEnds(b, func(fd, mode int) (port, error) { return newPolled(fd, mode, false) })
		}},
		{"blind", func(b *testing.B) (io.ReadCloser, io.WriteCloser) {
			return bothEnds(b, func(fd, mode int) (port, error) {
				p, err := newPolled(fd, mode, false)
				p.(*polled).turnBlind(unix.EOPNOTSUPP)
				return p, err
			})
		}},
	}
	for _, size := range []int{64 << 10, 256 << 10} {
		for _, way := range ways {
			b.Run(fmt.Sprintf("%s-%dK", way.name, size>>10), func(b *testing.B) {
				r, w := way.open(b)
				defer r.Close()
				b.SetBytes(int64(size))
				go func() {
					defer w.Close()
					for p := make([]byte, size); ; {
						if _, err := w.Write(p); err != nil {
							return
						}
					}
				}()
				p := make([]byte, size)
				for b.Loop() {
					for n := 0; n < size; {
						m, err := r.Read(p[n:])
						must(b, err)
						n += m
					}
				}
			})
		}
	}
}

func bothEnds(b *testing.B, open func(fd, mode int) (port, error)) (io.ReadCloser, io.WriteCloser) {
	var p [2]int
	must(b, unix.Pipe2(p[:], unix.O_CLOEXEC))
	r, err := open(p[0], unix.O_RDONLY)
	must(b, err)
	w, err := open(p[1], unix.O_WRONLY)
	must(b, err)
	return &Reader{port: r}, &Writer{port: w}
}
