package control

import (
	"os"
	"testing"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"muxd/internal/fdio"
)

// lentTo is an operation whose client passes a terminal, of which that process is
// not in front.
func lentTo(t *testing.T, pid int) *operation {
	ptm, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ptm.Close() })
	defer tty.Close()
	fd, err := unix.FcntlInt(tty.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	o := &operation{pid: pid}
	o.typed.Store(true)
	o.passed.answer = make(chan struct{}, 1)
	o.passed.asked, o.passed.wanted, o.passed.came = true, passedStdout, []int{fd}
	return o
}

// A client that passes its terminal and is not in front by then is asked again when
// somebody types there.
func TestPassedFromTheBackground(t *testing.T) {
	o := lentTo(t, os.Getpid())
	if err := o.takeTerminal(passedStdout | passedTerminal); err != nil {
		t.Fatal(err)
	}
	<-o.passed.answer
	if p := &o.passed; p.term != nil || p.asked || p.wanted != 0 || len(p.came) != 0 || o.typed.Load() {
		t.Errorf("%+v, typed %v", p, o.typed.Load())
	}
}

// While questions stand on a terminal that is lent it is the client's to read, also
// where its Passed crosses one.
func TestNobodyReadsBesideAQuestion(t *testing.T) {
	p := &passed{term: new(fdio.Terminal)}
	one, other := p.forQuestion(), p.forQuestion()
	for _, answered := range []func(){one, other} {
		if p.toRead() != nil {
			t.Fatal("muxd reads what may be the answer")
		}
		answered()
	}
	if p.toRead() != p.term {
		t.Error("muxd does not read behind the answer")
	}
}
