package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"muxd/control"
	"muxd/internal/table"
)

// FuzzStatusForAll: whatever the words and numbers of a status are, its JSON is
// one document that says the same, its metrics are read by a strict reader, and
// its table fits the terminal and does nothing to it.
func FuzzStatusForAll(f *testing.F) {
	f.Add("box", "root", "ready", "refused", "make -j8", int64(1), int64(1_700_000_000_000_000_000), uint8(80))
	f.Add("日本語\x1b[2J\n", "\u202e", "\x9b31m", "\x07\r\n\"\\", "\xff", int64(-1), int64(-1<<63), uint8(20))
	f.Fuzz(func(t *testing.T, name, user, state, lastErr, command string, n, ns int64, width uint8) {
		at := time.Unix(0, ns)
		f := control.ForwardStatus{Forward: control.Forward{Kind: control.ForwardKind(state), Listen: control.Endpoint{Host: user, Port: int(n)}, Connect: control.Endpoint{Path: name}},
			State: state, Since: at, Owners: []int{int(n)}, Total: n, In: n, Out: n, LastErr: lastErr, Next: at, Probed: n&1 == 0, Probe: lastErr}
		h := control.HostStatus{ID: name, Name: name, User: user, Addr: lastErr, State: state, Since: at, Waiting: int(n), Logins: int(n), Failed: int(n), In: n, LastErr: lastErr,
			Attempt: int(n), Next: at, Wanted: command, Persist: user, KeepWarm: time.Duration(n), KeepWarmLearned: true, Limit: int(n),
			Links:    []control.LinkStatus{{State: state, Use: user, Since: at, Remote: lastErr, Auth: name, Server: command, LastByte: at, RTT: time.Duration(n), In: n, Sessions: int(n), Interval: time.Duration(n)}},
			Sessions: []control.SessionStatus{{PID: int(n), Kind: state, Since: at, Command: command}}, Forwards: []control.ForwardStatus{f}}
		st := &control.Status{PID: 1, Build: command, Started: at, Socket: name, Clients: int(n), Hosts: []control.HostStatus{h}}

		b, err := json.Marshal(newStatusJSON(st))
		var back statusJSON
		if err == nil {
			err = json.Unmarshal(b, &back)
		}
		if err != nil || utf8.ValidString(name) && back.Hosts[0].Name != name || back.Hosts[0].BytesIn != n || back.Hosts[0].Forwards[0].Total != n {
			t.Errorf("%s: %v", b, err)
		}
		for _, open := range []bool{false, true} {
			var text strings.Builder
			if err := writeMetrics(&text, families(st), open); err != nil {
				t.Fatal(err)
			}
			if _, err := parseMetrics(text.String(), open); err != nil && n >= 0 { // counters are never negative
				t.Errorf("%v", err)
			}
		}
		var text strings.Builder
		printStatus(&text, st, noon, look{int(width), false})
		fits(t, text.String(), int(width))
	})
}

// fits wants lines of at most that many columns, 0 for any, and plain text.
func fits(t *testing.T, text string, width int) {
	t.Helper()
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if n := table.Width(line); width >= 40 && n > width {
			t.Errorf("%d columns of %d: %q", n, width, line)
		}
		if control.Clean(line) != line && len(line) < 4096 {
			t.Errorf("not plain: %q", line)
		}
	}
}

// FuzzEventForAll: an event is one line, of JSON or for people.
func FuzzEventForAll(f *testing.F) {
	f.Add("link", "box", "ready", "suspect", "no\nbyte", int64(14e9), int64(1_700_000_000_000_000_000), 2)
	f.Fuzz(func(t *testing.T, kind, host, from, to, text string, silence, ns int64, n int) {
		// As they come from muxd: cleaned where a frame is written.
		c := control.CleanLine
		e := control.Event{Time: time.Unix(0, ns), Kind: control.EventKind(c(kind)), Host: c(host), From: c(from), To: c(to), Text: c(text), Silence: time.Duration(silence), Link: n, Attempt: n}
		var b strings.Builder
		if err := printEvent(&b, e, true); err != nil {
			t.Fatal(err)
		}
		var back eventJSON
		if err := json.Unmarshal([]byte(b.String()), &back); err != nil || back.Text != e.Text || back.Host != e.Host || strings.Count(b.String(), "\n") != 1 {
			t.Errorf("%q: %v", b.String(), err)
		}
		b.Reset()
		if err := printEvent(&b, e, false); err != nil || strings.Count(b.String(), "\n") != 1 {
			t.Errorf("%q: %v", b.String(), err)
		}
	})
}
