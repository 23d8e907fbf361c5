package control

import (
	"bytes"
	"encoding/binary"
	"math"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"
)

// messages are every body that travels: how it is read and written again.
var messages = []struct {
	name  string
	again func(b []byte) ([]byte, error)
	seed  []byte
}{
	{"invocation", func(b []byte) ([]byte, error) {
		d := decoder{b: b}
		k := d.u8()
		v := new(Invocation)
		if err := v.decode(&d); err != nil || op(k) != opRun {
			return nil, errShort
		}
		return v.encode(), nil
	}, (&Invocation{Args: []string{"-p", "22", "h"}, Dir: "/home", Env: []string{"A=b", ""}, TTY: [3]bool{true, false, true},
		Size: Window{80, 24, 1, 2}, Modes: []byte{1, 2, 0}, Reattach: true}).encode()},
	{"plan", func(b []byte) ([]byte, error) { var p Plan; err := p.decode(b); return p.encode(), err },
		(&Plan{Host: "h", TTY: true, Escape: NoEscape, StdinNull: true, Quiet: true, Background: true, JSON: true, Reattach: true, FdPass: true, HandOver: []string{"-S", "x", "h"}}).encode()},
	{"exit", func(b []byte) ([]byte, error) { x, err := decodeExit(b); return x.encode(), err },
		Exit{Code: 1, Signal: "TERM", Core: true, Message: "m"}.encode()},
	{"error", func(b []byte) ([]byte, error) { x, err := decodeError(b); return x.encode(), err },
		(&Error{Phase: Sent, Host: "h", Text: "t", Silence: 1500 * time.Millisecond, Ended: true}).encode()},
	{"stopped", func(b []byte) ([]byte, error) { var s Stopped; err := s.decode(b); return s.encode(), err },
		(&Stopped{Done: true, PID: 1, Hosts: 2, Sessions: 3}).encode()},
	{"prompt", func(b []byte) ([]byte, error) { id, q, err := decodePrompt(b); return q.encode(id), err },
		Prompt{Kind: PromptConfirm, Host: "u@h", Text: "sure?\n", Remote: true}.encode(7)},
	{"answer", func(b []byte) ([]byte, error) {
		id, a, aerr, err := decodeAnswer(b)
		return encodeAnswer(id, a, aerr), err
	}, encodeAnswer(3, Answer{"yes"}, nil)},
	{"command", func(b []byte) ([]byte, error) { id, c, err := decodeCommand(b); return c.encode(id), err },
		Command{Kind: CommandOutput, Args: []string{"/bin/kh", ""}}.encode(9)},
	{"ran", func(b []byte) ([]byte, error) { id, r, rerr, err := decodeRan(b); return encodeRan(id, r, rerr), err },
		encodeRan(3, Ran{Status: 130, Output: []byte("o")}, errShort)},
	{"status", func(b []byte) ([]byte, error) { var s Status; err := s.decode(b); return s.encode(), err }, fullStatus().encode()},
	{"window", func(b []byte) ([]byte, error) {
		d := decoder{b: b}
		e := encoder{}
		e.window(d.window())
		return e.b, d.done()
	}, make([]byte, 16)},
	{"preface", func(b []byte) ([]byte, error) { p, err := parsePreface(b); return p.append(nil), err },
		Preface{Version: Version, Flags: FlagOne, Length: 9}.append(nil)},
	{"waiting", func(b []byte) ([]byte, error) { w, err := decodeWaiting(b); return w.encode(), err },
		Waiting{Attempt: 3, Dialling: true, Next: 2 * time.Second, Silence: 812 * time.Second, Cause: "refused"}.encode()},
	{"event", func(b []byte) ([]byte, error) { v, err := decodeEvent(b); return v.encode(), err }, fullEvent().encode()},
	{"admin", func(b []byte) ([]byte, error) {
		d := decoder{b: b}
		var r AdminRequest
		r.decode(&d)
		e := encoder{}
		r.encode(&e)
		return e.b, d.done()
	}, func() []byte {
		e := encoder{}
		(&AdminRequest{Command: "wait", Forget: true, Down: true, Limit: time.Minute}).encode(&e)
		return e.b
	}()},
}

func fullEvent() Event {
	return Event{Time: time.Unix(0, 1_700_000_000_123456789), Kind: EventLink, Host: "h", User: "u", Addr: "a:22", Link: 2,
		From: "ready", To: "suspect", Attempt: 4, Silence: 14 * time.Second, Text: "t"}
}

