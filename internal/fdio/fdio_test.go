package fdio

import (
	"io"
	"testing"

	"golang.org/x/sys/unix"
)

func TestPipe(t *testing.T) {
	var p [2]int
	if err := unix.Pipe(p[:]); err != nil {
		t.Fatal(err)
	}
	r, err := NewReader(p[0])
	if err != nil {
		t.Fatal(err)
	}
	w, err := NewWriter(p[1])
	if err != nil {
		t.Fatal(err)
	}
	if n, err := w.Write([]byte("hello")); n != 5 || err != nil {
		t.Fatal(n, err)
	}
	w.Close()
	if got, err := io.ReadAll(r); string(got) != "hello" || err != nil {
		t.Fatal(got, err)
	}
	r.Close()
}
