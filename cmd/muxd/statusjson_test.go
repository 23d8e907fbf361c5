package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"muxd/control"
	"muxd/internal/table"
)

var update = flag.Bool("update", false, "write the golden files anew")

var noon = time.Date(2026, 1, 2, 12, 0, 0, 500e6, time.FixedZone("", 3600))

// sample is a status in which every field says something.
func sample() *control.Status {
	return &control.Status{PID: 7, Build: "1.2.3", Started: noon.Add(-2 * time.Hour), Socket: "/run/user/1/muxd/ctl", Clients: 3, Locked: noon.Add(-10 * time.Minute), Drains: true,
		Hosts: []control.HostStatus{{
			ID: "0123456789abcdef", Name: "box", User: "me", Addr: "10.0.0.1:22", State: "ready", Since: noon.Add(-time.Hour),
			Waiting: 1, Logins: 2, Failed: 3, Lost: 1, Again: 1, In: 5000, Out: 6000, Limit: 10, Persist: "1h0m0s", LastErr: "connect to 10.0.0.1:22: connection refused",
			Attempt: 3, Next: noon.Add(1500 * time.Millisecond), Wanted: "pinned", KeepWarm: 9 * time.Second, KeepWarmLearned: true,
			Links: []control.LinkStatus{{State: "ready", Use: "main", Since: noon.Add(-time.Hour), Remote: "10.0.0.1:22", Auth: "publickey",
				Server: "SSH-2.0-OpenSSH_10.0", LastByte: noon.Add(-3 * time.Second), RTT: 12345 * time.Microsecond, In: 1000, Out: 2000,
				Sessions: 1, Interval: 15 * time.Second, CountMax: 3}},
			Sessions: []control.SessionStatus{{PID: 8, Kind: "exec", TTY: true, Since: noon.Add(-time.Minute), In: 10, Out: 20, Command: "make -j8"}},
			Forwards: forwards(),
		}, {Name: "idle", User: "me", Addr: "10.0.0.2:22", State: "idle", Since: noon.Add(-5 * time.Minute), Persist: "no"}},
	}
}

// forwards are one of each kind, in every state; the first one says everything.
func forwards() []control.ForwardStatus {
	return []control.ForwardStatus{
		{Forward: control.Forward{Kind: control.ForwardRemote, Listen: control.Endpoint{Host: "localhost", Port: 8080}, Connect: control.Endpoint{Host: "::1", Port: 80}},
			State: control.ForwardDegraded, Since: noon.Add(-5 * time.Second), Sticky: true, Owners: []int{11, 12}, Waiting: 3, Open: 2, Total: 17, In: 1_234_567, Out: 34_567,
			LastErr: "remote port forwarding failed for listen port 8080", Next: noon.Add(2500 * time.Millisecond), Probed: true, Probe: "connection refused"},
		{Forward: control.Forward{Kind: control.ForwardLocal, Listen: control.Endpoint{Path: "/run/db.sock"}, Connect: control.Endpoint{Path: "/var/run/postgresql/.s.PGSQL.5432"}},
			State: control.ForwardActive, Since: noon.Add(-time.Hour), Owners: []int{13}, Probed: true},
		{Forward: control.Forward{Kind: control.ForwardDynamic, Listen: control.Endpoint{Host: "localhost", Port: 1080}},
			State: control.ForwardActive, Since: noon.Add(-26 * time.Hour), Sticky: true, Total: 1, Out: 12_000_000_000, LastErr: "a:1: connection timed out"},
		{Forward: control.Forward{Kind: control.ForwardRemoteDynamic, Listen: control.Endpoint{Host: "localhost", Port: 0}},
			State: control.ForwardWaiting, Since: noon, Owners: []int{11}},
	}
}

func TestStatusJSONIsGolden(t *testing.T) {
	var b bytes.Buffer
	printJSON(&b, newStatusJSON(sample()))
	golden(t, "testdata/status.json", b.Bytes(), "statusVersion")
}

// golden holds what a program reads to a file, or with -update writes that.
func golden(t *testing.T, path string, got []byte, version string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s\nA change that is not an addition needs another %s.", got, want, version)
	}
}

// documented are the fields that a page has in its tables, with their types, and
// the page.
func documented(t *testing.T, path string) (said map[string]string, page string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	said, page = map[string]string{}, string(b)
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\| (\\w+) \\| \\S").FindAllStringSubmatch(page, -1) {
		said[m[1]] = m[2]
	}
	return said, page
}

// TestStatusJSONIsDocumented holds the table in docs to the fields and types
// that there are.
func TestStatusJSONIsDocumented(t *testing.T) {
	var b bytes.Buffer
	printJSON(&b, newStatusJSON(sample()))
	var v any
	if err := json.Unmarshal(b.Bytes(), &v); err != nil {
		t.Fatal(err)
	}
	have := map[string]string{}
	flatten("", v, have)

	said, page := documented(t, "../../docs/status-json.md")
	if !maps.Equal(have, said) {
		for _, k := range slices.Sorted(maps.Keys(have)) {
			if said[k] != have[k] {
				t.Errorf("%s is %s, the document says %q", k, have[k], said[k])
			}
			delete(said, k)
		}
		t.Errorf("documented and not there: %v", said)
	}
	if !strings.Contains(page, fmt.Sprintf("`version` is %d.", statusVersion)) {
		t.Error("the document is about another version")
	}
}