func TestEventComesBack(t *testing.T) {
	if got, err := decodeEvent(fullEvent().encode()); err != nil || got != fullEvent() {
		t.Errorf("got %+v, %v\nwant %+v", got, err, fullEvent())
	}
}

// A time that no Duration holds is refused, not turned into a negative one.
func TestMillisecondsAreBounded(t *testing.T) {
	for _, tt := range []struct {
		n  uint64
		ok bool
	}{{0, true}, {math.MaxInt64 / 1_000_000, true}, {math.MaxInt64/1_000_000 + 1, false}, {math.MaxUint64, false}} {
		d := decoder{b: binary.BigEndian.AppendUint64(nil, tt.n)}
		if v := d.ms(); (d.done() == nil) != tt.ok || v < 0 {
			t.Errorf("%d is %v, %v", tt.n, v, d.err)
		}
	}
	e := encoder{}
	if e.ms(-time.Hour); binary.BigEndian.Uint64(e.b) != 0 {
		t.Errorf("a negative time travels as %x", e.b)
	}
}

func fullStatus() *Status {
	at := time.Unix(0, 1_700_000_000_123456789)
	return &Status{PID: 1, Build: "b", Started: at, Socket: "/s", Clients: 2, Hosts: []HostStatus{
		{ID: "i", Name: "n", User: "u", Addr: "a:22", State: "ready", Since: at, Waiting: 1, Logins: 2, Failed: 7, Lost: 8, Again: 6, In: 9, Out: 10, Persist: "10m", LastErr: "e",
			Attempt: 3, Next: at.Add(time.Second), Wanted: "pinned", KeepWarm: time.Minute, KeepWarmLearned: true, Limit: 11,
			Links: []LinkStatus{{State: "ready", Use: "bulk", Since: at, Remote: "r", Auth: "k", Server: "SSH-2.0-x", LastByte: at,
				RTT: time.Second, In: math.MaxInt64, Out: 2, Sessions: 3, Interval: time.Minute, CountMax: 4}},
			Sessions: []SessionStatus{{PID: 9, Kind: "exec", TTY: true, Since: at, In: 1, Out: 2, Command: "make -j8"}},
			Forwards: []ForwardStatus{
				{Forward: Forward{Kind: ForwardRemote, Listen: Endpoint{Host: "*", Port: 1}, Connect: Endpoint{Path: "/p"}}, State: ForwardDegraded, Since: at,
					Sticky: true, Owners: []int{3, 4}, Waiting: 8, Open: 5, Total: math.MaxInt64, In: 6, Out: 7, LastErr: "e", Next: at, Probed: true, Probe: "p"},
				{Owners: []int{}}}},
		{Links: []LinkStatus{}, Sessions: []SessionStatus{}, Forwards: []ForwardStatus{}}}}
}

// FuzzMessages: what is read is written as the same bytes, unless cleaning
// changed a text; and written once more it is the same in any case.
func FuzzMessages(f *testing.F) {
	for i, m := range messages {
		f.Add(i, m.seed)
	}
	f.Add(1, (&Plan{}).encode())
	f.Add(11, []byte("MUXD000000000000"))
	f.Add(9, []byte{0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255})
	f.Fuzz(func(t *testing.T, i int, b []byte) {
		m := messages[uint(i)%uint(len(messages))]
		once, err := m.again(b)
		if err != nil {
			return
		}
		twice, err := m.again(once)
		if err != nil || !bytes.Equal(once, twice) {
			t.Fatalf("%s: %x is read as %x and then as %x, %v", m.name, b, once, twice, err)
		}
		if len(once) == len(b) && !bytes.Equal(once, b) && !bytes.ContainsFunc(b, odd) {
			t.Fatalf("%s: %x becomes %x", m.name, b, once)
		}
	})
}

// odd reports bytes that cleaning may change without changing the length.
func odd(r rune) bool { return r < ' ' || r >= 0x7f }

