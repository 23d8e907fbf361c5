package control_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"muxd/control"
	"muxd/control/controltest"
)

// answer serves one hand-made hello and returns what a client makes of it.
func answer(t *testing.T, hello []byte) error {
	t.Helper()
	c, s := controltest.SocketPair(t)
	op, err := control.Run(c, &control.Invocation{})
	if err != nil {
		t.Fatal(err)
	}
	s.Write(hello)
	s.Close()
	return controltest.Get(t, wait(op, &controltest.Screen{})).err
}

// A muxd of another version is named, with both versions and the cure, by a
// client that is older as well as by one that is newer.
func TestVersionMismatch(t *testing.T) {
	for _, v := range []uint16{control.Version - 1, control.Version + 1} {
		// The client is ours.
		err := answer(t, control.Hello{Version: v, Welcome: control.WrongVersion, PID: 4711, Text: "muxd 9.9"}.Bytes())
		var ve *control.VersionError
		if !errors.As(err, &ve) || ve.Server != v || ve.PID != 4711 || ve.Build != "muxd 9.9" {
			t.Errorf("server of version %d: %v", v, err)
		}
		for _, part := range []string{"4711", "muxd 9.9", "muxd stop", fmt.Sprint("protocol ", v), fmt.Sprint("this program ", control.Version)} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%q lacks %q", err, part)
			}
		}
		// The server is ours.
		r := newRig(t, &controltest.Backend{})
		c, done := r.dial()
		c.Write(control.Preface{Version: v, Flags: 0xff, FDs: 9, Length: 1 << 31}.Bytes())
		h, err := control.NewFrames(c).Hello()
		if !errors.As(err, &ve) || h.Welcome != control.WrongVersion || h.Version != control.Version || h.PID != 4711 || h.Text != "test 1.0" {
			t.Errorf("client of version %d: %+v, %v", v, h, err)
		}
		controltest.Get(t, done)
	}
}

// A muxd that would miss nothing makes way for a client of a later version, which
// then makes its request again; it stays where it would, and for an earlier one.
func TestMakesWay(t *testing.T) {
	for _, c := range []struct {
		version uint16
		spare   bool
		asked   bool
	}{{control.Version + 1, true, true}, {control.Version + 1, false, true}, {control.Version - 1, true, false}, {control.Version, true, false}} {
		r := newRig(t, &controltest.Backend{})
		asked := false
		r.srv.Yield = func() bool { asked = true; return c.spare }
		conn, done := r.dial()
		conn.Write(control.Preface{Version: c.version, Flags: control.FlagOne, Length: 1}.Bytes())
		conn.Write([]byte{0xff})
		_, err := control.NewFrames(conn).Hello()
		conn.Close()
		controltest.Get(t, done) // and with it what the server's goroutine wrote
		var other *control.VersionError
		switch {
		case asked != c.asked:
			t.Errorf("%+v: asked %v", c, asked)
		case c.asked && c.spare && !errors.Is(err, io.EOF), c.version != control.Version && !(c.asked && c.spare) && !errors.As(err, &other):
			t.Errorf("%+v: %v", c, err)
		}
	}
	if err := (&control.VersionError{Server: 7}).Error(); !strings.HasSuffix(err, `restart it with "muxd stop", which ends its sessions`) {
		t.Error(err)
	}
}

