package sshmux

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"runtime"
	"testing"
	"time"

	"muxd/control"
	"muxd/control/controltest"
)

// frame is bytes as one message.
func frame(s string) string {
	return string(binary.BigEndian.AppendUint32(nil, uint32(len(s)))) + s
}

var greeting = string((&request{kind: hello, version: version}).append(nil))

// What cannot be understood has its client cut. Others do not notice.
func TestCut(t *testing.T) {
	for _, c := range []struct{ name, says string }{
		{"length 0", greeting + u("")},
		{"length 3", greeting + u("\x03") + "abc"},
		{"a kind alone", greeting + frame("\x10\x00\x00\x04")},
		{"an unknown kind alone", greeting + frame("\x10\x00\x00\x03")},
		{"a request that is cut short", greeting + frame("\x20\x00\x00\x01"+u("\x01")+u("\x09")+"conn")},
		{"longer than any", greeting + "\x00\x80\x00\x01" + "\x10\x00\x00\x04"},
		{"a HELLO that is too long", "\x00\x10\x00\x01" + "\x00\x00\x00\x01" + u("\x04")},
		{"longest length", greeting + "\xff\xff\xff\xff"},
		{"another version", frame(u("\x01") + u("\x03"))},
		{"a later version", frame(u("\x01") + u("\x05"))},
		{"half an extension", frame(u("\x01") + u("\x04") + s("info"))},
		{"HELLO twice", greeting + greeting},
		{"a request before HELLO", frame("\x10\x00\x00\x04" + u("\x01"))},
		{"no protocol at all", "SSH-2.0-OpenSSH_9.2p1\r\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, nil)
			r.serve()
			other := r.greet()
			bad := r.dial()
			bad.expect(hello, uint32(version), "info", "0", "muxd", "1")
			bad.Write([]byte(c.says)) // may be cut in the middle
			bad.ends()
			other.lives()
		})
	}
}

// What is only not known is answered.
func TestUnknown(t *testing.T) {
	r := newRig(t, nil)
	r.serve()
	c := r.greet()
	for _, k := range []kind{0x10000003, 0x1000000a, 0x7fffffff, 0, ok} {
		c.ask(&request{kind: k, id: 42})
		c.expect(failure, uint32(42), "unsupported request")
	}
	c.write([]byte(frame("\x10\x00\x00\x04" + u("\x63") + "of a later version")))
	c.expect(alive, uint32(0x63), uint32(1234))
	c.write([]byte(frame("\x10\x00\x00\x04" + "\xff\xff\xff\xff"))) // an id is the client's own
	c.expect(alive, uint32(1<<32-1), uint32(1234))
	c.ask(&request{kind: extInfo, id: 7, name: "nonsense"})
	c.expect(extInfoReply, uint32(7), uint32(0), "no such information: nonsense")
}

// The longest message comes through, in whatever pieces.
func TestLongest(t *testing.T) {
	b, ch := sessions(false)
	r := newRig(t, b)
	r.serve()
	c := r.greet()
	q := &request{kind: newSession, id: 1, escape: noEscape}
	q.command = string(make([]byte, maxMessage-(len(q.append(nil))-4)))
	wire := q.append(nil)
	if len(wire) != 4+maxMessage {
		t.Fatal(len(wire))
	}
	in := pipes(t)
	for len(wire) > 0 {
		n := min(len(wire), 7919)
		c.write(wire[:n])
		wire = wire[n:]
	}
	for _, fd := range in.fds {
		c.pass([]byte{0}, fd)
	}
	if got := controltest.Get(t, ch); got.q.Command != q.command {
		t.Errorf("a command of %d bytes", len(got.q.Command))
	}
}

