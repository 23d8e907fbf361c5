package sshmux

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"muxd/control"
	"muxd/control/controltest"
)

const patience = controltest.Patience

// muxdPID is what the doors take for muxd's process.
const muxdPID = 4711

func TestMain(m *testing.M) {
	if path := os.Getenv("SSHMUX_TEST_FORWARD"); path != "" {
		if err := askForward(path); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// quiet is a log that nobody reads.
type quiet struct{}

func (quiet) Debug(string, ...any) {}
func (quiet) Info(string, ...any)  {}
func (quiet) Warn(string, ...any)  {}

// place is a destination: name, and the agent it is for.
type place struct{ name, agent string }

func (p place) String() string                       { return p.name }
func (p place) For(agent string) control.Destination { p.agent = agent; return p }
func (p place) Same(o control.Destination) bool      { return p.name == o.(place).name }
func listen(path, host string) *control.ListenRequest {
	return &control.ListenRequest{Dest: place{name: host}, Path: path, PID: 1234}
}

// rig is Doors with a scripted Backend. When the test ends, everything that it
// started must have ended, and every descriptor must be closed.
type rig struct {
	t     *testing.T
	doors *Doors
	dir   string
}

func newRig(t *testing.T, b *controltest.Backend) *rig {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "mx")
	must(t, err)
	r := &rig{t: t, dir: dir}
	descriptors()
	before, was := descriptors(), goleak.IgnoreCurrent()
	r.doors = NewDoors(b, quiet{}, muxdPID, dir)
	t.Cleanup(func() {
		done := make(chan struct{})
		go func() { r.doors.Close(); close(done) }()
		select {
		case <-done:
		case <-time.After(patience):
			t.Error("Close did not return")
		}
		goleak.VerifyNone(t, was)
		eventually(t, "descriptors are left", func() bool { return descriptors() <= before })
		if n := r.doors.Clients(); n != 0 {
			t.Errorf("%d clients are left", n)
		}
		os.RemoveAll(dir)
	})
	return r
}

// descriptors counts those of this process.
func descriptors() int {
	list, _ := os.ReadDir("/dev/fd")
	return len(list)
}

func (r *rig) path() string { return filepath.Join(r.dir, "s") }

// serve opens a door as somebody who is there for as long as the test.
func (r *rig) serve(change ...func(*control.ListenRequest)) control.Door {
	r.t.Helper()
	q := listen(r.path(), "h")
	for _, f := range change {
		f(q)
	}
	d, err := r.doors.Open(context.Background(), q, new(controltest.Screen))
	must(r.t, err)
	return d
}

// caller is a client of a door, which says what the test has it say.
type caller struct {
	*net.UnixConn
	t  *testing.T
	id uint32
}

// dial connects, without a word.
func (r *rig) dial() *caller {
	r.t.Helper()
	c, err := net.Dial("unix", r.path())
	must(r.t, err)
	r.t.Cleanup(func() { c.Close() })
	return &caller{UnixConn: c.(*net.UnixConn), t: r.t}
}

// greet connects and exchanges HELLOs.
func (r *rig) greet() *caller {
	r.t.Helper()
	c := r.dial()
	c.ask(&request{kind: hello, version: version})
	c.expect(hello, uint32(version), "info", "0", "muxd", "1")
	return c
}

// ask sends a request, with descriptors behind it as mux.c sends them.
func (c *caller) ask(q *request, fds ...int) {
	c.t.Helper()
	c.write(q.append(nil))
	for _, fd := range fds {
		c.pass([]byte{0}, fd)
	}
}

func (c *caller) write(b []byte) {
	c.t.Helper()
	_, err := c.Write(b)
	must(c.t, err)
}

// pass sends bytes with descriptors at the first of them.
func (c *caller) pass(b []byte, fds ...int) {
	c.t.Helper()
	_, _, err := c.WriteMsgUnix(b, unix.UnixRights(fds...), nil)
	must(c.t, err)
}

// receive is the next message, without the length.
func (c *caller) receive() ([]byte, error) {
	c.SetReadDeadline(time.Now().Add(patience))
	var head [4]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.BigEndian.Uint32(head[:]))
	_, err := io.ReadFull(c, b)
	return b, err
}

func (c *caller) expect(k kind, fields ...any) {
	c.t.Helper()
	got, err := c.receive()
	if want := reply(k, fields...)[4:]; err != nil || !bytes.Equal(got, want) {
		c.t.Fatalf("got  %q, %v\nwant %q", got, err, want)
	}
}

// expectText wants a message of a kind that begins with some numbers and ends
// with a text in which something stands.
func (c *caller) expectText(text string, k kind, numbers ...any) {
	c.t.Helper()
	got, err := c.receive()
	want := reply(k, numbers...)[4:]
	if err != nil || !bytes.HasPrefix(got, want) {
		c.t.Fatalf("got %q, %v, want it to begin with %q", got, err, want)
	}
	d := decoder{b: got[len(want):]}
	if said := d.str(); d.err != nil || len(d.b) > 0 || !strings.Contains(said, text) {
		c.t.Fatalf("got %q, want a text with %q in it", got, text)
	}
}

// ends wants the socket's end, and nothing before it.
func (c *caller) ends() {
	c.t.Helper()
	got, err := c.receive()
	if len(got) > 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		c.t.Fatalf("got %q, %v, want the end", got, err)
	}
}