func TestHelloErrors(t *testing.T) {
	good := control.Hello{Version: control.Version, Text: "b"}.Bytes()
	long := control.Hello{Version: control.Version}.Bytes()
	binary.BigEndian.PutUint32(long[12:], 1<<32-1)
	tests := []struct {
		name  string
		hello []byte
		want  error
	}{
		{"nothing", nil, control.ErrNotTaken},
		{"half", good[:7], control.ErrNotMuxd},
		{"half a text", good[:16], control.ErrNotMuxd},
		{"another protocol", []byte("HTTP/1.1 400 Bad Request\r\n"), control.ErrNotMuxd},
		{"4 GiB of text", long, control.ErrNotMuxd},
		{"only hello", good, control.ErrGone},
	}
	for _, tt := range tests {
		if err := answer(t, tt.hello); err != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
	err := answer(t, control.Hello{Version: control.Version, Welcome: control.TooBusy, Text: "go\x1b away"}.Bytes())
	if err == nil || err.Error() != "muxd refused: go? away" {
		t.Errorf("refusal: %v", err)
	}
}

// A server that closes without reading resets the connection, which is no more
// than "not taken on".
func TestNotTakenByReset(t *testing.T) {
	for range 20 {
		c, s := controltest.SocketPair(t)
		op, err := control.Run(c, &control.Invocation{Args: []string{strings.Repeat("x", 100<<10)}})
		if err != nil {
			t.Fatal(err)
		}
		s.Close()
		if o := controltest.Get(t, wait(op, &controltest.Screen{})); o.err != control.ErrNotTaken {
			t.Fatalf("got %v", o.err)
		}
		// And when it is closed before a long request was written.
		c, s = controltest.SocketPair(t)
		go s.Close()
		op, err = control.Run(c, &control.Invocation{Args: []string{strings.Repeat("x", 3<<20)}})
		if err == nil {
			err = controltest.Get(t, wait(op, &controltest.Screen{})).err
		}
		if err != control.ErrNotTaken {
			t.Fatalf("long request: %v", err)
		}
	}
}

// A muxd that was stopped is not one that went away: nobody must start a
// second one. It holds up a client for HelloTimeout, also one whose request is
// longer than the socket's buffer, and does not take the request on when it
// wakes.
func TestSilentServer(t *testing.T) {
	for _, size := range []int{1, 1 << 20} {
		synctest.Test(t, func(t *testing.T) {
			c, s := controltest.Pipe()
			start := time.Now()
			op, err := control.Run(c, &control.Invocation{Args: []string{strings.Repeat("x", size)}})
			if err == nil {
				_, err = op.Wait(&controltest.Screen{})
			}
			if took := time.Since(start); err != control.ErrSilent || took != control.HelloTimeout {
				t.Errorf("request of %d: %v after %v", size, err, took)
			}
			c.Close()
			srv := &control.Server{Log: new(log), Backend: &controltest.Backend{
				OnResolve: func(context.Context, *control.Invocation, control.Prompter) (*control.Plan, error) {
					t.Error("taken on after the client left")
					return nil, errSeen
				}}}
			srv.ServeConn(t.Context(), s)
		})
	}
}

// A client that closes its operation itself hears of that and not that it may
// ask again.
func TestOwnClose(t *testing.T) {
	c, _ := controltest.SocketPair(t)
	op, err := control.Run(c, &control.Invocation{})
	if err != nil {
		t.Fatal(err)
	}
	op.Close()
	if o := controltest.Get(t, wait(op, &controltest.Screen{})); !errors.Is(o.err, os.ErrClosed) {
		t.Errorf("got %v", o.err)
	}
}

func TestRequestTooLong(t *testing.T) {
	c, _ := controltest.SocketPair(t)
	if _, err := control.Run(c, &control.Invocation{Args: []string{strings.Repeat("x", control.MaxFrame)}}); phase(err) != control.NotDialled {
		t.Errorf("got %v", err)
	}
}

// What no client of this version sends is refused with the reason, or, where
// the peer would not understand one, without; and memory is not taken for it.
func TestPrefaceRefused(t *testing.T) {
	one := func(f func(*control.Preface)) []byte {
		p := control.Preface{Version: control.Version, Flags: control.FlagOne, Length: 1}
		f(&p)
		return append(p.Bytes(), 0xee)
	}
	tests := []struct {
		name  string
		bytes []byte
		text  string // "": nothing is said
	}{
		{"garbage", []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), ""},
		{"end", []byte("MUXD"), ""},
		{"no flag", one(func(p *control.Preface) { p.Flags = 0 }), "flags 0x0"},
		{"unknown flag", one(func(p *control.Preface) { p.Flags |= 4 }), "flags 0x5"},
		{"both", one(func(p *control.Preface) { p.Flags = 3 }), "flags 0x3"},
		{"4 GiB", one(func(p *control.Preface) { p.Length = 1<<32 - 1 }), "4294967295 bytes"},
		{"one byte too long", one(func(p *control.Preface) { p.Length = control.MaxFrame + 1 }), "4194305 bytes"},
		{"one with nothing", one(func(p *control.Preface) { p.Length = 0 }), "0 bytes of request"},
		{"many with one", one(func(p *control.Preface) { p.Flags = control.FlagMany }), "1 bytes of request"},
		{"reserved", append(append(one(func(*control.Preface) {})[:10:10], 0, 1), 0, 0, 0, 1, 2), "reserved field 0x1"},
		{"descriptors", one(func(p *control.Preface) { p.FDs = 3 }), "and 3 descriptors"},
		{"many, not served", one(func(p *control.Preface) { p.Flags, p.Length = control.FlagMany, 0 }), "one operation"},
		{"truncated", one(func(p *control.Preface) { p.Length = 10 }), "not arrive whole"},
		{"truncated, 4 MiB claimed", one(func(p *control.Preface) { p.Length = control.MaxFrame }), "not arrive whole"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, &controltest.Backend{})
			c, s := controltest.SocketPair(t)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			done := r.serve(s)
			c.Write(tt.bytes)
			c.HalfClose()
			_, err := control.NewFrames(c).Hello()
			controltest.Get(t, done)
			runtime.ReadMemStats(&after)
			if tt.text == "" && err != io.EOF || tt.text != "" && (err == nil || !strings.Contains(err.Error(), tt.text)) {
				t.Errorf("got %v, want %q", err, tt.text)
			}
			if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
				t.Errorf("%d bytes allocated", n)
			}
		})
	}
}