// One that is longer is answered: a socket that is cut would have ssh log in by
// itself.
func TestTooLong(t *testing.T) {
	b, ch := sessions(false)
	r := newRig(t, b)
	r.serve()
	c, in := r.greet(), pipes(t)
	c.ask(&request{kind: extInfo, id: 1, name: string(make([]byte, maxMessage))})
	c.expectText("too long", failure, uint32(1))
	c.ask(&request{kind: newStdio, id: 2, connect: endpoint{string(make([]byte, maxMessage)), 1}}, in.fds[:2]...)
	c.expectText("too long", failure, uint32(2))
	c.lives()
	c.ask(&request{kind: newSession, id: 3, command: string(make([]byte, maxSkipped-100))}, in.fds...)
	in.drop(0, 1, 2)
	c.expect(sessionOpened, uint32(3), uint32(sessionID))
	c.expectText("pass it on stdin", failure)
	c.ends()
	readsEnd(t, in.out, "")
	if len(ch) > 0 {
		t.Error("a session was opened")
	}
}

// A byte at a time is as good as all at once, and all at once as a byte.
func TestPieces(t *testing.T) {
	b, ch := sessions(false)
	r := newRig(t, b)
	r.serve()
	q := &request{kind: newSession, id: 1, escape: noEscape, command: "cmd"}

	c, in := r.dial(), pipes(t)
	for _, x := range []byte(greeting + string(q.append(nil))) {
		c.write([]byte{x})
	}
	for _, fd := range in.fds {
		c.pass([]byte{0}, fd)
	}
	c.expect(hello, uint32(version), "info", "0", "muxd", "1")
	controltest.Get(t, ch)
	c.expect(sessionOpened, uint32(1), uint32(sessionID))

	c, in = r.dial(), pipes(t)
	c.write(append([]byte(greeting), q.append(nil)...))
	c.pass([]byte{0, 0, 0}, in.fds...)
	c.expect(hello, uint32(version), "info", "0", "muxd", "1")
	o := controltest.Get(t, ch)
	c.expect(sessionOpened, uint32(1), uint32(sessionID))
	o.Out.Write([]byte("x"))
	reads(t, in.out, "x")
}

// Descriptors that do not fit what was asked for cut the client, and none is
// left.
func TestDescriptorsThatDoNotFit(t *testing.T) {
	session := (&request{kind: newSession, id: 1, escape: noEscape, command: "cmd"}).append(nil)
	direct := (&request{kind: newStdio, id: 1, connect: endpoint{"h", 1}}).append(nil)
	check := (&request{kind: aliveCheck, id: 1}).append(nil)
	for _, c := range []struct {
		name string
		does func(c *caller, fds []int)
	}{
		{"none", func(c *caller, fds []int) { c.write(append(session, 0, 0, 0)) }},
		{"too few", func(c *caller, fds []int) { c.write(session); c.pass([]byte{0}, fds[0]); c.write([]byte{0, 0}) }},
		{"too many at once", func(c *caller, fds []int) { c.write(session); c.pass([]byte{0, 0, 0}, append(fds, fds[0])...) }},
		{"more than are kept", func(c *caller, fds []int) {
			c.write(session)
			c.pass([]byte{0}, fds[0], fds[0], fds[0], fds[0], fds[0], fds[0], fds[0])
			c.pass([]byte{0}, fds[0], fds[0])
		}},
		{"very many at once", func(c *caller, fds []int) {
			all := make([]int, 253)
			for i := range all {
				all[i] = fds[0]
			}
			c.pass(check, all...)
		}},
		{"three for a stdio forward", func(c *caller, fds []int) { c.write(direct); c.pass([]byte{0, 0}, fds...) }},
		{"one for a stdio forward", func(c *caller, fds []int) { c.write(direct); c.pass([]byte{0, 0}, fds[0]) }},
		{"with HELLO", func(c *caller, fds []int) { c.pass([]byte(greeting), fds[0]) }},
		{"with a message that has none", func(c *caller, fds []int) { c.pass(check, fds[0]) }},
		{"with what is no message", func(c *caller, fds []int) { c.pass([]byte{0, 0, 0, 0}, fds...) }},
		{"with half a message, and no more", func(c *caller, fds []int) { c.pass(check[:6], fds...); c.CloseWrite() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, ch := sessions(false)
			r := newRig(t, b)
			r.serve()
			other, bad := r.greet(), r.greet()
			in := pipes(t)
			c.does(bad, in.fds)
			in.drop(0, 1, 2)
			readsEnd(t, in.out, "") // nobody has it any more
			bad.SetReadDeadline(time.Now().Add(patience))
			io.Copy(io.Discard, bad)
			other.lives()
			if len(ch) > 0 {
				t.Error("a session was opened")
			}
		})
	}
}

