package sshmux

import (
	"context"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"muxd/control"
	"muxd/control/controltest"
)

// raw is a packet of these bytes, whatever they are.
func raw(s string) []byte { return []byte(frame(s)) }

// What cannot be understood has its client cut, and nobody else notices. A
// packet that has no type must not reach the library, which would panic.
func TestProxyCut(t *testing.T) {
	data := strings.Repeat("x", theirPacket)
	for _, c := range []struct {
		name string
		says func(s *chan_) []byte
	}{
		{"a length of 0", func(*chan_) []byte { return raw("") }},
		{"no type", func(*chan_) []byte { return raw("\x00") }},
		{"padding", func(*chan_) []byte { return raw("\x04\x50\x00\x00\x00\x00") }},
		{"longer than any", func(*chan_) []byte { return raw("\x00\x5e" + strings.Repeat("x", maxPacket)) }},
		{"the longest length", func(*chan_) []byte { return []byte("\xff\xff\xff\xff\x00\x5e") }},
		{"a type alone", func(*chan_) []byte { return raw("\x00\x5e") }},
		{"an opening cut short", func(*chan_) []byte { return packet(channelOpen, "session", 1) }},
		{"a name cut short", func(*chan_) []byte { return packet(channelOpen, 100, []byte("session")) }},
		{"a global request cut short", func(*chan_) []byte { return packet(globalRequest, 100, []byte("tcp")) }},
		{"a request cut short", func(s *chan_) []byte { return packet(channelRequest, s.there, 100, []byte("exec")) }},
		{"data cut short", func(s *chan_) []byte { return packet(channelData, s.there, 100, []byte("x")) }},
		{"data with more behind", func(s *chan_) []byte { return packet(channelData, s.there, "x", []byte("y")) }},
		{"data without a length", func(s *chan_) []byte { return packet(channelData, s.there) }},
		{"extended data cut short", func(s *chan_) []byte { return packet(extendedData, s.there, 1) }},
		{"a window cut short", func(s *chan_) []byte { return packet(windowAdjust, s.there) }},
		{"a window of more than there can be", func(s *chan_) []byte {
			return append(packet(windowAdjust, s.there, 1<<32-1), packet(windowAdjust, s.there, 1<<32-1)...)
		}},
		{"a packet longer than the channel's", func(s *chan_) []byte { return packet(channelData, s.there, data+"x") }},
		{"more than the window", func(s *chan_) []byte {
			b := []byte{}
			for range theirWindow/theirPacket + 8 { // some may be read and credited
				b = append(b, packet(channelData, s.there, data)...)
			}
			return b
		}},
		{"data on a channel that is none", func(s *chan_) []byte { return packet(channelData, s.there+7, "x") }},
		{"data after close", func(s *chan_) []byte {
			return append(packet(channelClose, s.there), packet(channelData, s.there, "x")...)
		}},
		{"close twice", func(s *chan_) []byte {
			return append(packet(channelClose, s.there), packet(channelClose, s.there)...)
		}},
		{"a confirmation of what was not asked for", func(s *chan_) []byte { return packet(openConfirm, s.there, 1, 1, 100) }},
		{"a failure of what was not asked for", func(s *chan_) []byte { return packet(openFailure, s.there, 1, "", "") }},
		{"an unknown message of a channel", func(s *chan_) []byte { return packet(127, s.there) }},
		{"a ping cut short", func(*chan_) []byte { return packet(ping, 9) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, ch := sessions(false)
			r := proxyRig(t, b)
			other := r.undisturbed(ch)
			p := r.proxied()
			s, o := p.exec(ch)
			go drain(p)
			p.Write(c.says(s)) // may be cut in the middle
			r.left(1)
			o.did(t, "close")
			other.works()
		})
	}
}

