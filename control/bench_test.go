package control_test

import (
	"context"
	"io"
	"testing"

	"muxd/control"
	"muxd/control/controltest"
)

// BenchmarkWarmCommand is one command on a socketpair, both ends in one
// process: the preface, the plan, a line of output, the exit.
func BenchmarkWarmCommand(b *testing.B) {
	r := newRig(b, sessions(false, func(_ context.Context, s *controltest.Stream) {
		io.WriteString(s.Out, "hello\n")
		s.End(control.Exit{}, nil)
	}))
	v := &control.Invocation{Args: []string{"host", "true"}, Dir: "/home/u", Env: []string{"TERM=xterm", "LANG=C.UTF-8"}}
	var h controltest.Screen
	b.ReportAllocs()
	for b.Loop() {
		c, s := controltest.SocketPair(b)
		done := r.serve(s)
		op, err := control.Run(c, v)
		if err != nil {
			b.Fatal(err)
		}
		if x, err := op.Wait(&h); err != nil || x.Code != 0 {
			b.Fatal(x, err)
		}
		op.Close()
		<-done
	}
}

const bulk = 64 << 20

// BenchmarkStdout is 64 MiB of output in pieces of an SSH packet.
func BenchmarkStdout(b *testing.B) {
	r := newRig(b, sessions(false, func(_ context.Context, s *controltest.Stream) {
		io.CopyBuffer(struct{ io.Writer }{s.Out}, io.LimitReader(zeros{}, bulk), make([]byte, 32<<10))
		s.End(control.Exit{}, nil)
	}))
	b.SetBytes(bulk)
	for b.Loop() {
		n := 0
		op, ch := r.run(&counter{n: &n})
		if got := controltest.Get(b, ch); got.err != nil || n != bulk {
			b.Fatal(got, n)
		}
		op.Close()
	}
}

// BenchmarkStdin is 64 MiB of input.
func BenchmarkStdin(b *testing.B) {
	r := newRig(b, sessions(false, func(_ context.Context, s *controltest.Stream) {
		io.CopyBuffer(struct{ io.Writer }{io.Discard}, s.In, make([]byte, 32<<10))
		s.End(control.Exit{}, nil)
	}))
	b.SetBytes(bulk)
	for b.Loop() {
		op, ch := r.run(&controltest.Screen{})
		if err := feed(op, io.LimitReader(zeros{}, bulk)); err != nil {
			b.Fatal(err)
		}
		controltest.Get(b, ch)
		op.Close()
	}
}

// counter throws output away and counts it.
type counter struct {
	controltest.Screen
	n *int
}

func (c *counter) Stdout(b []byte) error { *c.n += len(b); return nil }
