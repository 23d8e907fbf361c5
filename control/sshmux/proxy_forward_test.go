package sshmux

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"muxd/control"
	"muxd/control/controltest"
)

// remote is a forward that the Backend was asked for: through it a test connects
// as the server's side does.
type remote struct{ q *control.ForwardRequest }

func (f remote) connects(t *testing.T) net.Conn {
	t.Helper()
	c, err := net.Dial("unix", f.q.Forwards[0].Connect.Path)
	must(t, err)
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return c
}

// forwarded carries bytes both ways over a connection that came, to its end.
func (p *proxied) forwarded(f remote, kind string, extra ...any) {
	p.t.Helper()
	conn := f.connects(p.t)
	p.channels++
	here := 100 + p.channels
	there := p.hearsOpen(kind, extra...)
	p.says(openConfirm, there, here, myWindow, myPacket)
	c := &chan_{p, here, there}
	conn.Write([]byte("in"))
	c.hears(channelData, here, "in")
	c.says(channelData, there, "out")
	reads(p.t, conn, "out")
	c.requests("what", true)
	c.hears(channelFailure, here)
	c.says(channelEOF, there)
	readsEnd(p.t, conn, "")
	conn.Write([]byte("more"))
	c.hears(channelData, here, "more")
	conn.Close()
	c.hears(channelEOF, here)
	c.closes()
}

func TestProxyRemoteForwards(t *testing.T) {
	f := newForwards()
	r := proxyRig(t, &f.Backend)
	p, other := r.proxied(), r.proxied()

	p.says(globalRequest, "tcpip-forward", true, "", 8080)
	p.hears(requestSuccess, []byte{0, 0, 0, 0})
	one := remote{controltest.Get(t, f.asked)}
	if q := one.q; !q.Strict || q.Sticky || q.PID == 0 || q.Dest.String() != "h" || q.Forwards[0].Kind != control.ForwardRemote || q.Forwards[0].Listen != ep("*", 8080) {
		t.Errorf("%+v", q)
	}
	p.says(globalRequest, "tcpip-forward", true, "localhost", 0)
	p.hears(requestSuccess, 40001, []byte{0, 0, 0, 0})
	two := remote{controltest.Get(t, f.asked)}
	p.says(globalRequest, "streamlocal-forward@openssh.com", true, "/run/there")
	p.hears(requestSuccess, []byte{0, 0, 0, 0})
	three := remote{controltest.Get(t, f.asked)}
	if l := three.q.Forwards[0].Listen; l != (control.Endpoint{Path: "/run/there"}) {
		t.Errorf("%+v", l)
	}
	other.says(globalRequest, "tcpip-forward", true, "localhost", 9090)
	other.hears(requestSuccess, []byte{0, 0, 0, 0})
	its := remote{controltest.Get(t, f.asked)}

	p.forwarded(one, "forwarded-tcpip", "", 8080, "127.0.0.1", 0)
	p.forwarded(two, "forwarded-tcpip", "localhost", 40001, "127.0.0.1", 0)
	p.forwarded(three, "forwarded-streamlocal@openssh.com", "/run/there", "")
	other.forwarded(its, "forwarded-tcpip", "localhost", 9090, "127.0.0.1", 0)

	// Again is once, and what is not there cannot be taken back.
	p.says(globalRequest, "tcpip-forward", true, "", 8080)
	p.hears(requestSuccess, []byte{0, 0, 0, 0})
	p.says(globalRequest, "streamlocal-forward@openssh.com", true, "/run/there")
	p.hears(requestSuccess, []byte{0, 0, 0, 0})
	if len(f.asked) > 0 {
		t.Error("what is there is asked for again")
	}
	p.says(globalRequest, "cancel-tcpip-forward", true, "localhost", 9090) // another's
	p.hears(requestFailure, []byte{0, 0, 0, 0})
	p.says(globalRequest, "cancel-streamlocal-forward@openssh.com", true, "/elsewhere")
	p.hears(requestFailure, []byte{0, 0, 0, 0})
	for _, c := range []struct {
		says []any
		f    remote
	}{{[]any{"cancel-tcpip-forward", true, "localhost", 40001}, two}, {[]any{"cancel-streamlocal-forward@openssh.com", true, "/run/there"}, three}} {
		p.says(globalRequest, c.says...)
		p.hears(requestSuccess, []byte{0, 0, 0, 0})
		if got := controltest.Get(t, f.released); got != c.f.q.Forwards[0] {
			t.Errorf("%+v is taken back", got)
		}
		p.says(globalRequest, c.says...)
		p.hears(requestFailure, []byte{0, 0, 0, 0})
	}
	// A client's forwards end with it, and with it alone.
	p.Close()
	if got := controltest.Get(t, f.released); got != one.q.Forwards[0] {
		t.Errorf("%+v is taken back", got)
	}
	other.forwarded(its, "forwarded-tcpip", "localhost", 9090, "127.0.0.1", 0)
	if len(f.released) > 0 {
		t.Error("another client's forward ended")
	}
	other.Close()
	controltest.Get(t, f.released)
	eventually(t, "sockets are left", func() bool { left, _ := filepath.Glob(filepath.Join(r.dir, "f*")); return len(left) == 0 })
}