// What is only not known, or not now, is answered or passed over, and the client
// lives.
func TestProxyPassedOver(t *testing.T) {
	b, ch := sessions(false)
	r := proxyRig(t, b)
	p := r.proxied()
	// What is about the transport: there is none. A kex here would be of nobody's.
	for _, kind := range []byte{1, 2, 3, 4, 5, 6, 7, 20, 21, 30, 31, 50, 52, 63, 79, 128, 191, 193, 255} {
		p.says(kind)
		p.says(kind, strings.Repeat("x", 1000))
		p.says(kind, s("text"), 0)
	}
	p.works()
	p.says(ping, "text")
	p.hears(193, "text")
	for _, name := range []string{"keepalive@openssh.com", "no-more-sessions@openssh.com", "hostkeys-prove-00@openssh.com", "what", ""} {
		p.says(globalRequest, name, true, 1, "more")
		p.hears(requestFailure, []byte{0, 0, 0, 0})
		p.says(globalRequest, name, false)
	}
	for _, kind := range []byte{requestSuccess, requestFailure} { // nothing was asked
		p.says(kind)
		p.says(kind, strings.Repeat("x", 1000))
	}
	p.says(channelOpen, "session", 1, 0, 8) // no packet is as short
	p.hears(openFailure, 1, 2, "invalid request", "en_US.UTF-8")
	p.says(channelRequest, 77, "exec", true, "cmd") // on a channel that is none
	p.hears(channelFailure, 77)

	s, o := p.exec(ch)
	go io.Copy(io.Discard, o.In)
	for _, kind := range []byte{channelSuccess, channelFailure} { // nor of a channel
		p.says(kind, s.there)
	}
	p.says(extendedData, s.there, 1, "stderr has but one direction")
	p.says(extendedData, s.there, 2, "and no more kinds")
	p.says(channelData, s.there, "")
	for _, name := range []string{"exec", "shell", "subsystem", "env", "pty-req", "x11-req", "auth-agent-req@openssh.com", "what", "signal", "window-change", "exit-status"} {
		s.requests(name, true, "?") // another start, or too late, or cut short
		want := byte(channelFailure)
		if name == "signal" {
			want = channelSuccess
		}
		s.hears(want, s.here)
	}
	p.says(channelEOF, s.there)
	p.says(channelEOF, s.there) // twice
	p.says(channelData, s.there, "after the end")
	o.did(t, "eof")
	o.End(control.Exit{Code: 3}, nil)
	s.exits(3)
	if got := o.Events(); !slices.Equal(got, []string{"signal ?", "eof", "close"}) {
		t.Errorf("it did %q", got)
	}
	p.works()
}

// What is not whole before the start of a session is refused, and what comes
// after it starts all the same.
func TestProxyWrongRequests(t *testing.T) {
	b, ch := sessions(false)
	p := proxyRig(t, b).proxied()
	s := p.session()
	for _, says := range [][]any{{"exec"}, {"exec", 9}, {"subsystem"}, {"exec", "cmd", "more"}, {"env"}, {"env", "A"}, {"env", "A=B", "c"}, {"env", "A\x00", "c"},
		{"pty-req", "xterm", 80}, {"pty-req"}, {"break", 1}, {"window-change", 80}, {"signal"}} {
		s.requests(says[0].(string), true, says[1:]...)
		s.hears(channelFailure, s.here)
	}
	s.requests("exec", true, "cmd")
	o := controltest.Get(t, ch)
	s.hears(channelSuccess, s.here)
	if o.q.Command != "cmd" || len(o.q.Env) > 0 || o.q.TTY != nil {
		t.Errorf("%+v", o.q)
	}
}

// A client is not to fill muxd's memory by variables of one session.
func TestProxyEnvironmentHasAnEnd(t *testing.T) {
	b, ch := sessions(false)
	p := proxyRig(t, b).proxied()
	s := p.session()
	refused, big := 0, strings.Repeat("x", 100<<10)
	for range 20 {
		s.requests("env", true, "A", big)
		got, err := p.receive()
		must(t, err)
		if got[1] == channelFailure {
			refused++
		}
	}
	s.requests("exec", true, "cmd")
	o := controltest.Get(t, ch)
	if refused != 10 || len(o.q.Env) != 10 {
		t.Errorf("%d are refused, %d are there", refused, len(o.q.Env))
	}
}

