package control_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"muxd/control"
	"muxd/control/controltest"
)

// strangers are descriptors that are no connected Unix stream socket.
func strangers(t *testing.T) map[string]int {
	t.Helper()
	all := map[string]int{}
	add := func(name string, f *os.File, err error) {
		if err != nil {
			t.Fatal(name, err)
		}
		t.Cleanup(func() { f.Close() })
		all[name] = int(f.Fd())
	}
	f, err := os.Create(filepath.Join(t.TempDir(), "f"))
	add("a file", f, err)
	_, w, err := os.Pipe()
	add("a pipe", w, err)
	dgram, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_DGRAM, 0)
	add("a datagram socket", os.NewFile(uintptr(dgram[0]), ""), err)
	add("its other end", os.NewFile(uintptr(dgram[1]), ""), err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	tcp, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	f, err = tcp.(*net.TCPConn).File()
	add("a TCP connection", f, err)
	ul, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer ul.Close()
	f, err = ul.(*net.UnixListener).File()
	add("a listening socket", f, err)
	alone, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	add("a socket that is not connected", os.NewFile(uintptr(alone), ""), err)
	return all
}

// Every descriptor but the one that has a use is refused before anything is
// begun, and closed.
func TestDescriptorIsRefused(t *testing.T) {
	run := (&control.Invocation{}).Bytes()
	type opening struct {
		flags     control.Flag
		announced uint16
		request   []byte
		send      []int
		want      string
	}
	_, end := pair(t)
	good := int(end.Fd())
	tests := map[string]opening{
		"two are announced":      {control.FlagOne, 2, run, []int{good, good}, "2 descriptors"},
		"one announced, two":     {control.FlagOne, 1, run, []int{good, good}, "one descriptor was announced, and 2 came"},
		"one announced, none":    {control.FlagOne, 1, run, nil, "one descriptor was announced, and 0 came"},
		"with a status request":  {control.FlagOne, 1, []byte{2, 0}, []int{good}, "no use for it"},
		"with streams to follow": {control.FlagMany, 1, nil, []int{good}, "1 descriptors"},
	}
	for name, fd := range strangers(t) {
		tests[name] = opening{control.FlagOne, 1, run, []int{fd}, "no connected Unix stream socket"}
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			before := fds(t)
			b := directs(control.Plan{}, func(*controltest.Stream) {})
			b.OnResolve = func(context.Context, *control.Invocation, control.Prompter) (*control.Plan, error) {
				t.Error("something was begun")
				return nil, errors.ErrUnsupported
			}
			r := newRig(t, b)
			r.srv.CloseFD = func(fd int) { syscall.Close(fd) }
			c, done := r.dial()
			p := control.Preface{Version: control.Version, Flags: tt.flags, FDs: tt.announced, Length: uint32(len(tt.request))}
			if _, err := c.WriteFDs(append(p.Bytes(), tt.request...), tt.send...); err != nil {
				t.Fatal(err)
			}
			h, err := control.NewFrames(c).Hello()
			if h.Welcome != control.Malformed || !strings.Contains(h.Text, tt.want) {
				t.Errorf("%+v, %v", h, err)
			}
			controltest.Get(t, done)
			c.Close()
			settled(t, before)
		})
	}
}

// A descriptor and a plan that do not suit each other are one error, before
// anything is opened or forwarded; what opens nothing is as without one.
func TestDescriptorAndPlan(t *testing.T) {
	direct := &control.DirectRequest{}
	for _, tt := range []struct {
		name string
		with bool
		plan control.Plan
		want string // the error, or what is printed
	}{
		{"a session", true, control.Plan{Session: new(control.SessionRequest)}, "opens no connection of -W"},
		{"no session", true, control.Plan{Hold: new(control.HoldRequest)}, "opens no connection of -W"},
		{"forwards alone", true, control.Plan{Forward: new(control.ForwardRequest), Detach: true}, "opens no connection of -W"},
		{"FdPass of a session", true, control.Plan{Session: new(control.SessionRequest), FdPass: true}, "FdPass passes a connection of -W on"},
		{"FdPass without one", false, control.Plan{Direct: direct, FdPass: true}, "FdPass wants a socket as standard output"},
		{"a text", true, control.Plan{Text: []byte("text")}, "text"},
		{"-O", true, control.Plan{Manage: new(control.ManageRequest)}, "running"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := fds(t)
			b := &controltest.Backend{OnResolve: func(context.Context, *control.Invocation, control.Prompter) (*control.Plan, error) {
				p := tt.plan
				p.Host = "h"
				return &p, nil
			}, OnManage: func(context.Context, *control.ManageRequest) (*control.Managed, error) {
				return &control.Managed{Out: []byte("running")}, nil
			}}
			r := newRig(t, b)
			c, done := r.dial()
			var op *control.Op
			var err error
			if tt.with {
				ours, theirs := pair(t)
				defer ours.Close()
				op, err = control.RunOn(c, new(control.Invocation), int(theirs.Fd()))
				theirs.Close()
			} else {
				op, err = control.Run(c, new(control.Invocation))
			}
			if err != nil {
				t.Fatal(err)
			}
			var scr controltest.Screen
			o := controltest.Get(t, wait(op, &scr))
			got, _, _ := scr.Shown()
			if o.err != nil {
				if got = o.err.Error(); phase(o.err) != control.NotDialled {
					t.Errorf("phase %v", phase(o.err))
				}
			}
			if !strings.Contains(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			controltest.Get(t, done)
			if tt.with {
				before++ // ours
			}
			c.Close()
			settled(t, before)
		})
	}
}

