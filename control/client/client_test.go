package client_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"muxd/control"
	"muxd/control/client"
	"muxd/control/controltest"
	"muxd/internal/sshtest"
)

// up is a muxd for a test, changed before it serves.
func up(t testing.TB, change ...func(m *muxd)) *muxd {
	t.Helper()
	m := new(muxd)
	for _, f := range change {
		f(m)
	}
	m.start()
	t.Cleanup(m.stop)
	return m
}

// handing opens every connection to one end of a pipe of sockets, and gives the
// test the other.
func handing(t testing.TB) (func(m *muxd), <-chan *far, <-chan net.Conn) {
	t.Helper()
	fars, theirs := make(chan *far, 100), make(chan net.Conn, 100)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return func(m *muxd) {
		m.OnDirect = func(context.Context, *control.DirectRequest, control.Prompter) (control.Stream, error) {
			a, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				return nil, err
			}
			b, err := l.Accept()
			if err != nil {
				return nil, err
			}
			f := newFar(a)
			fars <- f
			theirs <- b
			return f, nil
		}
	}, fars, theirs
}

func dial(t testing.TB) net.Conn {
	t.Helper()
	nc, err := client.New("host").DialContext(t.Context(), "tcp", "db:5432")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	return nc
}

// fds counts this process's descriptors.
func fds(t testing.TB) int {
	t.Helper()
	d, err := os.ReadDir("/dev/fd")
	if err != nil {
		sshtest.Lacks(t, "/dev/fd", err)
	}
	return len(d)
}

func settled(t testing.TB, before int) {
	t.Helper()
	for end := time.Now().Add(patience); fds(t) > before; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d descriptors are open, before it were %d", fds(t), before)
		}
	}
}

// opError fails the test unless err is a net.OpError of op, with a control.Error
// of the phase, or none where that is 0.
func opError(t testing.TB, err error, op string, phase control.ErrorPhase) {
	t.Helper()
	var oe *net.OpError
	var ce *control.Error
	switch {
	case !errors.As(err, &oe) || oe.Op != op || oe.Addr == nil:
		t.Errorf("%#v is no error of %s", err, op)
	case phase == 0:
		if errors.As(err, &ce) {
			t.Errorf("%v is a control.Error", err)
		}
	case !errors.As(err, &ce) || ce.Phase != phase:
		t.Errorf("%#v (%v) has not phase %v", err, err, phase)
	}
}

// Fifty connections at once, each with bytes in both directions and a half-close
// in the middle; nothing is left of them.
func TestManyAtOnce(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { // answers when all has come
				defer c.Close()
				b, _ := io.ReadAll(c)
				c.Write(b)
			}()
		}
	}()
	m := up(t)
	before := fds(t)
	c := client.New("host", "-J", "bastion")
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			nc, err := c.DialContext(t.Context(), "tcp", l.Addr().String())
			if err != nil {
				t.Error(err)
				return
			}
			defer nc.Close()
			want := make([]byte, 300<<10+i)
			rand.NewChaCha8([32]byte{byte(i)}).Read(want)
			nc.Write(want)
			nc.(interface{ CloseWrite() error }).CloseWrite()
			if got, err := io.ReadAll(nc); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%d bytes came back of %d, %v", len(got), len(want), err)
			}
		})
	}
	wg.Wait()
	settled(t, before)
	for _, v := range m.asked {
		want := []string{"-o", "FdPass=no", "-o", "PermitLocalCommand=no", "-W", "[127.0.0.1]:" + strings.TrimPrefix(l.Addr().String(), "127.0.0.1:"), "-J", "bastion", "--", "host"}
		if !slices.Equal(v.Args, want) || v.TTY != [3]bool{} || v.Dir == "" || len(v.Env) == 0 {
			t.Fatalf("asked for %q", v.Args)
		}
	}
}

// Over a Unix socket there, named in any way.
func TestUnixSocketThere(t *testing.T) {
	path := t.TempDir() + "/s"
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		if c, err := l.Accept(); err == nil {
			c.Write([]byte("hi"))
			c.Close()
		}
	}()
	up(t)
	nc, err := client.New("host").DialContext(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if b, err := io.ReadAll(nc); string(b) != "hi" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	if nc.LocalAddr().String() != "host" || nc.RemoteAddr().String() != path || nc.RemoteAddr().Network() != "unix" {
		t.Errorf("%v -> %v", nc.LocalAddr(), nc.RemoteAddr())
	}
}