// lives wants an answer: the client is not cut, and others are not held up.
func (c *caller) lives() {
	c.t.Helper()
	c.id++
	c.ask(&request{kind: aliveCheck, id: c.id})
	c.expect(alive, c.id, uint32(1234))
}

// stdio are a client's descriptors, by pipes, and their other ends.
type stdio struct {
	t        *testing.T
	fds      []int // what is passed, standard input first
	in       *os.File
	out, err *os.File
}

func pipes(t *testing.T) *stdio {
	t.Helper()
	s := &stdio{t: t, fds: make([]int, 3)}
	var inFD int
	s.fds[0], inFD = pipe(t)
	s.in = file(t, inFD)
	for i, f := range []**os.File{&s.out, &s.err} {
		rd, wr := pipe(t)
		*f, s.fds[i+1] = file(t, rd), wr
	}
	t.Cleanup(func() { s.drop(0, 1, 2) })
	return s
}

// drop closes the client's own copies, which leaves the door's.
func (s *stdio) drop(which ...int) {
	for _, i := range which {
		if s.fds[i] >= 0 {
			unix.Close(s.fds[i])
			s.fds[i] = -1
		}
	}
}

func pipe(t *testing.T) (r, w int) {
	t.Helper()
	var p [2]int
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	must(t, unix.Pipe(p[:]))
	unix.CloseOnExec(p[0])
	unix.CloseOnExec(p[1])
	return p[0], p[1]
}

// file makes the test's own end of a pipe wait no longer than the test does.
func file(t *testing.T, fd int) *os.File {
	t.Helper()
	must(t, unix.SetNonblock(fd, true))
	f := os.NewFile(uintptr(fd), "")
	f.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { f.Close() })
	return f
}

// reads wants exactly these bytes to come next.
func reads(t *testing.T, r io.Reader, want string) {
	t.Helper()
	b := make([]byte, len(want))
	if n, err := io.ReadFull(r, b); err != nil || string(b) != want {
		t.Fatalf("read %q, %v, want %q", b[:n], err, want)
	}
}

// readsEnd wants these bytes and then the end.
func readsEnd(t *testing.T, r io.Reader, want string) {
	t.Helper()
	if b, err := io.ReadAll(r); err != nil || string(b) != want {
		t.Fatalf("read %q, %v, want %q and the end", b, err, want)
	}
}

// sessions is a Backend whose sessions are handed over, requests and all.
func sessions(tty bool) (*controltest.Backend, chan *opened) {
	ch := make(chan *opened, 256)
	return &controltest.Backend{
		OnSession: func(ctx context.Context, q *control.SessionRequest, p control.Prompter) (control.Stream, error) {
			s := controltest.NewStream(tty && q.TTY != nil)
			ch <- &opened{Stream: s, q: q, p: p}
			return s, nil
		},
		OnDirect: func(ctx context.Context, q *control.DirectRequest, p control.Prompter) (control.Stream, error) {
			s := controltest.NewStream(false)
			ch <- &opened{Stream: s, direct: q, p: p}
			return s, nil
		},
	}, ch
}

type opened struct {
	*controltest.Stream
	q      *control.SessionRequest
	direct *control.DirectRequest
	p      control.Prompter
}

// did waits until the door did something with the session.
func (o *opened) did(t *testing.T, event string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := o.WaitEvent(ctx, event); err != nil {
		t.Fatalf("no %q: %q", event, o.Events())
	}
}

// exec asks for a command with plain pipes and waits until it is open.
func (c *caller) exec(ch chan *opened, s *stdio, change ...func(*request)) *opened {
	c.t.Helper()
	q := &request{kind: newSession, id: 1, escape: noEscape, command: "cmd"}
	for _, f := range change {
		f(q)
	}
	c.ask(q, s.fds...)
	o := controltest.Get(c.t, ch)
	c.expect(sessionOpened, uint32(1), uint32(sessionID))
	return o
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(what)
		}
	}
}

// shorten makes a limit one that a test can wait for. It is to be called before
// newRig.
func shorten(t *testing.T, limit *time.Duration) {
	was := *limit
	*limit = time.Second / 2
	t.Cleanup(func() { *limit = was })
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// askForward is a process that asks for a forward and waits to be told to end.
func askForward(path string) error {
	c, err := net.Dial("unix", path)
	if err != nil {
		return err
	}
	b := (&request{kind: hello, version: version}).append(nil)
	b = (&request{kind: openForward, id: 1, forward: forwardLocal, listen: endpoint{"", 8080}, connect: endpoint{"db", 1}}).append(b)
	if _, err := c.Write(b); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// forwarder starts such a process, whose command line is said to be args.
func (r *rig) forwarder(args ...string) (end func()) {
	r.t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Args = args
	cmd.Env = append(os.Environ(), "SSHMUX_TEST_FORWARD="+r.path())

	in, err := cmd.StdinPipe()
	must(r.t, err)
	must(r.t, cmd.Start())
	guard := time.AfterFunc(patience, func() { cmd.Process.Kill() })
	return func() {
		r.t.Helper()
		in.Close()
		must(r.t, cmd.Wait())
		guard.Stop()
	}
}
