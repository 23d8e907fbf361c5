package sshmux

import (
	"context"
	"errors"
	"reflect"
	"runtime"
	"sync"
	"testing"

	"muxd/control"
	"muxd/control/controltest"
)

// ep is where a forward listens or leads, in short.
func ep(host string, port int) control.Endpoint { return control.Endpoint{Host: host, Port: port} }

func TestForwardOf(t *testing.T) {
	path := func(p string) control.Endpoint { return control.Endpoint{Path: p} }
	db := endpoint{"db", 5432}
	for _, c := range []struct {
		name    string
		gateway bool
		kind    uint32
		listen  endpoint
		connect endpoint
		want    control.Forward // zero: invalid
	}{
		{"unspecified", false, 1, endpoint{"", 8080}, db, control.Forward{Kind: control.ForwardLocal, Listen: ep("localhost", 8080), Connect: ep("db", 5432)}},
		{"unspecified with GatewayPorts", true, 1, endpoint{"", 8080}, db, control.Forward{Kind: control.ForwardLocal, Listen: ep("*", 8080), Connect: ep("db", 5432)}},
		{"every address", false, 1, endpoint{"*", 8080}, db, control.Forward{Kind: control.ForwardLocal, Listen: ep("*", 8080), Connect: ep("db", 5432)}},
		{"localhost with GatewayPorts", true, 1, endpoint{"localhost", 8080}, db, control.Forward{Kind: control.ForwardLocal, Listen: ep("localhost", 8080), Connect: ep("db", 5432)}},
		{"an address", false, 1, endpoint{"::1", 65535}, db, control.Forward{Kind: control.ForwardLocal, Listen: ep("::1", 65535), Connect: ep("db", 5432)}},
		{"paths", true, 1, endpoint{"/a", pathPort}, endpoint{"/b", pathPort}, control.Forward{Kind: control.ForwardLocal, Listen: path("/a"), Connect: path("/b")}},
		{"port to path", false, 1, endpoint{"", 1}, endpoint{"/b", pathPort}, control.Forward{Kind: control.ForwardLocal, Listen: ep("localhost", 1), Connect: path("/b")}},
		{"dynamic", false, 3, endpoint{"", 1080}, endpoint{"socks", 0}, control.Forward{Kind: control.ForwardDynamic, Listen: ep("localhost", 1080)}},
		{"remote", true, 2, endpoint{"", 8080}, db, control.Forward{Kind: control.ForwardRemote, Listen: ep("localhost", 8080), Connect: ep("db", 5432)}},
		{"remote on every address", false, 2, endpoint{"*", 8080}, db, control.Forward{Kind: control.ForwardRemote, Listen: ep("*", 8080), Connect: ep("db", 5432)}},
		{"remote port 0", false, 2, endpoint{"", 0}, db, control.Forward{Kind: control.ForwardRemote, Listen: ep("localhost", 0), Connect: ep("db", 5432)}},
		{"remote path", false, 2, endpoint{"/r", pathPort}, db, control.Forward{Kind: control.ForwardRemote, Listen: path("/r"), Connect: ep("db", 5432)}},
		{"remote dynamic", false, 2, endpoint{"", 1080}, endpoint{"socks", 0}, control.Forward{Kind: control.ForwardRemoteDynamic, Listen: ep("localhost", 1080)}},
		{"remote dynamic, without a word", false, 2, endpoint{"", 0}, endpoint{"", 0}, control.Forward{Kind: control.ForwardRemoteDynamic, Listen: ep("localhost", 0)}},
		{"a host named socks", false, 2, endpoint{"", 1}, endpoint{"socks", 80}, control.Forward{Kind: control.ForwardRemote, Listen: ep("localhost", 1), Connect: ep("socks", 80)}},

		{name: "type 0", kind: 0, listen: endpoint{"", 1}, connect: db},
		{name: "type 4", kind: 4, listen: endpoint{"", 1}, connect: db},
		{name: "local port 0", kind: 1, listen: endpoint{"", 0}, connect: db},
		{name: "dynamic port 0", kind: 3, listen: endpoint{"", 0}, connect: endpoint{"socks", 0}},
		{name: "port too large", kind: 1, listen: endpoint{"", 65536}, connect: db},
		{name: "target's port too large", kind: 1, listen: endpoint{"", 1}, connect: endpoint{"db", 65536}},
		{name: "target's port just below a path's", kind: 2, listen: endpoint{"", 1}, connect: endpoint{"db", pathPort - 1}},
		{name: "no target", kind: 1, listen: endpoint{"", 1}, connect: endpoint{"", 80}},
		{name: "no target's port", kind: 1, listen: endpoint{"", 1}, connect: endpoint{"db", 0}},
		{name: "local to socks", kind: 1, listen: endpoint{"", 1}, connect: endpoint{"socks", 0}},
		{name: "no path", kind: 1, listen: endpoint{"", pathPort}, connect: db},
		{name: "no target's path", kind: 2, listen: endpoint{"", 1}, connect: endpoint{"", pathPort}},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := listen("/p", "h")
			q.Gateway = c.gateway
			cl := &client{d: newDoor(&Doors{}, q, nil)}
			got, err := cl.forwardOf(&request{forward: c.kind, listen: c.listen, connect: c.connect})
			if want := c.want; want.Kind == "" {
				if err != errForward {
					t.Errorf("%+v, %v", got, err)
				}
			} else if err != nil || got != want {
				t.Errorf("%+v, %v, want %+v", got, err, want)
			}
		})
	}
}

