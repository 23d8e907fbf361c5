package sshmux

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"testing"

	"muxd/control/controltest"
)

// Messages of the connection protocol (RFC 4254 section 9).
const (
	globalRequest  = 80
	requestSuccess = 81
	requestFailure = 82
	channelOpen    = 90
	openConfirm    = 91
	openFailure    = 92
	windowAdjust   = 93
	channelData    = 94
	extendedData   = 95
	channelEOF     = 96
	channelClose   = 97
	channelRequest = 98
	channelSuccess = 99
	channelFailure = 100
)

// Windows that both sides open channels with.
const (
	theirWindow = 2 << 20
	theirPacket = 32 << 10
	myWindow    = 1 << 20
	myPacket    = 16 << 10
)

// proxied is a client in proxy mode, which says and hears packets.
type proxied struct {
	*caller
	channels uint32
}

// proxied connects a client and has it begin proxy mode.
func (r *rig) proxied() *proxied {
	r.t.Helper()
	c := r.greet()
	c.ask(&request{kind: proxy, id: 6})
	c.expect(proxyGranted, uint32(6))
	return &proxied{caller: c}
}

// packet is a message as it stands on the wire. Raw bytes are written as they
// are, and a string with its length before it.
func packet(kind byte, fields ...any) []byte {
	e := encoder{b: []byte{0, kind}}
	for _, f := range fields {
		switch f := f.(type) {
		case uint32:
			e.u32(f)
		case int:
			e.u32(uint32(f))
		case string:
			e.str(f)
		case bool:
			e.b = append(e.b, map[bool]byte{true: 1}[f])
		case []byte:
			e.b = append(e.b, f...)
		default:
			panic(fmt.Sprintf("a field of type %T", f))
		}
	}
	return e.frame(nil)
}

func (p *proxied) says(kind byte, fields ...any) {
	p.t.Helper()
	p.write(packet(kind, fields...))
}

// hears wants exactly this packet next. None is shorter than a stock client
// takes.
func (p *proxied) hears(kind byte, fields ...any) {
	p.t.Helper()
	got, err := p.receive()
	if want := packet(kind, fields...)[4:]; err != nil || !bytes.Equal(got, want) {
		p.t.Fatalf("got  %q, %v\nwant %q", got, err, want)
	}
	if len(got) < 5 {
		p.t.Fatalf("a packet of %d bytes", len(got))
	}
}

// hearsOpen wants a channel to be opened, and returns its number there.
func (p *proxied) hearsOpen(kind string, extra ...any) (there uint32) {
	p.t.Helper()
	got, err := p.receive()
	at := 2 + 4 + len(kind)
	if err != nil || len(got) < at+4 {
		p.t.Fatalf("got %q, %v", got, err)
	}
	there = binary.BigEndian.Uint32(got[at:])
	if want := packet(channelOpen, append([]any{kind, there, theirWindow, theirPacket}, extra...)...)[4:]; !bytes.Equal(got, want) {
		p.t.Fatalf("got  %q\nwant %q", got, want)
	}
	return there
}

// chan_ is one channel of a client's.
type chan_ struct {
	*proxied
	here, there uint32
}

// asks asks for a channel, and returns its number here.
func (p *proxied) asks(kind string, extra ...any) uint32 {
	p.t.Helper()
	p.channels++
	here := 100 + p.channels
	p.says(channelOpen, append([]any{kind, here, myWindow, myPacket}, extra...)...)
	return here
}

// confirmed wants the channel that was asked for.
func (p *proxied) confirmed(here uint32) *chan_ {
	p.t.Helper()
	got, err := p.receive()
	if err != nil || len(got) < 10 {
		p.t.Fatalf("got %q, %v", got, err)
	}
	c := &chan_{p, here, binary.BigEndian.Uint32(got[6:])}
	if want := packet(openConfirm, here, c.there, theirWindow, theirPacket)[4:]; !bytes.Equal(got, want) {
		p.t.Fatalf("got  %q\nwant %q", got, want)
	}
	return c
}

// session opens a session channel on which nothing was started.
func (p *proxied) session() *chan_ {
	p.t.Helper()
	return p.confirmed(p.asks("session"))
}

// exec starts a command on a channel of its own.
func (p *proxied) exec(ch chan *opened) (*chan_, *opened) {
	p.t.Helper()
	c := p.session()
	c.requests("exec", true, "cmd")
	o := controltest.Get(p.t, ch)
	c.hears(channelSuccess, c.here)
	return c, o
}

func (c *chan_) requests(name string, want bool, fields ...any) {
	c.t.Helper()
	c.says(channelRequest, append([]any{c.there, name, want}, fields...)...)
}

// closes lets the client agree to the channel's end.
func (c *chan_) closes() {
	c.t.Helper()
	c.hears(channelClose, c.here)
	c.says(channelClose, c.there)
}

// exits wants a session's end with this status.
func (c *chan_) exits(status int) {
	c.t.Helper()
	c.hears(channelRequest, c.here, "exit-status", false, status)
	c.hears(channelEOF, c.here)
	c.closes()
}

// works wants that a client is served: its packets are answered.
func (p *proxied) works() {
	p.t.Helper()
	p.says(globalRequest, "keepalive@openssh.com", true)
	p.hears(requestFailure, []byte{0, 0, 0, 0})
}

// undisturbed is another client with a session, which must notice nothing.
type undisturbed struct {
	c *chan_
	o *opened
}

func (r *rig) undisturbed(ch chan *opened) *undisturbed {
	r.t.Helper()
	c, o := r.proxied().exec(ch)
	return &undisturbed{c, o}
}

func (u *undisturbed) works() {
	u.c.t.Helper()
	u.o.Out.Write([]byte("still"))
	u.c.hears(channelData, u.c.here, "still")
	u.c.says(channelData, u.c.there, "there")
	reads(u.c.t, u.o.In, "there")
	u.c.works()
}

// gone wants everybody but this many clients to be served no more.
func (r *rig) left(n int) {
	r.t.Helper()
	eventually(r.t, "a client is still served", func() bool { return r.doors.Clients() == n })
}

func proxyRig(t *testing.T, b *controltest.Backend) *rig {
	t.Helper()
	r := newRig(t, b)
	r.serve()
	return r
}

// drain reads what comes, until the end.
func drain(c net.Conn) { io.Copy(io.Discard, c) }