// Global requests are answered in turn; a client that asks for ever more while
// one waits is cut.
func TestProxyAsksWithoutEnd(t *testing.T) {
	b, ch := sessions(false)
	waits := make(chan struct{}, 1)
	b.OnForward = func(ctx context.Context, _ *control.ForwardRequest, _ control.Prompter) (func(), error) {
		waits <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	}
	r := proxyRig(t, b)
	other, p := r.undisturbed(ch), r.proxied()
	p.says(globalRequest, "tcpip-forward", true, "", 8080)
	controltest.Get(t, waits)
	for range 2 * globals {
		if _, err := p.Write(packet(globalRequest, "keepalive@openssh.com", true)); err != nil {
			break
		}
	}
	p.ends()
	r.left(1)
	other.works()
}

// A client that does not read is waited for, alone, and ends when it goes.
func TestProxyDoesNotRead(t *testing.T) {
	for _, c := range []struct {
		name string
		says func(p *proxied, s *chan_, o *opened) // until the socket is full
	}{
		{"answers", func(p *proxied, _ *chan_, _ *opened) {
			for {
				if _, err := p.Write(packet(globalRequest, "keepalive@openssh.com", true)); err != nil {
					return
				}
			}
		}},
		{"answers of a channel", func(p *proxied, s *chan_, _ *opened) {
			for {
				if _, err := p.Write(packet(channelRequest, s.there, "what", true)); err != nil {
					return
				}
			}
		}},
		{"refusals", func(p *proxied, _ *chan_, _ *opened) {
			for {
				if _, err := p.Write(packet(channelOpen, "what", 1, 1, 100)); err != nil {
					return
				}
			}
		}},
		{"pongs", func(p *proxied, _ *chan_, _ *opened) {
			for {
				if _, err := p.Write(packet(ping, strings.Repeat("x", 1000))); err != nil {
					return
				}
			}
		}},
		{"output", func(p *proxied, s *chan_, o *opened) {
			p.Write(packet(windowAdjust, s.there, 1<<30))
			for {
				if _, err := o.Out.Write(make([]byte, 32<<10)); err != nil {
					return
				}
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, ch := sessions(false)
			r := proxyRig(t, b)
			other, p := r.undisturbed(ch), r.proxied()
			s, o := p.exec(ch)
			done := make(chan struct{})
			go func() { defer close(done); c.says(p, s, o) }()
			before := heap()
			time.Sleep(300 * time.Millisecond)
			for range 20 {
				other.works()
			}
			if grown := int64(heap()) - int64(before); grown > 64<<20 {
				t.Errorf("it costs %d MiB", grown>>20)
			}
			p.Close()
			r.left(1)
			o.did(t, "close")
			controltest.Get(t, done)
			other.works()
		})
	}
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// A client may die at any point.
func TestProxyDies(t *testing.T) {
	f := newForwards()
	b, ch := sessions(false)
	waits := make(chan struct{}, 1)
	open, direct := b.OnSession, b.OnDirect
	b.OnForward = f.OnForward
	b.OnSession = func(ctx context.Context, q *control.SessionRequest, p control.Prompter) (control.Stream, error) {
		if q.Command != "wait" {
			return open(ctx, q, p)
		}
		waits <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	}
	b.OnDirect = func(ctx context.Context, q *control.DirectRequest, p control.Prompter) (control.Stream, error) {
		if q.Host != "wait" {
			return direct(ctx, q, p)
		}
		waits <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	}
	r := proxyRig(t, b)
	other := r.undisturbed(ch)
	for name, does := range map[string]func(p *proxied){
		"at once":             func(p *proxied) {},
		"in a packet":         func(p *proxied) { p.write(packet(channelOpen, "session", 1, 1, 100)[:9]) },
		"in a length":         func(p *proxied) { p.write([]byte{0, 0}) },
		"a channel asked for": func(p *proxied) { p.asks("session") },
		"a channel":           func(p *proxied) { p.session() },
		"a session asked for": func(p *proxied) { p.session().requests("exec", true, "wait"); controltest.Get(t, waits) },
		"a connection asked for": func(p *proxied) {
			p.asks("direct-tcpip", "wait", 1, "", 0)
			controltest.Get(t, waits)
		},
		"a session": func(p *proxied) { p.exec(ch) },
		"a session that sends": func(p *proxied) {
			_, o := p.exec(ch)
			go func() {
				for {
					if _, err := o.Out.Write(make([]byte, 1<<10)); err != nil {
						return
					}
				}
			}()
		},
		"a session that is sent to": func(p *proxied) {
			s, _ := p.exec(ch)
			p.write(slices.Repeat(packet(channelData, s.there, "x"), 1000))
		},
		"an end that is not agreed to": func(p *proxied) {
			s, o := p.exec(ch)
			o.End(control.Exit{}, nil)
			s.hears(channelRequest, s.here, "exit-status", false, 0)
			s.hears(channelEOF, s.here)
			s.hears(channelClose, s.here)
		},
		"a connection": func(p *proxied) { p.asks("direct-tcpip", "db", 1, "", 0); controltest.Get(t, ch) },
		"a forward": func(p *proxied) {
			p.says(globalRequest, "tcpip-forward", true, "", 8080)
			c := remote{controltest.Get(t, f.asked)}.connects(t)
			p.hears(requestSuccess, []byte{0, 0, 0, 0})
			p.hearsOpen("forwarded-tcpip", "", 8080, "127.0.0.1", 0)
			c.Write([]byte("x"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := r.proxied()
			does(p)
			p.Close()
			r.left(1)
			other.works()
		})
	}
}

// muxd may end at any point, too, and a channel whose end the client never
// agrees to is no reason to wait.
func TestProxyAtTheEndOfMuxd(t *testing.T) {
	b, ch := sessions(false)
	r := proxyRig(t, b)
	p := r.proxied()
	s, o := p.exec(ch)
	p.exec(ch)
	p.session()
	o.End(control.Exit{}, nil)
	s.hears(channelRequest, s.here, "exit-status", false, 0)
	r.doors.Close()
	p.SetReadDeadline(time.Now().Add(patience))
	drain(p)
}

// Proxy mode is a client's only use of its socket.
func TestProxyBesideASession(t *testing.T) {
	b, ch := sessions(false)
	r := proxyRig(t, b)
	c, in := r.greet(), pipes(t)
	o := c.exec(ch, in)
	c.ask(&request{kind: proxy, id: 2})
	c.ends()
	o.did(t, "close")
}

// What the client sends along with its request is the proxy's first packet.
func TestProxyAtOnce(t *testing.T) {
	r := proxyRig(t, nil)
	c := r.greet()
	first := packet(globalRequest, "keepalive@openssh.com", true)
	c.write(append((&request{kind: proxy, id: 6}).append(nil), first...))
	c.expect(proxyGranted, uint32(6))
	p := &proxied{caller: c}
	p.hears(requestFailure, []byte{0, 0, 0, 0})
	for _, x := range slices.Concat(first, packet(2), first) { // a byte at a time
		p.write([]byte{x})
	}
	p.hears(requestFailure, []byte{0, 0, 0, 0})
	p.hears(requestFailure, []byte{0, 0, 0, 0})
}

// FuzzProxy has clients say anything. None may end muxd.
func FuzzProxy(f *testing.F) {
	f.Add([]byte("\x50" + s("keepalive@openssh.com") + "\x01"))
	f.Add(packet(channelOpen, "session", 1, 1, 100)[5:])
	f.Add(packet(channelRequest, 0, "exec", true, "cmd")[5:])
	f.Add(packet(channelData, 0, "x")[5:])
	f.Add([]byte{})
	b, ch := sessions(false)
	go func() {
		for o := range ch {
			go o.Close()
		}
	}()
	doors := NewDoors(b, quiet{}, 1, f.TempDir())
	f.Cleanup(doors.Close)
	f.Fuzz(func(t *testing.T, said []byte) {
		r := &rig{t: t, doors: doors, dir: doors.Dir}
		if doors.At(r.path()) == nil {
			r.serve()
		}
		p := r.proxied()
		p.session()
		p.Write(raw("\x00" + string(said)))
		p.Write(said)
		go drain(p)
		p.CloseWrite()
		r.left(0)
	})
}