// A request of unknown kind, or malformed, gets an error and harms nobody.
func TestRequestRefused(t *testing.T) {
	v := (&control.Invocation{Args: []string{"h"}, Dir: "/", Env: []string{"A=b"}, Modes: []byte{0}}).Bytes()
	bad := [][]byte{{0}, {99}, append(v, 0), {2 + 1, 7}}
	for i := 1; i < len(v); i++ {
		bad = append(bad, v[:i])
	}
	for _, b := range bad {
		r := newRig(t, &controltest.Backend{})
		c, _ := r.dial()
		c.Write(append(control.Preface{Version: control.Version, Flags: control.FlagOne, Length: uint32(len(b))}.Bytes(), b...))
		f := control.NewFrames(c)
		if _, err := f.Hello(); err != nil {
			t.Fatal(err)
		}
		if k, _, err := f.Next(); k != control.FrameError || err != nil {
			t.Errorf("request %x: frame %d, %v", b, k, err)
		}
	}
}

// Whatever malformed frame comes, the client is cut and memory is not taken.
func TestFramesRefused(t *testing.T) {
	frames := map[string][]byte{
		"4 GiB":            {0xff, 0xff, 0xff, 0xff, control.FrameStdin, 1},
		"no type":          {0, 0, 0, 0, 2},
		"unknown":          control.Frame(31, nil),
		"a server's":       control.Frame(control.FrameStdout, []byte("x")),
		"second request":   control.Frame(control.FrameRequest, []byte{2}),
		"short resize":     control.Frame(control.FrameResize, []byte{1}),
		"long resize":      control.Frame(control.FrameResize, make([]byte, 17)),
		"short signal":     control.Frame(control.FrameSignal, []byte{0, 0, 0, 9, 'x'}),
		"short answer":     control.Frame(control.FrameAnswer, []byte{0}),
		"unknown answer":   control.Frame(control.FrameAnswer, []byte{0, 0, 0, 1, 9, 0, 0, 0, 0}),
		"stdin after EOF":  append(control.Frame(control.FrameStdinEOF, nil), control.Frame(control.FrameStdin, []byte{1})...),
		"truncated header": {0, 0},
		"truncated body":   {0, 0, 0, 9, control.FrameStdin, 1},
		"4 MiB claimed":    {0, 0x40, 0, 0, control.FrameStdin, 1},
	}
	for name, b := range frames {
		t.Run(name, func(t *testing.T) {
			closed := make(chan error, 1)
			r := newRig(t, sessions(false, func(ctx context.Context, s *controltest.Stream) { closed <- s.WaitEvent(context.Background(), "close") }))
			c := r.raw()
			c.until(control.FrameOpened)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			c.c.Write(b)
			if strings.Contains(name, "truncated") || strings.Contains(name, "claimed") {
				c.c.HalfClose()
			}
			controltest.Get(t, closed)
			c.ended()
			runtime.ReadMemStats(&after)
			if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
				t.Errorf("%d bytes allocated", n)
			}
		})
	}
}