// Every message comes back whole; cut short or made longer it is refused.
func TestMessagesAreStrict(t *testing.T) {
	for _, m := range messages {
		got, err := m.again(m.seed)
		if err != nil || !bytes.Equal(got, m.seed) {
			t.Errorf("%s: %x becomes %x, %v", m.name, m.seed, got, err)
		}
		if _, err := m.again(append(m.seed[:len(m.seed):len(m.seed)], 0)); err == nil {
			t.Errorf("%s: one byte too long is read", m.name)
		}
		for n := range m.seed {
			if _, err := m.again(m.seed[:n]); err == nil && !(m.name == "preface") {
				t.Errorf("%s: cut to %d of %d bytes is read", m.name, n, len(m.seed))
			}
		}
	}
}

func TestStatusComesBack(t *testing.T) {
	want := fullStatus()
	got := new(Status)
	if err := got.decode(want.encode()); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v\nwant %+v", got, err, want)
	}
}

// The minima that counts are held against are those of empty elements.
func TestMinima(t *testing.T) {
	var host, link, session, forward encoder
	(&HostStatus{}).encode(&host)
	(&LinkStatus{}).encode(&link)
	(&SessionStatus{}).encode(&session)
	(&ForwardStatus{}).encode(&forward)
	if len(host.b) != minHost || len(link.b) != minLink || len(session.b) != minSession || len(forward.b) != minForward {
		t.Errorf("hosts %d, links %d, sessions %d, forwards %d", len(host.b), len(link.b), len(session.b), len(forward.b))
	}
}

// A count from the wire decides no allocation.
func TestCountsTakeNoMemory(t *testing.T) {
	for _, n := range []uint32{maxList, maxList + 1, 1 << 31, 1<<32 - 1} {
		args := binary.BigEndian.AppendUint32([]byte{byte(opRun)}, n)
		hosts := binary.BigEndian.AppendUint32(make([]byte, 24), n)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		d := decoder{b: args[1:]}
		if err := new(Invocation).decode(&d); err == nil {
			t.Error("arguments were read")
		}
		if err := new(Status).decode(hosts); err == nil {
			t.Error("hosts were read")
		}
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > 64<<10 {
			t.Errorf("%d bytes allocated", n)
		}
	}
}

func TestGetenv(t *testing.T) {
	v := Invocation{Env: []string{"AB=1", "A=2", "A=3", "E=", "N"}}
	for name, want := range map[string]string{"A": "2", "AB": "1", "E": "", "N": "", "X": ""} {
		if got := v.Getenv(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

func TestClean(t *testing.T) {
	tests := []struct{ in, want string }{
		{"plain text, ünï, 漢字 🙂", "plain text, ünï, 漢字 🙂"},
		{"a\nb\tc\r\n", "a\nb\tc\n"},
		{"\x1b[31mred\x07\x00\x7f", "?[31mred???"},
		{"\u009b31m\u0085", "?31m?"},
		{"\x9b\xff\xc3", "???"},
		{"evil\u202eexe.\u2066x\u200f\u061c\u2028", "evil?exe.?x???"},
		{strings.Repeat("x", maxText), strings.Repeat("x", maxText)},
		{strings.Repeat("x", maxText+1), strings.Repeat("x", maxText-3) + "…"},
		{strings.Repeat("漢", 2000), strings.Repeat("漢", (maxText-3)/3) + "…"},
	}
	for _, tt := range tests {
		if got := Clean(tt.in); got != tt.want {
			t.Errorf("%.40q becomes %.40q, want %.40q", tt.in, got, tt.want)
		}
	}
	if got := CleanLine(" a\n\tb \x1b c\r\n"); got != "a b ? c" {
		t.Errorf("line %q", got)
	}
}

func FuzzClean(f *testing.F) {
	f.Add("\x1b]0;x\a")
	f.Add(strings.Repeat("é", maxText))
	f.Add(strings.Repeat("\r", maxText) + "\u202e")
	f.Add(strings.Repeat("x", maxText-1) + "漢漢\xe6\xbc")
	f.Fuzz(func(t *testing.T, s string) {
		for _, clean := range []func(string) string{Clean, CleanLine} {
			got := clean(s)
			if len(got) > maxText || clean(got) != got {
				t.Fatalf("%q becomes %q and then %q", s, got, clean(got))
			}
			for _, r := range got {
				if r < 0x20 && r != '\n' && r != '\t' || r >= 0x7f && r < 0xa0 || isBidi(r) || r == 0xfffd {
					t.Fatalf("%q keeps %U", s, r)
				}
			}
		}
		if strings.ContainsAny(CleanLine(s), "\n\t") {
			t.Fatalf("%q has lines", CleanLine(s))
		}
	})
}