func TestProxyForwardFails(t *testing.T) {
	f := newForwards()
	r := proxyRig(t, &f.Backend)
	p := r.proxied()
	f.fail(errors.New("taken"), nil)
	p.says(globalRequest, "tcpip-forward", true, "", 8080)
	p.hears(requestFailure, []byte{0, 0, 0, 0})
	controltest.Get(t, f.asked)
	p.says(globalRequest, "streamlocal-forward@openssh.com", true, "/run/there")
	p.hears(requestFailure, []byte{0, 0, 0, 0})
	controltest.Get(t, f.asked)
	p.says(globalRequest, "tcpip-forward", false, "", 8080) // no answer is wanted
	controltest.Get(t, f.asked)
	p.works()
	for _, says := range [][]any{{"tcpip-forward", true}, {"tcpip-forward", true, ""}, {"tcpip-forward", true, "", 65536}, {"tcpip-forward", true, "", 80, "more"},
		{"cancel-tcpip-forward", true, ""}, {"streamlocal-forward@openssh.com", true}, {"streamlocal-forward@openssh.com", true, ""}, {"cancel-streamlocal-forward@openssh.com", true}} {
		p.says(globalRequest, says...)
		p.hears(requestFailure, []byte{0, 0, 0, 0})
	}
	if len(f.asked) > 0 {
		t.Error("what is no forward was asked for")
	}
	if left, _ := os.ReadDir(r.dir); len(left) != 1 {
		t.Errorf("left are %v", left)
	}
}

// A server that does not say which port it chose leaves a forward that nobody
// could name.
func TestProxyForwardWithoutPort(t *testing.T) {
	f := newForwards()
	forward := f.OnForward
	f.OnForward = func(ctx context.Context, q *control.ForwardRequest, p control.Prompter) (func(), error) {
		q.Allocated = func(control.Forward, int) {}
		return forward(ctx, q, p)
	}
	p := proxyRig(t, &f.Backend).proxied()
	p.says(globalRequest, "tcpip-forward", true, "", 0)
	p.hears(requestFailure, []byte{0, 0, 0, 0})
	controltest.Get(t, f.released)
}

// While a forward waits for its connection the client's other packets are dealt
// with, and its end ends the wait.
func TestProxyForwardWaits(t *testing.T) {
	b, ch := sessions(false)
	waits := make(chan struct{}, 1)
	b.OnForward = func(ctx context.Context, _ *control.ForwardRequest, _ control.Prompter) (func(), error) {
		waits <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	}
	r := proxyRig(t, b)
	p := r.proxied()
	p.says(globalRequest, "tcpip-forward", true, "", 8080)
	controltest.Get(t, waits)
	s, o := p.exec(ch)
	o.End(control.Exit{Code: 3}, nil)
	s.exits(3)
	p.Close()
	r.left(0)
}

// A client may refuse a connection, or be done with it first, or never answer.
func TestProxyForwardedIsRefused(t *testing.T) {
	f := newForwards()
	r := proxyRig(t, &f.Backend)
	p := r.proxied()
	p.says(globalRequest, "tcpip-forward", true, "", 8080)
	p.hears(requestSuccess, []byte{0, 0, 0, 0})
	at := remote{controltest.Get(t, f.asked)}
	open := func() (net.Conn, uint32) {
		c := at.connects(t)
		return c, p.hearsOpen("forwarded-tcpip", "", 8080, "127.0.0.1", 0)
	}
	c, there := open()
	p.says(openFailure, there, 2, "no", "")
	readsEnd(t, c, "")

	c, there = open()
	p.says(openConfirm, there, 200, myWindow, myPacket)
	p.says(channelClose, there)
	p.hears(channelClose, 200)
	readsEnd(t, c, "")

	c, _ = open() // which is not answered
	p.works()
	p.Close()
	readsEnd(t, c, "")
}

// Connections and forwards of one client have an end.
func TestProxyHasAnEnd(t *testing.T) {
	listeners, channels := maxListeners, maxChannels
	maxListeners, maxChannels = 3, 3
	t.Cleanup(func() { maxListeners, maxChannels = listeners, channels })
	f := newForwards()
	b, ch := sessions(false)
	b.OnForward = f.OnForward
	r := proxyRig(t, b)
	p := r.proxied()
	for port := range 4 {
		p.says(globalRequest, "tcpip-forward", true, "", 8080+port)
		if port < 3 {
			p.hears(requestSuccess, []byte{0, 0, 0, 0})
		} else {
			p.hears(requestFailure, []byte{0, 0, 0, 0})
		}
	}
	at := remote{controltest.Get(t, f.asked)}
	s, o := p.exec(ch)
	p.exec(ch)
	p.session()
	p.hears(openFailure, p.asks("session"), 4, "muxd: a client in proxy mode has 3 channels at most; without -O proxy there is no such limit", "en")
	p.hears(openFailure, p.asks("direct-tcpip", "db", 1, "", 0), 4, "muxd: a client in proxy mode has 3 channels at most; without -O proxy there is no such limit", "en")
	readsEnd(t, at.connects(t), "") // no channel for it
	r.proxied().exec(ch)            // another client's are its own
	o.End(control.Exit{}, nil)
	s.exits(0)
	eventually(t, "no room is made", func() bool {
		here := p.asks("session")
		got, err := p.receive()
		must(t, err)
		return got[1] == openConfirm && here > 0
	})
}
