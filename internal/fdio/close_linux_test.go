package fdio

import (
	"io"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestCloseSwallowsNothing: a Read that waits is woken, and what arrives later
// is the next reader's.
func TestCloseSwallowsNothing(t *testing.T) {
	perKind(t, unix.O_RDONLY, func(t *testing.T, _ kind, r *rig) {
		x := r.reader()
		done := start(x.Read, make([]byte, 10))
		x.Close()
		if d := soon(t, done, "the end of Read"); d.n != 0 || d.err != os.ErrClosed {
			t.Errorf("Read: %d, %v", d.n, d.err)
		}
		if n, err := unix.Write(r.far, []byte("next")); n != 4 || err != nil {
			t.Fatal(n, err)
		}
		p := make([]byte, 10)
		if n, err := unix.Read(r.near, p); string(p[:max(n, 0)]) != "next" || err != nil {
			t.Errorf("the next reader has %q, %v", p[:max(n, 0)], err)
		}
		if n, err := x.Read(p); n != 0 || err != os.ErrClosed {
			t.Errorf("Read after Close: %d, %v", n, err)
		}
		x.Close()
	})
}

// TestCloseAmidBytes closes while bytes come: each goes to one reader, and
// none is lost, in the order sent.
func TestCloseAmidBytes(t *testing.T) {
	perKind(t, unix.O_RDONLY, func(t *testing.T, _ kind, r *rig) {
		x := r.reader()
		const total = 200 // a socket takes so many bytes one by one, unread
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			for i := range total {
				unix.Write(r.far, []byte{byte(i)})
			}
		}()
		first := make(chan []byte, 1)
		go func() {
			var got []byte
			for p := make([]byte, 7); ; {
				n, err := x.Read(p)
				got = append(got, p[:n]...)
				if err != nil {
					first <- got
					return
				}
			}
		}()
		time.Sleep(time.Duration(rand.IntN(1000)) * time.Microsecond)
		x.Close()
		before, err := unread(r.near)
		must(t, err)
		got := soon(t, first, "the end of Read")
		soon(t, sent, "the writing")
		taken := len(got)
		for len(got) < total {
			p := make([]byte, total)
			n, err := unix.Read(r.near, p)
			must(t, err)
			got = append(got, p[:n]...)
		}
		for i, b := range got {
			if b != byte(i) {
				t.Fatalf("byte %d of %d, of which Read took %d, is %d; %d were there after Close", i, len(got), taken, b, before)
			}
		}
	})
}

func unread(fd int) (int, error) { return unix.IoctlGetInt(fd, unix.TIOCINQ) }

// TestCloseWakesWrite: where nobody reads on, Close returns and so does Write,
// after the grace if the kernel has it.
func TestCloseWakesWrite(t *testing.T) {
	perKind(t, unix.O_WRONLY, func(t *testing.T, k kind, r *rig) {
		x := r.writer()
		done := start(x.Write, make([]byte, 1<<20))
		began := time.Now()
		x.Close()
		if d := soon(t, done, "the end of Write"); d.n >= 1<<20 || d.err != os.ErrClosed {
			t.Errorf("Write: %d, %v", d.n, d.err)
		}
		if k.way != "blind" && time.Since(began) >= grace {
			t.Error("Close took", time.Since(began))
		}
		if n, err := x.Write([]byte("x")); n != 0 || err != os.ErrClosed {
			t.Errorf("Write after Close: %d, %v", n, err)
		}
		x.Close()
	})
}

// blindOn reads from the client's description, with a wait of the test's own.
func (r *rig) blindOn(wait func() error) (*held, *Reader) {
	h := hold(r.pass())
	never := os.NewFile(^uintptr(0), "") // an epoll instance that nobody waits for
	return h, &Reader{port: &polled{held: h, blind: &blind{held: h, wait: wait}, epoll: never}}
}