// A session before HELLO is none, and takes no descriptor along.
func TestSessionBeforeHello(t *testing.T) {
	b, ch := sessions(false)
	r := newRig(t, b)
	r.serve()
	c, in := r.dial(), pipes(t)
	c.ask(&request{kind: newSession, id: 1, command: "cmd"}, in.fds...)
	in.drop(0, 1, 2)
	c.expect(hello, uint32(version), "info", "0", "muxd", "1")
	c.ends()
	readsEnd(t, in.out, "")
	if len(ch) > 0 {
		t.Error("a session was opened")
	}
}

// A client that goes before its descriptors came, or keeps them back, leaves
// nothing.
func TestDescriptorsKeptBack(t *testing.T) {
	for n := range 3 {
		r := newRig(t, nil)
		r.serve()
		c, in := r.greet(), pipes(t)
		c.ask(&request{kind: newSession, id: 1}, in.fds[:n]...)
		r.greet().lives()
		c.Close()
		eventually(t, "it is still served", func() bool { return r.doors.Clients() == 1 })
	}
	shorten(t, &descriptorWait)
	r := newRig(t, nil)
	r.serve()
	c, in := r.greet(), pipes(t)
	c.ask(&request{kind: newSession, id: 1}, in.fds[:2]...)
	r.greet().lives()
	c.ends()
}

// A client that is slow with anything but descriptors has all the time.
func TestSlow(t *testing.T) {
	shorten(t, &descriptorWait)
	b, ch := sessions(false)
	r := newRig(t, b)
	r.serve()
	c, in := r.greet(), pipes(t)
	o := c.exec(ch, in)
	time.Sleep(descriptorWait + descriptorWait/2)
	o.Out.Write([]byte("x"))
	reads(t, in.out, "x")
}

// A client has one session. What it sends for another one is closed.
func TestSecondSession(t *testing.T) {
	b, ch := sessions(false)
	r := newRig(t, b)
	r.serve()
	c, in := r.greet(), pipes(t)
	o := c.exec(ch, in)
	for id, q := range map[uint32]*request{2: {kind: newSession, id: 2, command: "again"}, 3: {kind: newStdio, id: 3, connect: endpoint{"h", 1}}} {
		more := pipes(t)
		c.ask(q, more.fds[:q.kind.descriptors()]...)
		c.expect(failure, id, "Multiple sessions not supported")
		more.drop(0, 1, 2)
		readsEnd(t, more.out, "")
	}
	c.lives()
	o.Out.Write([]byte("x"))
	reads(t, in.out, "x")
	o.End(control.Exit{Code: 3}, nil)
	c.expect(exitMessage, uint32(sessionID), uint32(3))
	c.ends()
}

// A client that never reads is cut once it was waited for, and one that goes at
// any moment is gone.
func TestNeverReads(t *testing.T) {
	shorten(t, &writeWait)
	r := newRig(t, nil)
	r.serve()
	c := r.greet()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		b := (&request{kind: aliveCheck, id: 1}).append(nil)
		for range 10_000 {
			if _, err := c.Write(b); err != nil {
				return
			}
		}
	}()
	for range 10 {
		r.greet().lives()
	}
	controltest.Get(t, sent)
	eventually(t, "it is still served", func() bool { return r.doors.Clients() <= 10 })
}

