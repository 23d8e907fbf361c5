package sshmux

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"muxd/control"
	"muxd/control/controltest"
)

func TestProxySession(t *testing.T) {
	b, ch := sessions(false)
	r := proxyRig(t, b)
	p := r.proxied()
	for _, c := range []struct {
		says    []any
		kind    control.SessionKind
		command string
	}{{[]any{"exec", "cmd 'a b'"}, control.Exec, "cmd 'a b'"}, {[]any{"shell"}, control.Shell, ""}, {[]any{"subsystem", "sftp"}, control.Subsystem, "sftp"}} {
		s := p.session()
		s.requests("env", false, "LANG", "C")
		s.requests("env", true, "A", "b=c")
		s.hears(channelSuccess, s.here)
		s.requests(c.says[0].(string), true, c.says[1:]...)
		o := controltest.Get(t, ch)
		s.hears(channelSuccess, s.here)
		if o.q.Kind != c.kind || o.q.Command != c.command || !reflect.DeepEqual(o.q.Env, []string{"LANG=C", "A=b=c"}) ||
			o.q.TTY != nil || o.q.Agent != "" || o.q.X11 != nil || o.q.Dest.String() != "h" || o.q.PID == 0 {
			t.Errorf("%v: %+v", c.says, o.q)
		}
		s.says(channelData, s.there, "in")
		reads(t, o.In, "in")
		o.Out.Write([]byte("out"))
		s.hears(channelData, s.here, "out")
		o.Err.Write([]byte("err"))
		s.hears(extendedData, s.here, 1, "err")
		s.says(channelEOF, s.there)
		readsEnd(t, o.In, "")
		o.did(t, "eof")
		o.End(control.Exit{Code: 44}, nil)
		s.exits(44)
		o.did(t, "close")
	}
	p.works()
}

func TestProxyExits(t *testing.T) {
	b, ch := sessions(false)
	r := proxyRig(t, b)
	p := r.proxied()
	for _, code := range []uint32{0, 1, 255, 1<<32 - 1} {
		s, o := p.exec(ch)
		o.End(control.Exit{Code: code}, nil)
		s.exits(int(code))
	}
	s, o := p.exec(ch)
	o.End(control.Exit{Signal: "KILL", Core: true, Message: "killed"}, nil)
	s.hears(channelRequest, s.here, "exit-signal", false, "KILL", true, "killed", "")
	s.hears(channelEOF, s.here)
	s.closes()

	s, o = p.exec(ch)
	o.End(control.Exit{}, &control.Error{Phase: control.Running, Text: "connection lost\x1b[2J"})
	s.hears(extendedData, s.here, 1, "muxd: connection lost?[2J\r\n")
	s.hears(channelEOF, s.here)
	s.closes()
	p.works()
}

// Output is whole before the end is told, whoever is slow.
func TestProxyOutputBeforeExit(t *testing.T) {
	b, ch := sessions(false)
	p := proxyRig(t, b).proxied()
	s, o := p.exec(ch)
	sent := make(chan struct{})
	text := strings.Repeat("x", 2*myWindow)
	go func() {
		defer close(sent)
		o.Out.Write([]byte(text))
		o.End(control.Exit{Code: 7}, nil)
	}()
	for window, left := myWindow, len(text); left > 0; {
		if window == 0 {
			s.works() // and nothing came beyond the window
			s.says(windowAdjust, s.there, myWindow/2)
			window = myWindow / 2
		}
		got, err := p.receive()
		if err != nil || got[1] != channelData || len(got) > 10+myPacket {
			t.Fatalf("%d bytes, %v, %d left", len(got), err, left)
		}
		window, left = window-(len(got)-10), left-(len(got)-10)
	}
	controltest.Get(t, sent)
	s.exits(7)
}

