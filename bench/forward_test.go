package main

import (
	"net"
	"testing"
)

// What the transfers count is what goes over the wire, to the byte, whatever the
// size is to the piece.
func TestTargets(t *testing.T) {
	for _, size := range []int64{1, pipeSize - 1, pipeSize, pipeSize + 1, 3*pipeSize + 7} {
		s, err := startTargets(size)
		if err != nil {
			t.Fatal(err)
		}
		addr := func(kind string) string { return s.lns[kind].Addr().String() }
		if err := download(addr(giving), size); err != nil {
			t.Errorf("%d: %v", size, err)
		}
		if err := upload(addr(taking), size); err != nil {
			t.Errorf("%d: %v", size, err)
		}
		if download(addr(giving), size+1) == nil {
			t.Errorf("%d bytes are taken for more", size)
		}
		_, conns, err := dialCrowd(addr(echoing), 50)
		if closeAll(conns); err != nil || len(conns) != 50 {
			t.Errorf("%d of 50: %v", len(conns), err)
		}
		s.close()
	}
}

// A connection that is lost fails the row, and is not left out of it.
func TestCrowdCountsEverybody(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for n := 0; ; n++ {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			if n == 3 {
				c.Close()
				continue
			}
			go func() { b := make([]byte, 1); c.Read(b); c.Write(b) }()
		}
	}()
	_, conns, err := dialCrowd(ln.Addr().String(), 10)
	closeAll(conns)
	if err == nil || len(conns) != 9 {
		t.Errorf("%d connections, %v", len(conns), err)
	}
}