// Stdin in frames is no business of an operation that has a socket for it.
func TestStdinBesideADescriptor(t *testing.T) {
	r := newRig(t, directs(control.Plan{}, func(s *controltest.Stream) { s.WaitEvent(context.Background(), "close") }))
	c, op, ch := r.runOn(&controltest.Screen{})
	op.Stdin(make([]byte, control.StdinRoom+1))
	if o := controltest.Get(t, ch); o.err == nil {
		t.Errorf("%+v", o)
	}
	c.Close()
	if w := r.log.warnings(); len(w) != 1 || !strings.Contains(w[0], "stdin") {
		t.Errorf("logged %q", w)
	}
}

// Forwards come before what is opened and are released after it, whatever
// becomes of that.
func TestForwardsBeforeAndAfter(t *testing.T) {
	for _, tt := range []struct {
		name   string
		plan   control.Plan
		fail   string // what fails
		events []string
		err    string
	}{
		{"a session", control.Plan{}, "", []string{"forward", "session", "release"}, ""},
		{"a session that does not open", control.Plan{}, "session", []string{"forward", "session", "release"}, "no session"},
		{"a forward that cannot be had", control.Plan{}, "forward", []string{"forward"}, "no forward"},
		{"nothing beside them", control.Plan{Detach: true}, "", []string{"forward", "release"}, ""},
		{"nothing beside them, and they cannot be had", control.Plan{Detach: true}, "forward", []string{"forward"}, "no forward"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var events []string // written by the operation's goroutine, and read after its end
			do := func(what string) error {
				events = append(events, what)
				if what == tt.fail {
					return &control.Error{Phase: control.Refused, Text: "no " + what}
				}
				return nil
			}
			want := &control.ForwardRequest{Sticky: true}
			b := &controltest.Backend{OnResolve: func(context.Context, *control.Invocation, control.Prompter) (*control.Plan, error) {
				p := tt.plan
				p.Forward, p.Session = want, new(control.SessionRequest)
				return &p, nil
			}, OnForward: func(_ context.Context, r *control.ForwardRequest, p control.Prompter) (func(), error) {
				if r != want || p == nil {
					t.Errorf("%+v, %v", r, p)
				}
				return func() { do("release") }, do("forward")
			}, OnSession: func(context.Context, *control.SessionRequest, control.Prompter) (control.Stream, error) {
				if err := do("session"); err != nil {
					return nil, err
				}
				s := controltest.NewStream(false)
				s.End(control.Exit{}, nil)
				return s, nil
			}}
			r := newRig(t, b)
			c, done := r.dial()
			op, err := control.Run(c, new(control.Invocation))
			if err != nil {
				t.Fatal(err)
			}
			o := controltest.Get(t, wait(op, &controltest.Screen{}))
			got := ""
			if o.err != nil {
				got = o.err.Error()
			}
			controltest.Get(t, done)
			if got != tt.err || !slices.Equal(events, tt.events) {
				t.Errorf("%q, %q", got, events)
			}
		})
	}
}

// What -O forward prints goes to stdout, and what it says to stderr.
func TestManagedOut(t *testing.T) {
	b := &controltest.Backend{OnResolve: func(context.Context, *control.Invocation, control.Prompter) (*control.Plan, error) {
		return &control.Plan{Manage: &control.ManageRequest{Command: "forward", Forward: new(control.ForwardRequest)}}, nil
	}, OnManage: func(_ context.Context, r *control.ManageRequest) (*control.Managed, error) {
		if r.Command != "forward" || r.Forward == nil {
			t.Errorf("%+v", r)
		}
		return &control.Managed{Out: []byte("34567\n"), Text: "said", Code: 3}, nil
	}}
	var scr controltest.Screen
	_, ch := newRig(t, b).run(&scr)
	o := controltest.Get(t, ch)
	if out, _, said := scr.Shown(); o.err != nil || o.exit.Code != 3 || out != "34567\n" || !slices.Equal(said, []string{"said"}) {
		t.Errorf("%+v, %q, %q", o, out, said)
	}
}
