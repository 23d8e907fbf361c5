package sshauth

import (
	"encoding/binary"
	"net"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// FuzzQuestion has a program that was started as SSH_ASKPASS's say anything. A
// question is read when all of it has come, and is no longer than it may be.
func FuzzQuestion(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x04\x00PIN"))
	f.Add([]byte("\x00\x00\x00\x00"))
	f.Add([]byte("\xff\xff\xff\xffx"))
	f.Add([]byte("\x00\x00"))
	f.Fuzz(func(t *testing.T, said []byte) {
		ours, theirs := streamPair(t)
		defer ours.Close()
		go func() { theirs.Write(said); theirs.Close() }()
		hint, text, err := readQuestion(ours)
		whole := len(said) >= 4 && int64(len(said)) >= 4+int64(binary.BigEndian.Uint32(said)) && binary.BigEndian.Uint32(said) <= maxQuestion
		if (err == nil) != whole || len(hint)+len(text) > maxQuestion {
			t.Errorf("%q: %q, %q, %v", said, hint, text, err)
		}
	})
}

func streamPair(t *testing.T) (*net.UnixConn, *net.UnixConn) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	var conns [2]*net.UnixConn
	for i, fd := range fds {
		file := os.NewFile(uintptr(fd), "pair")
		c, err := net.FileConn(file)
		file.Close()
		if err != nil {
			t.Fatal(err)
		}
		conns[i] = c.(*net.UnixConn)
	}
	return conns[0], conns[1]
}
