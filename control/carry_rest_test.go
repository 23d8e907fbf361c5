package control_test

import (
	"io"
	"runtime"
	"testing"
	"time"

	"muxd/control"
	"muxd/control/controltest"
)

// BenchmarkDescriptorDown is 64 MiB from the far side on a socket, to be seen
// beside BenchmarkStdout.
func BenchmarkDescriptorDown(b *testing.B) {
	r := newRig(b, directs(control.Plan{}, func(s *controltest.Stream) {
		io.CopyBuffer(struct{ io.Writer }{s.Out}, io.LimitReader(zeros{}, bulk), make([]byte, 32<<10))
		s.Out.Close()
		io.Copy(io.Discard, s.In)
		s.End(control.Exit{}, nil)
	}))
	b.SetBytes(bulk)
	p := make([]byte, 64<<10)
	for b.Loop() {
		c, _, ch := r.runOn(&controltest.Screen{})
		if n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{c}, p); n != bulk || err != nil {
			b.Fatal(n, err)
		}
		c.Close()
		controltest.Get(b, ch)
	}
}

// BenchmarkDescriptorUp is 64 MiB to the far side, beside BenchmarkStdin.
func BenchmarkDescriptorUp(b *testing.B) {
	r := newRig(b, directs(control.Plan{}, func(s *controltest.Stream) {
		io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{s.In}, make([]byte, 64<<10))
		s.End(control.Exit{}, nil)
	}))
	b.SetBytes(bulk)
	for b.Loop() {
		c, _, ch := r.runOn(&controltest.Screen{})
		if _, err := io.CopyBuffer(struct{ io.Writer }{c}, io.LimitReader(zeros{}, bulk), make([]byte, 64<<10)); err != nil {
			b.Fatal(err)
		}
		c.CloseWrite()
		controltest.Get(b, ch)
		c.Close()
	}
}

// A connection that was used and says nothing now holds next to nothing: some
// goroutines, and of the large buffers its part of the few that may wait. What is
// measured has the client's side in it and the scripted far one, some 30 KiB, and
// twice that with the race detector; a large buffer for each would be 128 more.
func TestLittleIsHeldAtRest(t *testing.T) {
	const many, most = 150, 100 << 10
	p := make([]byte, 100<<10) // large pieces, of which the last one fills no buffer
	r := newRig(t, directs(control.Plan{FdPass: true}, func(s *controltest.Stream) {
		s.Out.Write(p)
		io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{s.In}, make([]byte, 512))
		s.End(control.Exit{}, nil)
	}))
	held := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC() // and what the pools kept
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc + m.StackInuse)
	}
	got := make([]byte, len(p))
	before := held()
	for range many {
		c, op, ch := r.runOn(&controltest.Screen{})
		controltest.Get(t, ch)
		op.Close()
		if _, err := io.ReadFull(c, got); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(10 * time.Millisecond)
	n := (held() - before) / many
	t.Logf("%d bytes a connection", n)
	if n > most {
		t.Errorf("%d bytes are held for a connection that says nothing, more than %d", n, most)
	}
}