// The client takes memory for what arrives as well, ignores frames it does not
// know, and names a malformed one.
func TestClientAndStrangeFrames(t *testing.T) {
	c, s := controltest.SocketPair(t)
	op, _ := control.Run(c, &control.Invocation{})
	s.Write(control.Hello{Version: control.Version}.Bytes())
	s.Write(control.Frame(250, []byte("news")))
	s.Write(control.Frame(control.FrameExit, control.ExitBody(control.Exit{Code: 8})))
	if o := controltest.Get(t, wait(op, &controltest.Screen{})); o.exit.Code != 8 {
		t.Errorf("got %+v", o)
	}
	c, s = controltest.SocketPair(t)
	op, _ = control.Run(c, &control.Invocation{})
	s.Write(control.Hello{Version: control.Version}.Bytes())
	s.Write([]byte{0xff, 0xff, 0xff, 0xff, 34})
	if o := controltest.Get(t, wait(op, &controltest.Screen{})); o.err == nil || o.err == control.ErrGone {
		t.Errorf("got %+v", o)
	}
}

// Descriptors that nobody announced, or that are refused, are closed.
func TestDescriptorsAreClosed(t *testing.T) {
	for _, announced := range []uint16{0, 2} {
		var closed atomic.Int32
		r := newRig(t, sessions(false, func(_ context.Context, s *controltest.Stream) { s.End(control.Exit{}, nil) }))
		r.srv.CloseFD = func(fd int) { closed.Add(1); os.NewFile(uintptr(fd), "passed").Close() }
		c, done := r.dial()
		v := (&control.Invocation{}).Bytes()
		p := control.Preface{Version: control.Version, Flags: control.FlagOne, FDs: announced, Length: uint32(len(v))}
		if _, err := c.WriteFDs(p.Bytes()[:1], int(os.Stdin.Fd()), int(os.Stdout.Fd())); err != nil {
			t.Fatal(err)
		}
		c.Write(append(p.Bytes()[1:], v...))
		controltest.Get(t, done)
		if n := closed.Load(); n != 2 {
			t.Errorf("%d descriptors closed of 2", n)
		}
	}
}

// A client that sends its preface byte by byte has PrefaceTimeout for all of
// it, and is then told why.
func TestSlowPreface(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, opening := range [][]byte{
			control.Opening(&control.Invocation{Args: []string{"slow"}}),
			control.Opening(&control.Invocation{Args: []string{"slow"}})[:16],
			nil,
		} {
			srv := &control.Server{Log: new(log), Backend: &controltest.Backend{}}
			c, s := controltest.Pipe()
			go func() {
				for _, b := range opening {
					c.Write([]byte{b})
					time.Sleep(time.Second / 4)
				}
			}()
			start := time.Now()
			srv.ServeConn(t.Context(), s)
			if took := time.Since(start); took != control.PrefaceTimeout {
				t.Errorf("took %v, want %v", took, control.PrefaceTimeout)
			}
			time.Sleep(time.Minute)
		}
	})
}

// heldBack is a connection that its server comes to read late.
type heldBack struct {
	*controltest.Socket
	came chan<- struct{} // told when it would, and so knows the connection
	read chan struct{}   // closed when it does
}

func (h heldBack) ReadFDs(b []byte, max int) (int, []int, error) {
	h.came <- struct{}{}
	<-h.read
	return h.Socket.ReadFDs(b, max)
}

