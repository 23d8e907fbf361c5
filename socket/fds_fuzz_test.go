package socket

import (
	"bytes"
	"io"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// FuzzReadFDs sends bytes in two pieces with any number of descriptors, and
// reads them by steps of any size: no byte is lost, no more descriptors are taken
// than were wanted at once, and none stays open but those.
func FuzzReadFDs(f *testing.F) {
	f.Add([]byte("a"), []byte("b"), uint8(1), uint8(0), uint8(1), uint8(0))
	f.Add([]byte("abc"), []byte{}, uint8(253), uint8(0), uint8(1), uint8(3))
	f.Add([]byte{}, []byte("b"), uint8(2), uint8(5), uint8(16), uint8(1))
	null, err := os.Open(os.DevNull)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { null.Close() })
	f.Fuzz(func(t *testing.T, one, two []byte, first, second, step, most uint8) {
		one, two = one[:min(len(one), 8<<10)], two[:min(len(two), 8<<10)]
		a, b := pair(t)
		defer b.Close()
		defer a.Close()
		before := openFDs()
		for _, p := range []struct {
			b []byte
			n uint8
		}{{one, first}, {two, second}} {
			fds := make([]int, min(int(p.n), maxFDs))
			for i := range fds {
				fds[i] = int(null.Fd())
			}
			if n, err := b.WriteFDs(p.b, fds...); (err != nil) != (len(p.b) == 0 && len(fds) > 0) || err == nil && n != len(p.b) {
				t.Fatalf("%d bytes, %d descriptors: %d, %v", len(p.b), len(fds), n, err)
			}
		}
		b.Close()
		var got []byte
		for room := make([]byte, int(step)+1); ; {
			n, fds, err := a.ReadFDs(room, int(most))
			for _, fd := range fds {
				if err := unix.Close(fd); err != nil {
					t.Error(err)
				}
			}
			if err == io.EOF {
				break
			}
			if err != nil || n == 0 || len(fds) > int(most) {
				t.Fatalf("%d bytes, %d descriptors of %d, %v", n, len(fds), most, err)
			}
			got = append(got, room[:n]...)
		}
		if !bytes.Equal(got, append(one[:len(one):len(one)], two...)) {
			t.Errorf("%q and %q came as %q", one, two, got)
		}
		if n := openFDs(); n != before-1 {
			t.Errorf("%d descriptors, before it were %d", n, before-1)
		}
	})
}
