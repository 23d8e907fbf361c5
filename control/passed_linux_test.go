package control_test

import (
	"bytes"
	"context"
	"io"
	"os"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"muxd/control"
	"muxd/control/controltest"
)

// passer is a client that hands over what a test says.
type passer struct {
	controltest.Screen
	in, out control.Stdio
}

func (p *passer) Pass(stdin bool) control.Stdio {
	if stdin {
		return p.in
	}
	return p.out
}

// none hands over nothing.
var none = control.Stdio{control.NotPassed, control.NotPassed, control.NotPassed}

func newPasser() *passer { return &passer{in: none, out: none} }

// osPipe is a pipe whose ends the test closes, if nothing else does.
func osPipe(t testing.TB) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	return r, w
}

// number is a file's descriptor, which Fd would make blocking.
func number(t testing.TB, f *os.File) (n int) {
	t.Helper()
	rc, err := f.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	rc.Control(func(fd uintptr) { n = int(fd) })
	return n
}

// holders is how many descriptors of this process can write the pipe.
func holders(t testing.TB, w *os.File) (n int) {
	t.Helper()
	var mine unix.Stat_t
	unix.Fstat(number(t, w), &mine)
	d, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range d {
		var st unix.Stat_t
		fd, _ := strconv.Atoi(e.Name())
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
		if err == nil && unix.Fstat(fd, &st) == nil && st.Ino == mine.Ino && st.Dev == mine.Dev && flags&unix.O_ACCMODE == unix.O_WRONLY {
			n++
		}
	}
	return n
}

// readAll is what comes from a pipe to its end, in a goroutine of its own.
func readAll(r io.Reader) <-chan []byte {
	ch := make(chan []byte, 1)
	go func() { b, _ := io.ReadAll(r); ch <- b }()
	return ch
}

// Both outputs begin in frames and go on on descriptors, and no byte overtakes
// another; small output stays in frames. The exit comes when all of it is in the
// pipe, which nobody else has then.
func TestOutputOnDescriptors(t *testing.T) {
	for _, size := range []int{1000, 2 * control.PassFrom, 3 << 20} {
		sent := noise(size, 7)
		r := newRig(t, sessions(false, func(_ context.Context, s *controltest.Stream) {
			s.Out.Write(sent)
			s.Err.Write([]byte("said"))
			s.End(control.Exit{Code: 5}, nil)
		}))
		pr, pw := osPipe(t)
		h := newPasser()
		h.out[1] = number(t, pw)
		h.OnStdout = func(b []byte) error { _, err := pw.Write(b); return err }
		_, ch := r.run(h)
		got := readAll(pr)
		o := controltest.Get(t, ch)
		if n := holders(t, pw); n != 1 {
			t.Errorf("%d descriptors can write the pipe when the exit has come", n)
		}
		pw.Close()
		all := controltest.Get(t, got)
		out, errs, _ := h.Shown()
		if o.err != nil || o.exit.Code != 5 || !bytes.Equal(all, sent) || errs != "said" {
			t.Errorf("%d bytes: %d came, stderr %q, %+v", size, len(all), errs, o)
		}
		if in := len(out); in == size != (size < control.PassFrom) || in > size {
			t.Errorf("of %d bytes %d came in frames", size, in)
		}
	}
}

// A pipe that is both outputs: pieces of the one are not within pieces of the
// other.
func TestJoinedOutputs(t *testing.T) {
	const pieces, piece = 200, 32 << 10
	r := newRig(t, sessions(false, func(_ context.Context, s *controltest.Stream) {
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range pieces {
				s.Err.Write(bytes.Repeat([]byte("e"), 1000))
			}
		}()
		for range pieces {
			s.Out.Write(bytes.Repeat([]byte("o"), piece))
		}
		<-done
		s.End(control.Exit{}, nil)
	}))
	pr, pw := osPipe(t)
	h := newPasser()
	h.out[1], h.out[2] = number(t, pw), number(t, pw)
	h.OnStdout = func(b []byte) error { _, err := pw.Write(b); return err }
	_, ch := r.run(h)
	got := readAll(pr)
	controltest.Get(t, ch)
	pw.Close()
	all := controltest.Get(t, got)
	_, errs, _ := h.Shown()
	if n := bytes.Count(all, []byte("o")); n != pieces*piece {
		t.Errorf("%d bytes of stdout of %d", n, pieces*piece)
	}
	if n := bytes.Count(all, []byte("e")) + len(errs); n != pieces*1000 {
		t.Errorf("%d bytes of stderr of %d", n, pieces*1000)
	}
	for _, run := range bytes.FieldsFunc(all, func(r rune) bool { return r == 'o' }) {
		if len(run)%1000 != 0 {
			t.Fatalf("a piece of stderr was broken: %d bytes", len(run))
		}
	}
}

// bulkIn starts a client that sends its input from a pipe until it is asked to
// hand that over, and a session that tells how much it has got.
func bulkIn(t *testing.T, r *rig, in *os.File) (*control.Op, <-chan outcome) {
	t.Helper()
	h := newPasser()
	h.in[0] = number(t, in)
	opened := make(chan struct{})
	h.OnOpened = func(*control.Plan) { close(opened) }
	op, ch := r.run(h)
	go func() { <-opened; feed(op, in) }()
	return op, ch
}