// A client that has spoken is not taken for one of too many that are silent,
// however late its words are read.
func TestManyAtOnceAreHeard(t *testing.T) {
	r := newRig(t, sessions(false, func(_ context.Context, s *controltest.Stream) { s.End(control.Exit{Code: 3}, nil) }))
	const many = 2 * control.MaxGreeting
	came, read, ended := make(chan struct{}, 2*many), make(chan struct{}), make(chan outcome, many) // each is looked at twice at most
	for range many {
		c, s := controltest.SocketPair(t)
		op, err := control.Run(c, &control.Invocation{Args: []string{"box", "true"}})
		if err != nil {
			t.Fatal(err)
		}
		r.serve(heldBack{s, came, read})
		go func() {
			exit, err := op.Wait(&controltest.Screen{})
			ended <- outcome{exit, err}
		}()
	}
	for range many {
		controltest.Get(t, came)
	}
	close(read)
	for range many {
		if got := controltest.Get(t, ended); got.exit.Code != 3 || got.err != nil {
			t.Fatalf("got %+v", got)
		}
	}
}

// overslept is a connection that its server comes to read when the time for its
// first words is over.
type overslept struct {
	*controltest.Socket
	once sync.Once
}

func (o *overslept) SetReadDeadline(at time.Time) error {
	o.once.Do(func() { at = time.Unix(1, 0) })
	return o.Socket.SetReadDeadline(at)
}

// A muxd that was stopped, or whose machine stood still, hears who spoke meanwhile,
// and waits no longer for who did not.
func TestHeardBehindTime(t *testing.T) {
	r := newRig(t, sessions(false, func(_ context.Context, s *controltest.Stream) { s.End(control.Exit{Code: 3}, nil) }))
	for _, speaks := range []bool{true, false} {
		c, s := controltest.SocketPair(t)
		if speaks {
			c.Write(control.Opening(&control.Invocation{Args: []string{"box", "true"}}))
		}
		r.serve(&overslept{Socket: s})
		if h, err := control.NewFrames(c).Hello(); speaks && (err != nil || h.Welcome != 0) || !speaks && err == nil {
			t.Errorf("speaks %v: %+v, %v", speaks, h, err)
		}
		c.Close()
	}
}

// Nor is a muxd silent that answered while its client was stopped.
func TestAnsweredBehindTime(t *testing.T) {
	r := newRig(t, sessions(false, func(_ context.Context, s *controltest.Stream) { s.End(control.Exit{Code: 3}, nil) }))
	c, s := controltest.SocketPair(t)
	o := &overslept{Socket: c}
	op, err := control.Run(o, &control.Invocation{Args: []string{"box", "true"}})
	if err != nil {
		t.Fatal(err)
	}
	r.serve(s)
	for !c.Unread() {
		time.Sleep(time.Millisecond)
	}
	if exit, err := op.Wait(&controltest.Screen{}); exit.Code != 3 || err != nil {
		t.Errorf("%+v, %v", exit, err)
	}
}

// Silence keeps out nobody who speaks: of too many silent connections the
// oldest go, and are told.
func TestSilentConnectionsKeepOutNobody(t *testing.T) {
	r := newRig(t, sessions(false, func(_ context.Context, s *controltest.Stream) { s.End(control.Exit{Code: 3}, nil) }))
	var silent []*controltest.Socket
	told := make(chan bool, 200)
	for range 200 {
		c, _ := r.dial()
		silent = append(silent, c)
		go func() {
			h, _ := control.NewFrames(c).Hello()
			told <- h.Welcome == control.TooBusy
		}()
	}
	for range 10 {
		_, ch := r.run(&controltest.Screen{})
		if got := controltest.Get(t, ch); got.exit.Code != 3 || got.err != nil {
			t.Fatalf("got %+v", got)
		}
	}
	out := 0
	for range 200 - control.MaxGreeting {
		if !controltest.Get(t, told) {
			t.Error("a silent connection ended without a word")
		}
		out++
	}
	for _, c := range silent {
		c.Close()
	}
	for range control.MaxGreeting {
		if controltest.Get(t, told) {
			out++
		}
	}
	if out > 210-control.MaxGreeting { // each one that spoke was there for a moment
		t.Errorf("%d of 200 were told that they are too many", out)
	}
}