// flatten collects the paths of all fields with their types.
func flatten(path string, v any, into map[string]string) {
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			flatten(strings.TrimPrefix(path+"."+k, "."), x, into)
		}
		return
	case []any:
		into[path+"[]"] = "list"
		for _, x := range v {
			flatten(path+"[]", x, into)
		}
		return
	case string:
		into[path] = "string"
		if _, err := time.Parse(time.RFC3339Nano, v); err == nil {
			into[path] = "time"
		}
	case bool:
		into[path] = "boolean"
	case float64:
		into[path] = "number"
	}
}

// What people see, at the widths that terminals have: 0 is none.
func TestStatusForPeople(t *testing.T) {
	for _, width := range []int{0, 40, 60, 80, 120, 200} {
		var b bytes.Buffer
		printStatus(&b, sample(), noon, look{width: width})
		golden(t, fmt.Sprintf("testdata/status-%d.txt", width), b.Bytes(), "look")
		for line := range strings.Lines(b.String()) {
			if n := table.Width(strings.TrimRight(line, "\n")); width > 0 && n > width {
				t.Errorf("%d columns of %d: %s", n, width, line)
			}
		}
	}
	if got := table.Connections(&control.HostStatus{Links: []control.LinkStatus{{State: "ready", Use: "main", Sessions: 10}, {State: "draining", Sessions: 1}, {State: "ready", Use: "bulk"}}}); got != "3 connections, with sessions: main 10, draining 1, bulk 0" {
		t.Errorf("%q", got)
	}
	var b strings.Builder
	printStatus(&b, &control.Status{PID: 7, Build: "1.2.3", Started: noon, Socket: "/s"}, noon, look{})
	if b.String() != "muxd 1.2.3, pid 7, up 0s, /s\nno connections\n" {
		t.Errorf("%q", b.String())
	}
}

// What a server or a name says does nothing to the terminal, and keeps the
// columns where they are.
func TestStatusOfHostileText(t *testing.T) {
	st := sample()
	st.Hosts = st.Hosts[:1]
	h := &st.Hosts[0]
	h.Name, h.User, h.LastErr = "日本語のとても長いホスト名\x1b[2J\nblocked", "\u202eroot", "\x1b]0;title\x07 gone\r\nbox ready"
	h.Forwards = h.Forwards[:1]
	h.Forwards[0].LastErr, h.Forwards[0].Probe = "\x9b31m", strings.Repeat("x", 200)
	for _, width := range []int{0, 40, 80} {
		for _, colour := range []bool{false, true} {
			var b strings.Builder
			printStatus(&b, st, noon, look{width, colour})
			text := b.String()
			if colour {
				for _, sgr := range []string{"\x1b[2m", "\x1b[32m", "\x1b[1;31m", "\x1b[m"} {
					if !strings.Contains(text, sgr) {
						t.Errorf("no %q in %q", sgr, text)
					}
					text = strings.ReplaceAll(text, sgr, "")
				}
			}
			if strings.ContainsAny(text, "\x1b\u009b\x07\r\u202e") {
				t.Errorf("%q", text)
			}
			for line := range strings.Lines(text) {
				if n := table.Width(strings.TrimRight(line, "\n")); width > 0 && n > width {
					t.Errorf("%d columns of %d: %s", n, width, line)
				}
			}
		}
	}
}

// What a forward that is in order says fits beside the names that people have.
func TestForwardFitsTheScreen(t *testing.T) {
	f := control.ForwardStatus{Forward: control.Forward{Kind: control.ForwardLocal, Listen: control.Endpoint{Host: "localhost", Port: 8080},
		Connect: control.Endpoint{Host: "db", Port: 5432}}, State: control.ForwardActive, Since: noon.Add(-3 * time.Hour), Owners: []int{41173},
		Open: 2, Total: 17, In: 1 << 30, Out: 999}
	if line := "  " + table.Forward(&f, noon); len(line) > 80 {
		t.Errorf("%d columns: %s", len(line), line)
	}
}

func TestSize(t *testing.T) {
	for n, want := range map[int64]string{0: "0B", 999: "999B", 1000: "1.0K", 1023: "1.0K", 10188: "9.9K", 10189: "10K", 1023487: "999K", 1023488: "1.0M",
		1 << 40: "1.0T", 1<<63 - 1: "8.0E"} {
		if got := table.Size(n); got != want {
			t.Errorf("%d is %s, want %s", n, got, want)
		}
	}
}

func TestAge(t *testing.T) {
	for _, tt := range []struct {
		ago  time.Duration
		want string
	}{
		{-time.Second, "0s"}, {0, "0s"}, {59*time.Second + 999*time.Millisecond, "59s"}, {time.Minute, "1m00s"},
		{59*time.Minute + 59*time.Second, "59m59s"}, {time.Hour, "1h00m"}, {47*time.Hour + 59*time.Minute, "47h59m"},
		{48 * time.Hour, "2d00h"}, {1000 * time.Hour, "41d16h"},
	} {
		if got := table.Age(noon, noon.Add(-tt.ago)); got != tt.want {
			t.Errorf("%v: %s, want %s", tt.ago, got, tt.want)
		}
	}
	if got := table.Age(noon, time.Time{}); got != "-" {
		t.Errorf("no time: %s", got)
	}
}