// forwards is a Backend that keeps what it is asked for.
type forwards struct {
	controltest.Backend
	asked    chan *control.ForwardRequest
	released chan control.Forward
	manage   chan *control.ManageRequest
	mu       sync.Mutex
	err      error            // guarded by mu; of Forward and Manage
	managed  *control.Managed // guarded by mu
}

func newForwards() *forwards {
	b := &forwards{asked: make(chan *control.ForwardRequest, 16), released: make(chan control.Forward, 16), manage: make(chan *control.ManageRequest, 16), managed: new(control.Managed)}
	b.OnForward = func(ctx context.Context, q *control.ForwardRequest, p control.Prompter) (func(), error) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.asked <- q
		if b.err != nil {
			return nil, b.err
		}
		f := q.Forwards[0]
		if f.Kind.Remote() && f.Listen.Path == "" && f.Listen.Port == 0 {
			q.Allocated(f, 40001)
		}
		return sync.OnceFunc(func() { b.released <- f }), nil
	}
	b.OnManage = func(ctx context.Context, q *control.ManageRequest) (*control.Managed, error) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.manage <- q
		return b.managed, b.err
	}
	return b
}

func (b *forwards) fail(err error, m *control.Managed) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.err, b.managed = err, m
}

func TestForward(t *testing.T) {
	b := newForwards()
	r := newRig(t, &b.Backend)
	options := control.ForwardOptions{Mask: 0o177, Unlink: true}
	r.serve(func(q *control.ListenRequest) { q.Forwards = options })
	c := r.greet()
	local := &request{kind: openForward, id: 1, forward: forwardLocal, listen: endpoint{"", 8080}, connect: endpoint{"db", 1}}
	c.ask(local)
	c.expect(ok, uint32(1))
	if q := controltest.Get(t, b.asked); !reflect.DeepEqual(q.Options, options) || q.Dest.String() != "h" || len(q.Forwards) != 1 || q.PID == 0 {
		t.Errorf("%+v", q)
	}
	c.ask(&request{kind: openForward, id: 2, forward: forwardRemote, listen: endpoint{"", 0}, connect: endpoint{"db", 1}})
	c.expect(remotePort, uint32(2), uint32(40001))
	controltest.Get(t, b.asked)
	c.ask(&request{kind: openForward, id: 3, forward: 9, listen: endpoint{"", 1}, connect: endpoint{"db", 1}})
	c.expect(failure, uint32(3), "invalid forwarding request")
	c.ask(&request{kind: closeForward, id: 3, forward: 9})
	c.expect(failure, uint32(3), "invalid forwarding request")
	b.fail(&control.Error{Host: "h", Text: "address in use"}, nil)
	local.id = 4
	c.ask(local)
	c.expect(failure, uint32(4), "h: address in use")
	c.Close()
	for range 2 { // what was had; what failed is none
		controltest.Get(t, b.released)
	}
}

// A cancel tells the truth.
func TestCancel(t *testing.T) {
	b := newForwards()
	r := newRig(t, &b.Backend)
	r.serve()
	c := r.greet()
	f := &request{kind: openForward, id: 1, forward: forwardLocal, listen: endpoint{"", 8080}, connect: endpoint{"db", 1}}
	c.ask(f)
	c.expect(ok, uint32(1))
	want := controltest.Get(t, b.asked).Forwards[0]
	f.kind = closeForward
	for i, e := range []struct {
		err  error
		m    *control.Managed
		says string
	}{{errors.New("no connection\r\n"), nil, "no connection"}, {nil, &control.Managed{Code: 255, Text: "h: no such forward"}, "port not forwarded"}} {
		b.fail(e.err, e.m)
		f.id = uint32(i + 2)
		c.ask(f)
		c.expect(failure, f.id, e.says)
		controltest.Get(t, b.manage)
	}
	b.fail(nil, new(control.Managed))
	f.id = 9
	c.ask(f)
	c.expect(ok, uint32(9))
	if q := controltest.Get(t, b.manage); q.Command != "cancel" || q.Forward.Forwards[0] != want {
		t.Errorf("%+v", q)
	}
	c.ask(&request{kind: aliveCheck, id: 10})
	c.expect(alive, uint32(10), uint32(1234))
	c.Close()
	eventually(t, "it is still served", func() bool { return r.doors.Clients() == 0 })
	if len(b.released) > 0 {
		t.Error("a forward that was cancelled is given up once more")
	}
}