func TestProxyTerminal(t *testing.T) {
	b, ch := sessions(true)
	p := proxyRig(t, b).proxied()
	s := p.session()
	s.requests("pty-req", true, "xterm", 80, 24, 640, 480, "\x35\x00\x00\x00\x00\x00")
	s.hears(channelSuccess, s.here)
	s.requests("shell", true)
	o := controltest.Get(t, ch)
	s.hears(channelSuccess, s.here)
	want := &control.TTY{Term: "xterm", Size: control.Window{Cols: 80, Rows: 24, Width: 640, Height: 480}, Modes: []byte{0x35, 0, 0, 0, 0, 0}}
	if !reflect.DeepEqual(o.q.TTY, want) {
		t.Errorf("%+v", o.q.TTY)
	}
	s.requests("window-change", false, 100, 30, 0, 0)
	o.did(t, "resize 100x30")
	s.requests("signal", false, "INT")
	o.did(t, "signal INT")
	s.requests("break", true, 500)
	s.hears(channelSuccess, s.here)
	o.did(t, "signal break")
	s.requests("eow@openssh.com", false)
	o.did(t, "closeread")
	if got := o.Events(); len(got) != 4 {
		t.Errorf("it did %q", got)
	}
}

// What is said of a session that waits for its connection holds once it is open.
func TestProxyWhileOpening(t *testing.T) {
	b, ch := sessions(true)
	open := b.OnSession
	asked, go_ := make(chan struct{}), make(chan struct{})
	b.OnSession = func(ctx context.Context, q *control.SessionRequest, p control.Prompter) (control.Stream, error) {
		close(asked)
		<-go_
		return open(ctx, q, p)
	}
	p := proxyRig(t, b).proxied()
	s := p.session()
	s.requests("pty-req", false, "xterm", 80, 24, 0, 0, "")
	s.requests("shell", true)
	controltest.Get(t, asked)
	s.requests("window-change", false, 90, 25, 0, 0)
	s.requests("window-change", false, 100, 30, 0, 0)
	s.requests("eow@openssh.com", false)
	s.works()
	close(go_)
	o := controltest.Get(t, ch)
	s.hears(channelSuccess, s.here)
	o.did(t, "closeread")
	if got := o.Events(); !reflect.DeepEqual(got, []string{"resize 100x30", "closeread"}) {
		t.Errorf("it did %q", got)
	}
}

func TestProxyRefused(t *testing.T) {
	b := &controltest.Backend{
		OnSession: func(ctx context.Context, _ *control.SessionRequest, p control.Prompter) (control.Stream, error) {
			_, err := p.Prompt(ctx, control.Prompt{})
			return nil, errors.Join(&control.Error{Phase: control.Refused, Text: "no login"}, err)
		},
		OnDirect: func(ctx context.Context, _ *control.DirectRequest, p control.Prompter) (control.Stream, error) {
			return nil, &control.Error{Phase: control.Refused, Text: "no way\x07"}
		},
	}
	p := proxyRig(t, b).proxied()
	s := p.session()
	s.requests("exec", true, "cmd")
	got, err := p.receive()
	if err != nil || got[1] != extendedData || !strings.Contains(string(got), "no login") || !strings.Contains(string(got), "muxc h asks you") {
		t.Errorf("%q, %v", got, err)
	}
	s.hears(channelFailure, s.here)
	s.closes()
	here := p.asks("direct-tcpip", "db", 5432, "127.0.0.1", 65535)
	p.hears(openFailure, here, 2, "no way?", "en")
	for _, to := range [][]any{{"", 1, "", 0}, {"db", 0, "", 0}, {"db", 65536, "", 0}, {"db", 1}, {"db"}} {
		p.hears(openFailure, p.asks("direct-tcpip", to...), 2, "to nowhere", "en")
	}
	for _, to := range [][]any{{"", "", 0}, {"/s"}, {}} {
		p.hears(openFailure, p.asks("direct-streamlocal@openssh.com", to...), 2, "to nowhere", "en")
	}
	for _, kind := range []string{"x11", "auth-agent@openssh.com", "forwarded-tcpip", "tun@openssh.com", ""} {
		p.hears(openFailure, p.asks(kind), 3, "unknown channel type", "en")
	}
	p.works()
}