// TestLeftBehind: a call that the kernel keeps holds up neither Close nor its
// caller, and takes its descriptor with it when it ends.
func TestLeftBehind(t *testing.T) {
	r := newRig(t, kinds[0], unix.O_RDONLY)
	h, x := r.blindOn(func() error { return nil })
	done := start(x.Read, make([]byte, 10))
	closed := make(chan struct{}, 2)
	for range 2 {
		go func() { x.Close(); closed <- struct{}{} }()
	}
	soon(t, closed, "Close")
	soon(t, closed, "the other Close")
	if d := soon(t, done, "the end of Read"); d.n != 0 || d.err != os.ErrClosed {
		t.Errorf("Read: %d, %v", d.n, d.err)
	}
	open := func() int {
		var want, got unix.Stat_t
		must(t, unix.Fstat(r.near, &want))
		if err := unix.Fstat(h.fd, &got); err != nil || got.Ino != want.Ino {
			return 0
		}
		return 1
	}
	if open() != 1 {
		t.Error("the number of a descriptor in use was given away")
	}
	unix.Write(r.far, []byte("x"))
	settles(t, 0, "descriptors", open)
}

// TestTheirsNonBlocking: where the client's own flag is set and somebody else
// was quicker, Read waits again.
func TestTheirsNonBlocking(t *testing.T) {
	r := newRig(t, kinds[0], unix.O_RDONLY)
	must(t, unix.SetNonblock(r.near, true))
	waits := 0
	_, x := r.blindOn(func() error {
		if waits++; waits == 2 {
			unix.Write(r.far, []byte("late"))
		}
		return nil
	})
	p := make([]byte, 10)
	if n, err := x.Read(p); string(p[:n]) != "late" || err != nil || waits != 2 {
		t.Errorf("%q, %v, after %d waits", p[:n], err, waits)
	}
	x.Close()
}

// TestDescriptors: none stays, of whatever is opened, used and closed, nor of
// what cannot be opened.
func TestDescriptors(t *testing.T) {
	before := entries(t, "fd")
	perKind(t, unix.O_RDONLY, func(_ *testing.T, _ kind, r *rig) {
		x := r.reader()
		done := start(x.Read, make([]byte, 1))
		x.Close()
		<-done
	})
	perKind(t, unix.O_WRONLY, func(_ *testing.T, _ kind, r *rig) { r.writer().Write([]byte("x")) })
	// Instances of epoll that watch each other may not be many: one, with one of
	// ours and the poller's around it, is too many at some place.
	var chain []int
	refused := 0
	for range 6 {
		fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
		must(t, err)
		if len(chain) > 0 {
			unix.EpollCtl(fd, unix.EPOLL_CTL_ADD, chain[len(chain)-1], &unix.EpollEvent{Events: unix.EPOLLIN})
		}
		chain = append(chain, fd)
		x, err := NewReader((&rig{t: t, near: fd}).pass())
		if err != nil {
			refused++
			continue
		}
		done := start(x.Read, make([]byte, 1))
		x.Close()
		if d := soon(t, done, "the end of Read"); d.err != os.ErrClosed {
			t.Error("accepted, but", d.err)
		}
	}
	if refused == 0 {
		t.Error("no chain of epoll instances was refused")
	}
	for _, fd := range chain {
		unix.Close(fd)
	}
	if _, err := NewWriter(1 << 20); err != unix.EBADF {
		t.Error(err)
	}
	settles(t, before, "descriptors", func() int { return entries(t, "fd") })
}

// TestThreads: two hundred who wait have no thread each.
func TestThreads(t *testing.T) {
	const many = 200
	for _, mode := range []int{unix.O_RDONLY, unix.O_WRONLY} {
		for _, k := range kinds {
			if mode == unix.O_WRONLY && k.name != "pipe" && k.name != "socket" && k.name != "FIFO of another" {
				continue
			}
			t.Run(k.name, func(t *testing.T) {
				var rigs [many]*rig
				var closers [many]io.Closer
				var calls [many]func([]byte) (int, error)
				for i := range rigs {
					rigs[i] = newRig(t, k, mode)
					if mode == unix.O_RDONLY {
						x := rigs[i].reader()
						calls[i], closers[i] = x.Read, x
					} else {
						x := rigs[i].writer()
						calls[i], closers[i] = x.Write, x
					}
				}
				before := entries(t, "task")
				done := make(chan struct{}, many)
				for _, call := range calls {
					go func() {
						call(make([]byte, 1<<20))
						done <- struct{}{}
					}()
				}
				time.Sleep(50 * time.Millisecond)
				settles(t, before+40, "threads", func() int { return entries(t, "task") })
				for _, c := range closers {
					c.Close()
				}
				for range many {
					soon(t, done, "the end of a call")
				}
			})
		}
	}
}
