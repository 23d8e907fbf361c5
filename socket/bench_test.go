package socket

import "testing"

// BenchmarkDial is what every muxc pays before its first byte: the checks of
// the directory, the connect, the peer's uid, and the poller's set-up.
func BenchmarkDial(b *testing.B) {
	p := in(b.TempDir() + "/d")
	l, err := Listen(p)
	ok(b, err)
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	for b.Loop() {
		c, err := Dial(p)
		ok(b, err)
		c.Close()
	}
}