func TestProxyDirect(t *testing.T) {
	b, ch := sessions(false)
	p := proxyRig(t, b).proxied()
	for _, c := range []struct {
		kind string
		says []any
		want control.DirectRequest
	}{{"direct-tcpip", []any{"db", 5432, "127.0.0.1", 40000}, control.DirectRequest{Host: "db", Port: 5432}},
		{"direct-streamlocal@openssh.com", []any{"/run/s", "", 0}, control.DirectRequest{Path: "/run/s"}}} {
		here := p.asks(c.kind, c.says...)
		o := controltest.Get(t, ch)
		s := p.confirmed(here)
		if q := o.direct; q.Host != c.want.Host || q.Port != c.want.Port || q.Path != c.want.Path || q.Dest.String() != "h" || q.PID == 0 {
			t.Errorf("%+v", q)
		}
		s.says(channelData, s.there, "to")
		reads(t, o.In, "to")
		o.Out.Write([]byte("fro"))
		s.hears(channelData, s.here, "fro")
		s.requests("keepalive@openssh.com", true)
		s.hears(channelFailure, s.here)
		s.says(channelEOF, s.there)
		o.did(t, "eof")
		o.Out.Write([]byte("more")) // half of an end is none
		s.hears(channelData, s.here, "more")
		o.End(control.Exit{}, nil)
		s.hears(channelEOF, s.here)
		s.closes()
		o.did(t, "close")
	}
	p.works()
}

// Once the other side of a connection is gone its channel ends, whether or not
// the client is done sending; and one that was lost does not end well.
func TestProxyDirectEnds(t *testing.T) {
	b, ch := sessions(false)
	p := proxyRig(t, b).proxied()
	here := p.asks("direct-tcpip", "db", 1, "", 0)
	o := controltest.Get(t, ch)
	s := p.confirmed(here)
	o.End(control.Exit{}, nil)
	s.hears(channelEOF, s.here)
	s.closes()

	here = p.asks("direct-tcpip", "db", 1, "", 0)
	o = controltest.Get(t, ch)
	s = p.confirmed(here)
	o.Out.CloseWithError(errors.New("connection lost"))
	o.End(control.Exit{}, errors.New("connection lost"))
	s.closes() // without an EOF
	p.works()
}

// Sessions of one client are as many as it likes, and apart.
func TestProxyTwoSessions(t *testing.T) {
	b, ch := sessions(false)
	p := proxyRig(t, b).proxied()
	one, first := p.exec(ch)
	two, second := p.exec(ch)
	one.says(channelData, one.there, strings.Repeat("x", 1000)) // which nobody reads
	second.Out.Write([]byte("2"))
	two.hears(channelData, two.here, "2")
	first.Out.Write([]byte("1"))
	one.hears(channelData, one.here, "1")
	first.End(control.Exit{Code: 1}, nil)
	one.exits(1)
	two.says(channelData, two.there, "in")
	reads(t, second.In, "in")
	second.End(control.Exit{Code: 2}, nil)
	two.exits(2)
	p.works()
}

// A client that closes its channel abandons the session.
func TestProxyCloses(t *testing.T) {
	b, ch := sessions(false)
	p := proxyRig(t, b).proxied()
	s, o := p.exec(ch)
	s.says(channelClose, s.there)
	s.hears(channelClose, s.here)
	o.did(t, "close")
	here := p.asks("direct-tcpip", "db", 1, "", 0)
	o = controltest.Get(t, ch)
	s = p.confirmed(here)
	s.says(channelClose, s.there)
	s.hears(channelClose, s.here)
	o.did(t, "close")
	p.works()
}

// Agent and display are those of the client's own environment.
func TestProxyLends(t *testing.T) {
	q := listen("/p", "h")
	q.X11.Trusted = true
	for _, c := range []struct {
		env            []string
		agent, display string
	}{{[]string{"SSH_AUTH_SOCK=/agent", "DISPLAY=:7"}, "/agent", ":7"}, {[]string{}, "", ""}} {
		r := &relay{c: &client{d: newDoor(&Doors{}, q, nil), peer: peer{pid: 77, env: func() []string { return c.env }}}}
		s := &channelSession{r: r, q: &control.SessionRequest{}}
		for _, name := range []string{"auth-agent-req@openssh.com", "x11-req"} {
			if ok := s.prepare(&ssh.Request{Type: name}); ok != (c.agent != "") {
				t.Errorf("%q: %s is answered with %v", c.env, name, ok)
			}
		}
		if x := s.q.X11; s.q.Agent != c.agent || (x != nil) != (c.display != "") || x != nil && (x.Display != c.display || !x.Trusted) {
			t.Errorf("%q: %+v, %+v", c.env, s.q, x)
		}
	}
}