// Whose a forward is: -O's stays, and must be had at once; a session's goes with
// it, and is tried for as long as the session.
func TestForwardStays(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux shows the command line of another process")
	}
	for _, c := range []struct {
		stays   bool
		insists bool
		args    []string
	}{
		{true, false, []string{"ssh", "-O", "forward", "-L", "8080:db:1", "h"}},
		{true, false, []string{"ssh", "-Oforward", "-L", "8080:db:1", "h"}},
		{true, false, []string{"/usr/bin/ssh", "-qO", "forward", "-L8080:db:1", "h"}},
		{true, false, []string{"ssh", "h", "-O", "forward", "-L8080:db:1"}},
		{true, false, []string{"some program", "--of", "its own"}}, // as a master of OpenSSH does
		{false, false, []string{"ssh", "-L", "8080:db:1", "h"}},
		{false, false, []string{"ssh", "-L", "8080:db:1", "h", "gcc", "-O2", "x.c"}},
		{false, false, []string{"ssh", "-L", "8080:db:1", "-o", "-O", "h", "true"}},
		{false, false, []string{"ssh", "-L", "8080:db:1", "-i", "-O", "h"}},
		{false, true, []string{"ssh", "-oexitOnForwardFailure=yes", "-L", "8080:db:1", "h"}},
		{false, true, []string{"ssh", "-o", "ExitOnForwardFailure True", "-L", "8080:db:1", "h"}},
		{false, false, []string{"ssh", "-o", "ExitOnForwardFailure no", "-oExitOnForwardFailure=yes", "-L", "8080:db:1", "h"}},
	} {
		b := newForwards()
		r := newRig(t, &b.Backend)
		r.serve()
		end := r.forwarder(c.args...)
		if q := controltest.Get(t, b.asked); q.Sticky != c.stays || q.Strict != (c.stays || c.insists) {
			t.Errorf("%q: sticky %v, strict %v", c.args, q.Sticky, q.Strict)
		}
		end()
		controltest.Get(t, b.released) // the client's own part
	}
}

// A stdio forward is asked for by host and port, or path.
func TestStdioForward(t *testing.T) {
	b, ch := sessions(false)
	r := newRig(t, b)
	r.serve()
	for _, e := range []struct {
		to   endpoint
		want control.DirectRequest
	}{
		{endpoint{"db", 5432}, control.DirectRequest{Host: "db", Port: 5432}},
		{endpoint{"/run/db", pathPort}, control.DirectRequest{Path: "/run/db"}},
	} {
		c, in := r.greet(), pipes(t)
		c.ask(&request{kind: newStdio, id: 6, connect: e.to}, in.fds[:2]...)
		in.drop(0, 1)
		o := controltest.Get(t, ch)
		c.expect(sessionOpened, uint32(6), uint32(sessionID))
		if q := o.direct; q.Host != e.want.Host || q.Port != e.want.Port || q.Path != e.want.Path || q.PID == 0 || q.Bytes == nil {
			t.Errorf("%+v", q)
		}
		in.in.Write([]byte("there"))
		reads(t, o.In, "there")
		o.Out.Write([]byte("back"))
		reads(t, in.out, "back")
		in.in.Close()
		o.did(t, "eof")
		o.End(control.Exit{}, nil)
		readsEnd(t, in.out, "")
		c.ends() // without a word
	}
	for _, to := range []endpoint{{"", 80}, {"db", 0}, {"db", 65536}, {"", pathPort}} {
		c, in := r.greet(), pipes(t)
		c.ask(&request{kind: newStdio, id: 6, connect: to}, in.fds[:2]...)
		in.drop(0, 1)
		c.expect(failure, uint32(6), "a stdio forward to nowhere")
		readsEnd(t, in.out, "")
		c.ends()
	}
}

// A stdio forward that is refused says why; one that is lost is not a good end;
// one whose client goes is closed.
func TestStdioForwardFails(t *testing.T) {
	b, ch := sessions(false)
	open := b.OnDirect
	b.OnDirect = func(ctx context.Context, q *control.DirectRequest, p control.Prompter) (control.Stream, error) {
		if q.Host == "no" {
			return nil, &control.Error{Phase: control.Refused, Host: "h", Text: "connection refused"}
		}
		return open(ctx, q, p)
	}
	r := newRig(t, b)
	r.serve()
	c, in := r.greet(), pipes(t)
	c.ask(&request{kind: newStdio, id: 6, connect: endpoint{"no", 1}}, in.fds[:2]...)
	c.expect(failure, uint32(6), "h: connection refused")
	c.ends()

	direct := func() (*caller, *opened) {
		c := r.greet()
		c.ask(&request{kind: newStdio, id: 6, connect: endpoint{"db", 1}}, in.fds[:2]...)
		o := controltest.Get(t, ch)
		c.expect(sessionOpened, uint32(6), uint32(sessionID))
		return c, o
	}
	c, o := direct()
	o.End(control.Exit{}, errLost)
	c.expect(failure, "muxd: "+errLost.Error())
	c.ends()

	c, o = direct()
	c.Close()
	o.did(t, "close")
	if got := o.Events(); len(got) != 1 {
		t.Errorf("it did %q", got)
	}
}