// A client may end in any phase.
func TestGone(t *testing.T) {
	b, ch := sessions(false)
	waiting := make(chan struct{}, 1)
	open := b.OnSession
	b.OnSession = func(ctx context.Context, q *control.SessionRequest, p control.Prompter) (control.Stream, error) {
		if q.Command != "wait" {
			return open(ctx, q, p)
		}
		waiting <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	}
	r := newRig(t, b)
	r.serve()
	other := r.greet()
	gone := func() {
		eventually(t, "it is still served", func() bool { return r.doors.Clients() == 1 })
		other.lives()
	}
	in := pipes(t)

	r.dial().Close()
	gone()
	r.greet().Close()
	gone()

	c := r.greet()
	c.ask(&request{kind: newSession, id: 1, command: "wait"}, in.fds...)
	controltest.Get(t, waiting)
	c.Close()
	gone()

	c = r.greet()
	o := c.exec(ch, in)
	c.Close()
	o.did(t, "close")
	gone()

	c = r.greet()
	o = c.exec(ch, in)
	in.drop(0, 1, 2)
	go io.Copy(io.Discard, o.In)
	for range 64 { // it dies while it sends
		in.in.Write(make([]byte, 1024))
	}
	c.Close()
	o.did(t, "close")
	gone()
}

// That a client is gone is heard, however many requests it sent behind one that
// waits.
func TestGoneBehindManyRequests(t *testing.T) {
	shorten(t, &writeWait)
	waiting, over := make(chan struct{}, 1), make(chan struct{})
	b, _ := sessions(false)
	b.OnForward = func(ctx context.Context, _ *control.ForwardRequest, _ control.Prompter) (func(), error) {
		waiting <- struct{}{}
		<-ctx.Done()
		close(over)
		return nil, ctx.Err()
	}
	r := newRig(t, b)
	r.serve()
	c := r.greet()
	c.ask(&request{kind: openForward, id: 1, forward: forwardLocal, listen: endpoint{"", 8080}, connect: endpoint{"db", 1}})
	controltest.Get(t, waiting)
	for range 3 * ahead {
		c.ask(&request{kind: aliveCheck, id: 2})
	}
	c.Close()
	controltest.Get(t, over)
	eventually(t, "it is still served", func() bool { return r.doors.Clients() == 0 })
}

// A client that does not wait for its answers has all of them, where they come.
func TestManyRequestsAhead(t *testing.T) {
	r := newRig(t, nil)
	r.serve()
	c := r.greet()
	for range 10 * ahead {
		c.ask(&request{kind: aliveCheck, id: 2})
	}
	for range 10 * ahead {
		if _, err := c.receive(); err != nil {
			t.Fatal(err)
		}
	}
	c.lives()
}

// Whoever has said nothing, half a word, or what nobody answers, and goes, leaves
// nothing while the door stays.
func TestSilentClientsLeaveNothing(t *testing.T) {
	r := newRig(t, &controltest.Backend{})
	r.serve()
	r.greet().Close() // what comes with the first client stays
	eventually(t, "it is a client still", func() bool { return r.doors.Clients() == 0 })
	check := (&request{kind: aliveCheck, id: 1}).append(nil)
	goroutines, open := runtime.NumGoroutine(), descriptors()
	for name, says := range map[string][]byte{
		"nothing":           nil,
		"half of HELLO":     []byte(greeting[:7]),
		"HELLO":             []byte(greeting),
		"half a request":    append([]byte(greeting), check[:5]...),
		"unread answers":    append([]byte(greeting), bytes.Repeat(check, 1000)...),
		"a length":          append([]byte(greeting), 0, 3, 0, 0),
		"a session's start": append([]byte(greeting), (&request{kind: newSession, id: 1, command: "true"}).append(nil)...), // and no descriptors
	} {
		var all []*caller
		for range 30 {
			c := r.dial()
			c.SetWriteDeadline(time.Now().Add(50 * time.Millisecond)) // of what it does not take
			c.Write(says)
			all = append(all, c)
		}
		eventually(t, name+": not all are there", func() bool { return r.doors.Clients() == len(all) })
		for _, c := range all {
			c.Close()
		}
		eventually(t, name+": something is left", func() bool {
			return r.doors.Clients() == 0 && runtime.NumGoroutine() <= goroutines && descriptors() <= open
		})
	}
}