// Input begins in frames and goes on by the descriptor, to its end, in order.
func TestInputOnADescriptor(t *testing.T) {
	sent := noise(5<<20+3, 9)
	got := make(chan []byte, 1)
	r := newRig(t, sessions(false, func(_ context.Context, s *controltest.Stream) {
		b, _ := io.ReadAll(s.In)
		got <- b
		s.End(control.Exit{}, nil)
	}))
	pr, pw := osPipe(t)
	_, ch := bulkIn(t, r, pr)
	pw.Write(sent)
	pw.Close()
	if b := controltest.Get(t, got); !bytes.Equal(b, sent) {
		t.Errorf("%d bytes came of %d", len(b), len(sent))
	}
	if o := controltest.Get(t, ch); o.err != nil {
		t.Error(o.err)
	}
}

// When the command ends, or the client goes, or muxd does, what comes into the pipe
// from then on is for whoever reads it next.
func TestInputIsLeft(t *testing.T) {
	for _, end := range []string{"exit", "client", "muxd"} {
		t.Run(end, func(t *testing.T) {
			const size = 2 << 20
			got, finish := make(chan struct{}), make(chan struct{})
			r := newRig(t, sessions(false, func(ctx context.Context, s *controltest.Stream) {
				io.ReadFull(s.In, make([]byte, size))
				close(got)
				select {
				case <-finish:
				case <-ctx.Done():
				}
				s.End(control.Exit{}, nil)
			}))
			pr, pw := osPipe(t)
			op, ch := bulkIn(t, r, pr)
			pw.Write(make([]byte, size))
			controltest.Get(t, got) // muxd waits for more by now, and the client does not
			switch end {
			case "exit":
				close(finish)
				controltest.Get(t, ch)
			case "client":
				op.Close()
				r.settles("the client is gone", func() bool { return r.srv.Clients() == 0 })
			case "muxd":
				r.cancel()
				controltest.Get(t, ch)
			}
			pw.Write([]byte("next"))
			time.Sleep(20 * time.Millisecond) // for who should not be there
			b := make([]byte, 10)
			pr.SetReadDeadline(time.Now().Add(patience))
			if n, err := pr.Read(b); string(b[:n]) != "next" || err != nil {
				t.Errorf("%q was left, %v", b[:n], err)
			}
		})
	}
}

// settles waits for what must become true.
func (r *rig) settles(what string, f func() bool) {
	r.t.Helper()
	for end := time.Now().Add(patience); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			r.t.Fatalf("never: %s", what)
		}
	}
}

// A pipe that nobody reads any more is told to the command, once. One that is
// merely full holds up neither the client's leaving nor muxd's end.
func TestOutputNobodyReads(t *testing.T) {
	for _, end := range []string{"reader", "client", "muxd"} {
		t.Run(end, func(t *testing.T) {
			var st *controltest.Stream
			opened := make(chan struct{})
			r := newRig(t, sessions(false, func(ctx context.Context, s *controltest.Stream) {
				st = s
				close(opened)
				for err := error(nil); err == nil; {
					_, err = s.Out.Write(make([]byte, 64<<10))
					for _, e := range s.Events() {
						if e == "closeread" || e == "close" {
							s.End(control.Exit{Signal: "PIPE"}, nil)
							return
						}
					}
				}
			}))
			pr, pw := osPipe(t)
			before := fds(t)
			h := newPasser()
			h.out[1] = number(t, pw)
			h.OnStdout = func(b []byte) error { _, err := io.CopyN(io.Discard, bytes.NewReader(b), int64(len(b))); return err }
			op, ch := r.run(h)
			controltest.Get(t, opened)
			r.settles("the pipe is full", func() bool {
				n, err := unix.IoctlGetInt(number(t, pr), unix.TIOCINQ)
				return err == nil && n == 64<<10
			})
			switch end {
			case "reader":
				pr.Close()
				if o := controltest.Get(t, ch); o.err != nil || o.exit.Signal != "PIPE" {
					t.Errorf("%+v", o)
				}
				n := 0
				for _, e := range st.Events() {
					if e == "closeread" {
						n++
					}
				}
				if n != 1 {
					t.Errorf("told %d times", n)
				}
				before--
			case "client":
				op.Close()
			case "muxd":
				r.cancel()
			}
			r.settles("the client is gone", func() bool { return r.srv.Clients() == 0 })
			op.Close()
			settled(t, before)
		})
	}
}

// Descriptors that nobody asked for are closed, and their sender is cut.
func TestDescriptorsUnasked(t *testing.T) {
	r := newRig(t, sessions(false, func(ctx context.Context, s *controltest.Stream) { <-ctx.Done(); s.End(control.Exit{}, nil) }))
	_, pw := osPipe(t)
	before := fds(t)
	c, done := r.dial()
	c.Write(control.Opening(&control.Invocation{}))
	fd := number(t, pw)
	c.WriteFDs(control.Frame(control.FramePassed, []byte{2}), fd)
	c.WriteFDs(control.Frame(control.FramePassed, []byte{2}), fd)
	controltest.Get(t, done)
	c.Close()
	settled(t, before)
	if w := r.log.warnings(); len(w) != 1 {
		t.Errorf("logged %q", w)
	}
}

// A client that sends descriptors with frames of another kind is cut before it has
// had muxd open more of them than a client can want.
func TestDescriptorsDoNotPile(t *testing.T) {
	r := newRig(t, sessions(false, func(context.Context, *controltest.Stream) {}))
	c := r.raw()
	c.until(control.FrameOpened)
	_, w := osPipe(t)
	fd := number(t, w)
	for range 40 {
		c.c.WriteFDs(control.Frame(control.FrameResize, control.WindowBody(control.Window{})), fd)
	}
	c.ended()
	r.settles("descriptors are left", func() bool { return holders(t, w) == 1 })
	if got := r.log.warnings(); len(got) != 1 {
		t.Errorf("%q", got)
	}
}
