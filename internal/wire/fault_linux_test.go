package wire

import (
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"
)

// A connection that the kernel gave up, because the peer takes nothing, says so,
// whether it told the writer or the reader.
func TestKernelGaveUp(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	near, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	far, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	if err := (Options{UserTimeout: 300 * time.Millisecond, TOS: -1}).Set(near); err != nil {
		t.Fatal(err)
	}
	w := New(near)
	defer w.Close()
	go func() {
		for err := error(nil); err == nil; {
			_, err = w.Write(make([]byte, 1<<20))
		}
	}()
	if _, err := io.ReadAll(w); !errors.Is(err, syscall.ETIMEDOUT) {
		t.Errorf("told %v", err)
	}
}
