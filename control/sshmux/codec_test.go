package sshmux

import (
	"reflect"
	"strings"
	"testing"
)

// append is the opposite of parse: what a client writes.
func (r *request) append(b []byte) []byte {
	var e encoder
	e.u32(uint32(r.kind))
	if r.kind == hello {
		e.u32(r.version)
		for _, s := range r.exts {
			e.str(s)
		}
		return e.frame(b)
	}
	e.u32(r.id)
	switch r.kind {
	case newSession:
		e.str("")
		for _, f := range []bool{r.tty, r.x11, r.agent, r.subsystem} {
			e.flag(f)
		}
		e.u32(r.escape)
		e.str(r.term)
		e.str(r.command)
		for _, s := range r.env {
			e.str(s)
		}
	case newStdio:
		e.str("")
		e.endpoint(r.connect)
	case openForward, closeForward:
		e.u32(r.forward)
		e.endpoint(r.listen)
		e.endpoint(r.connect)
	case extInfo:
		e.str(r.name)
	}
	return e.frame(b)
}

func (e *encoder) flag(on bool) {
	if on {
		e.u32(1)
	} else {
		e.u32(0)
	}
}

func (e *encoder) endpoint(p endpoint) {
	e.str(p.host)
	e.u32(p.port)
}

// u and s write a field as the protocol has it, by hand.
func u(v string) string { return strings.Repeat("\x00", 4-len(v)) + v }
func s(v string) string { return u(string(rune(len(v)))) + v }

// messages are what a client sends, as it is on the wire behind the length.
var messages = []struct {
	name  string
	wire  string
	means request
}{
	{"hello", u("\x01") + u("\x04"), request{kind: hello, version: 4}},
	{"hello with an extension", u("\x01") + u("\x04") + s("info") + s("0"), request{kind: hello, version: 4, exts: []string{"info", "0"}}},
	{"session", "\x10\x00\x00\x02" + u("\x07") + s("") + u("\x01") + u("") + u("\x01") + u("") + u("\x7e") + s("xterm") + s("ls -l") + s("A=1") + s("B="),
		request{kind: newSession, id: 7, tty: true, agent: true, escape: '~', term: "xterm", command: "ls -l", env: []string{"A=1", "B="}}},
	{"subsystem", "\x10\x00\x00\x02" + u("") + s("") + u("") + u("\x01") + u("") + u("\x01") + "\xff\xff\xff\xff" + s("") + s("sftp"),
		request{kind: newSession, x11: true, subsystem: true, escape: noEscape, command: "sftp"}},
	{"alive", "\x10\x00\x00\x04" + u("\x01"), request{kind: aliveCheck, id: 1}},
	{"terminate", "\x10\x00\x00\x05" + u("\x01"), request{kind: terminate, id: 1}},
	{"forward", "\x10\x00\x00\x06" + u("\x02") + u("\x01") + s("*") + "\x00\x00\x1f\x90" + s("db") + "\x00\x00\x15\x38",
		request{kind: openForward, id: 2, forward: forwardLocal, listen: endpoint{"*", 8080}, connect: endpoint{"db", 5432}}},
	{"forward of paths", "\x10\x00\x00\x06" + u("\x02") + u("\x02") + s("/r") + "\xff\xff\xff\xfe" + s("/l") + "\xff\xff\xff\xfe",
		request{kind: openForward, id: 2, forward: forwardRemote, listen: endpoint{"/r", pathPort}, connect: endpoint{"/l", pathPort}}},
	{"cancel", "\x10\x00\x00\x07" + u("\x03") + u("\x03") + s("") + "\x00\x00\x04\x38" + s("socks") + u(""),
		request{kind: closeForward, id: 3, forward: forwardDynamic, listen: endpoint{"", 1080}, connect: endpoint{"socks", 0}}},
	{"stdio", "\x10\x00\x00\x08" + u("\x04") + s("") + s("db") + "\x00\x00\x15\x38", request{kind: newStdio, id: 4, connect: endpoint{"db", 5432}}},
	{"stop", "\x10\x00\x00\x09" + u("\x05"), request{kind: stopListening, id: 5}},
	{"proxy", "\x10\x00\x00\x0f" + u("\x06"), request{kind: proxy, id: 6}},
	{"info", "\x20\x00\x00\x01" + u("\x07") + s("connection"), request{kind: extInfo, id: 7, name: "connection"}},
	{"unknown", "\x10\x00\x00\x03" + u("\x08"), request{kind: 0x10000003, id: 8}},
}