// A connection that is lost, and a muxd that is, is an error and never the end,
// wherever the reader is; so is a write. It does not race with the data's end.
func TestLostIsNoEnd(t *testing.T) {
	change, fars, theirs := handing(t)
	m := up(t, change)
	for i := range 100 {
		nc := dial(t)
		f, b := controltest.Get(t, fars), controltest.Get(t, theirs)
		b.Write([]byte("half"))
		got := make([]byte, 4)
		io.ReadFull(nc, got)
		if i%2 == 0 {
			f.lose(&control.Error{Phase: control.Running, Host: "host", Text: "connection lost (cable cut)"})
		} else {
			m.dies()
			f.lose(nil)
		}
		n, err := nc.Read(got)
		if n != 0 {
			t.Errorf("read %q", got[:n])
		}
		opError(t, err, "read", control.Running)
		want := "read tcp host->db:5432: host: " + map[bool]string{true: "connection lost (cable cut)", false: "muxd went away"}[i%2 == 0]
		if err == nil || err.Error() != want {
			t.Errorf("%q, want %q", err, want)
		}
		for err = nil; err == nil; {
			_, err = nc.Write([]byte("x"))
		}
		opError(t, err, "write", control.Running)
		nc.Close()
		b.Close()
	}
}

// The far side's end of sending is an end at once, also while it goes on
// reading; what is written after it arrives.
func TestHalfClose(t *testing.T) {
	change, _, theirs := handing(t)
	up(t, change)
	nc := dial(t)
	b := controltest.Get(t, theirs).(*net.TCPConn)
	b.Write([]byte("all"))
	b.CloseWrite()
	if got, err := io.ReadAll(nc); string(got) != "all" || err != nil {
		t.Fatalf("%q, %v", got, err)
	}
	nc.Write([]byte("after"))
	nc.Close()
	if got, err := io.ReadAll(b); string(got) != "after" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	b.Close()
}

// What was written before Close arrives, however late it is read.
func TestCloseDelivers(t *testing.T) {
	change, _, theirs := handing(t)
	up(t, change)
	for range 20 {
		nc := dial(t)
		b := controltest.Get(t, theirs)
		want := bytes.Repeat([]byte("0123456789"), 15<<10)
		if _, err := nc.Write(want); err != nil {
			t.Fatal(err)
		}
		nc.Close()
		if got, err := io.ReadAll(b); !bytes.Equal(got, want) || err != nil {
			t.Fatalf("%d bytes arrived of %d, %v", len(got), len(want), err)
		}
		b.Close()
	}
}

// Deadlines and Close end what is under way, and later calls fail at once.
func TestDeadlines(t *testing.T) {
	change, _, theirs := handing(t)
	up(t, change)
	nc := dial(t)
	b := controltest.Get(t, theirs)
	defer b.Close()
	timeout := func(err error, op string) {
		t.Helper()
		opError(t, err, op, 0)
		if ne, ok := err.(net.Error); !ok || !ne.Timeout() || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%v is no timeout", err)
		}
	}
	p := make([]byte, 1)
	time.AfterFunc(10*time.Millisecond, func() { nc.SetReadDeadline(time.Now()) })
	_, err := nc.Read(p)
	timeout(err, "read")
	nc.SetReadDeadline(time.Time{})
	b.Write([]byte("x"))
	if n, err := nc.Read(p); n != 1 || err != nil {
		t.Errorf("after a deadline: %d, %v", n, err)
	}
	nc.SetWriteDeadline(time.Now().Add(10 * time.Millisecond))
	for err = nil; err == nil; {
		_, err = nc.Write(make([]byte, 1<<20))
	}
	timeout(err, "write")
	nc.SetDeadline(time.Now().Add(-time.Second))
	_, err = nc.Read(p)
	timeout(err, "read")
	nc.SetDeadline(time.Time{})
	time.AfterFunc(10*time.Millisecond, func() { nc.Close() })
	if _, err = nc.Read(p); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	for what, err := range map[string]error{"write": func() error { _, err := nc.Write(p); return err }(), "close": nc.Close(), "set": nc.SetDeadline(time.Time{})} {
		if opError(t, err, what, 0); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// What is refused before muxd is asked, and what muxd says: one kind of error.
func TestDialErrors(t *testing.T) {
	m := up(t, func(m *muxd) {
		resolve := m.resolve
		m.OnResolve = func(ctx context.Context, v *control.Invocation, p control.Prompter) (*control.Plan, error) {
			switch v.Args[len(v.Args)-1] {
			case "text":
				return &control.Plan{Host: "text", Text: []byte("x")}, nil
			case "elsewhere":
				return &control.Plan{Host: "elsewhere", HandOver: []string{"-S", "x"}}, nil
			case "asks":
				_, err := p.Prompt(ctx, control.Prompt{Kind: control.PromptSecret, Text: "Password: "})
				if !errors.Is(err, control.ErrNobody) {
					t.Errorf("the answer is %v", err)
				}
				return nil, &control.Error{Phase: control.Refused, Host: "asks", Text: "login failed: " + err.Error()}
			case "runs":
				r, err := p.Run(ctx, control.Command{Kind: control.CommandTest, Args: []string{"exit 3"}})
				return nil, &control.Error{Phase: control.NotDialled, Host: "runs", Text: fmt.Sprint(r.Status, " ", err)}
			case "local":
				r, err := p.Run(ctx, control.Command{Kind: control.CommandLocal, Args: []string{"echo on stdout"}})
				return nil, &control.Error{Phase: control.NotDialled, Host: "local", Text: fmt.Sprint(r.Status, " ", err)}
			}
			return resolve(ctx, v, p)
		}
	})
	before := fds(t)
	for _, tt := range []struct {
		host, network, addr string
		phase               control.ErrorPhase
		want                string
	}{
		{"host", "udp", "a:1", control.NotDialled, "dial udp a:1: host: unknown network udp"},
		{"host", "tcp", "a", control.NotDialled, "missing port in address"},
		{"host", "tcp", "a:0", control.NotDialled, "no port"},
		{"host", "tcp", "a:65536", control.NotDialled, "invalid port"},
		{"host", "tcp", "a:no-such-service", control.NotDialled, "unknown port"},
		{"host", "tcp", "a${HOME}:1", control.NotDialled, "a name that cannot be asked for"},
		{"host", "tcp", "/a:1", control.NotDialled, "a name that cannot be asked for"},
		{"host", "tcp", strings.Repeat("a", 1025) + ":1", control.NotDialled, "a name that cannot be asked for"},
		{"host", "tcp4", "[::1]:1", control.NotDialled, "no address of tcp4"},
		{"host", "tcp6", "127.0.0.1:1", control.NotDialled, "no address of tcp6"},
		{"host", "unix", "a", control.NotDialled, "not an absolute path"},
		{"host", "unix", "/" + strings.Repeat("a", 107), control.NotDialled, "a path that cannot be asked for"},
		{"host", "unix", "/${HOME}", control.NotDialled, "a path that cannot be asked for"},
		{"host", "tcp", "127.0.0.1:1", control.Refused, "dial tcp 127.0.0.1:1: host: stdio forwarding to 127.0.0.1:1 failed: Connection refused"},
		{"text", "tcp", "a:1", control.NotDialled, "text: the options ask for something else than a connection"},
		{"elsewhere", "tcp", "a:1", control.NotDialled, "elsewhere: the ControlPath is served by a master that is not muxd"},
		{"asks", "tcp", "a:1", control.Refused, "asks: login failed: nobody could be asked"},
		{"runs", "tcp", "a:1", control.NotDialled, "runs: 3 <nil>"},
		{"local", "tcp", "a:1", control.NotDialled, "local: 0 nobody could be asked"},
	} {
		nc, err := client.New(tt.host).DialContext(t.Context(), tt.network, tt.addr)
		if nc != nil || err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s %.50s: %v, want %q", tt.network, tt.addr, err, tt.want)
		}
		opError(t, err, "dial", tt.phase)
	}
	settled(t, before)
	for end := time.Now().Add(patience); m.srv.Clients() != 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("clients are left")
		}
	}
}