func TestRequests(t *testing.T) {
	for _, m := range messages {
		t.Run(m.name, func(t *testing.T) {
			got, err := parse([]byte(m.wire))
			if err != nil || !reflect.DeepEqual(*got, m.means) {
				t.Errorf("parsed: %+v, %v", *got, err)
			}
			want := u(string(rune(len(m.wire)))) + m.wire
			if got := string(m.means.append(nil)); got != want {
				t.Errorf("written:\n%q, want\n%q", got, want)
			}
			if got, err := parse([]byte(m.wire + "\x00\x00")); m.means.env == nil && m.means.kind != hello && m.means.kind != newSession && (err != nil || !reflect.DeepEqual(*got, m.means)) {
				t.Errorf("with more behind it: %+v, %v", *got, err)
			}
			// Cut in a field, it is no message. A list may end behind any entry.
			for n := range len(m.wire) {
				got, err := parse([]byte(m.wire[:n]))
				if err == nil && len(got.exts) == len(m.means.exts) && len(got.env) == len(m.means.env) {
					t.Errorf("the first %d of %d bytes: %+v", n, len(m.wire), *got)
				}
			}
		})
	}
}

// A string's length counts for nothing until its bytes are there.
func TestRequestWithLongString(t *testing.T) {
	for _, n := range []string{"\xff\xff\xff\xff", "\x7f\xff\xff\xff", "\x00\x00\x00\x05"} {
		if r, err := parse([]byte("\x20\x00\x00\x01" + u("\x07") + n + "conn")); err == nil {
			t.Errorf("length %q: %+v", n, *r)
		}
	}
}

// The numbers are mux.c's.
func TestNumbers(t *testing.T) {
	for got, want := range map[kind]uint32{
		hello: 0x00000001, newSession: 0x10000002, aliveCheck: 0x10000004, terminate: 0x10000005, openForward: 0x10000006,
		closeForward: 0x10000007, newStdio: 0x10000008, stopListening: 0x10000009, proxy: 0x1000000f, extInfo: 0x20000001,
		ok: 0x80000001, denied: 0x80000002, failure: 0x80000003, exitMessage: 0x80000004, alive: 0x80000005,
		sessionOpened: 0x80000006, remotePort: 0x80000007, ttyAllocFail: 0x80000008, proxyGranted: 0x8000000f, extInfoReply: 0x90000001,
	} {
		if uint32(got) != want {
			t.Errorf("%#x, want %#x", uint32(got), want)
		}
	}
	if version != 4 || forwardLocal != 1 || forwardRemote != 2 || forwardDynamic != 3 || pathPort != 1<<32-2 || noEscape != 1<<32-1 {
		t.Error("another number is not mux.c's")
	}
}

func TestReply(t *testing.T) {
	for _, c := range []struct {
		got  []byte
		want string
	}{
		{reply(ok, uint32(3)), u("\x08") + "\x80\x00\x00\x01" + u("\x03")},
		{reply(failure, uint32(3), "no"), u("\x0e") + "\x80\x00\x00\x03" + u("\x03") + s("no")},
		{reply(hello, uint32(version), "info", "0"), u("\x15") + u("\x01") + u("\x04") + s("info") + s("0")},
	} {
		if string(c.got) != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, m := range messages {
		f.Add([]byte(m.wire))
		f.Add([]byte(m.wire[:len(m.wire)-1]))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parse(b)
		if err != nil {
			return
		}
		again, err := parse(r.append(nil)[4:])
		if err != nil || !reflect.DeepEqual(again, r) {
			t.Errorf("%+v came back as %+v, %v", *r, again, err)
		}
	})
}