// elapsing is a context whose time is over when a test says so.
type elapsing struct {
	context.Context
	over chan struct{}
}

func (e *elapsing) Done() <-chan struct{} { return e.over }

func (e *elapsing) Err() error {
	select {
	case <-e.over:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

// Ctx ends every wait, and what is then opened for nobody is closed.
func TestContextEndsDialling(t *testing.T) {
	opened, asked := make(chan *far, 1), make(chan struct{}, 1)
	change, fars, theirs := handing(t)
	up(t, change, func(m *muxd) {
		direct := m.OnDirect
		m.OnDirect = func(ctx context.Context, r *control.DirectRequest, p control.Prompter) (control.Stream, error) {
			asked <- struct{}{}
			if r.Host == "late" {
				<-ctx.Done() // the client is gone
				st, err := direct(ctx, r, p)
				opened <- controltest.Get(t, fars)
				controltest.Get(t, theirs).Close()
				return st, err
			}
			<-ctx.Done()
			return nil, ctx.Err()
		}
	})
	before := fds(t)
	c := client.New("host")
	due := &elapsing{t.Context(), make(chan struct{})}
	go func() { controltest.Get(t, asked); close(due.over) }()
	_, err := c.DialContext(due, "tcp", "late:1")
	if opError(t, err, "dial", 0); !errors.Is(err, context.DeadlineExceeded) || !err.(net.Error).Timeout() {
		t.Error(err)
	}
	<-controltest.Get(t, opened).end
	ctx, cancel := context.WithCancel(t.Context())
	go func() { controltest.Get(t, asked); cancel() }()
	_, err = c.DialContext(ctx, "tcp", "never:1")
	if opError(t, err, "dial", 0); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err = c.DialContext(ctx, "tcp", "never:1"); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	settled(t, before)
}

// A stream that the backend refuses to open, in a phase nobody knows.
func TestErrorWithoutPhase(t *testing.T) {
	up(t, func(m *muxd) {
		m.OnDirect = func(context.Context, *control.DirectRequest, control.Prompter) (control.Stream, error) {
			return nil, errors.New("no idea")
		}
	})
	_, err := client.New("host").DialContext(t.Context(), "tcp", "a:1")
	opError(t, err, "dial", control.Lost)
}

var _ control.Stream = (*far)(nil)
var _ control.Backend = (*controltest.Backend)(nil)

func BenchmarkDial(b *testing.B) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
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
	up(b)
	c := client.New("host")
	for b.Loop() {
		nc, err := c.DialContext(b.Context(), "tcp", l.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		nc.Close()
	}
}
