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
)

var update = flag.Bool("update", false, "write the golden files anew")

var noon = time.Date(2026, 1, 2, 12, 0, 0, 500e6, time.FixedZone("", 3600))

// sample is a status in which every field says something.
func sample() *control.Status {
	return &control.Status{PID: 7, Build: "1.2.3", Started: noon.Add(-2 * time.Hour), Socket: "/run/user/1/muxd/ctl", Clients: 3,
		Hosts: []control.HostStatus{{
			Name: "box", User: "me", Addr: "10.0.0.1:22", State: "ready", Since: noon.Add(-time.Hour),
			Waiting: 1, Logins: 2, Failed: 3, Lost: 1, In: 5000, Out: 6000, Limit: 10, Persist: "1h0m0s", LastErr: "connect to 10.0.0.1:22: connection refused",
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

func TestStatusForPeople(t *testing.T) {
	var b strings.Builder
	printStatus(&b, sample(), noon)
	const want = `muxd 1.2.3, pid 7, up 2h00m, /run/user/1/muxd/ctl
HOST  STATE  FOR    SESSIONS  LAST BYTE  RTT     LOGINS  TO
box   ready  1h00m  1         3s ago     12.3ms  2       me@10.0.0.1:22
  -R localhost:8080:[::1]:80 degraded 5s, sticky and pid 11 12, 3 waiting, 2/17 open 1.2M in 34K out; remote port forwarding failed for listen port 8080, next try in 3 s; probe: connection refused
  -L /run/db.sock:/var/run/postgresql/.s.PGSQL.5432 active 1h00m, pid 13, not used yet; probe: ok
  -D localhost:1080 active 26h00m, sticky, 0/1 open 0B in 11G out; a:1: connection timed out
  -R localhost:0 waiting 0s, pid 11, not used yet
idle  idle   5m00s  0         -          -       0       me@10.0.0.2:22
box: connect to 10.0.0.1:22: connection refused; attempt 3, next try in 2 s
box: used every 9s while idle, because the path forgets longer silence (learned; muxd reconnect --forget box)
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
	b.Reset()
	printLinks(&b, &control.HostStatus{Links: []control.LinkStatus{{State: "ready", Use: "main", Sessions: 10}, {State: "draining", Sessions: 1}, {State: "ready", Use: "bulk"}}})
	if b.String() != "  3 connections, with sessions: main 10, draining 1, bulk 0\n" {
		t.Errorf("%q", b.String())
	}
	b.Reset()
	printStatus(&b, &control.Status{PID: 7, Build: "1.2.3", Started: noon, Socket: "/s"}, noon)
	if b.String() != "muxd 1.2.3, pid 7, up 0s, /s\nno connections\n" {
		t.Errorf("%q", b.String())
	}
}

// What a forward that is in order says fits beside the names that people have.
func TestForwardFitsTheScreen(t *testing.T) {
	f := control.ForwardStatus{Forward: control.Forward{Kind: control.ForwardLocal, Listen: control.Endpoint{Host: "localhost", Port: 8080},
		Connect: control.Endpoint{Host: "db", Port: 5432}}, State: control.ForwardActive, Since: noon.Add(-3 * time.Hour), Owners: []int{41173},
		Open: 2, Total: 17, In: 1 << 30, Out: 999}
	if line := "  " + forwardLine(&f, noon); len(line) > 80 {
		t.Errorf("%d columns: %s", len(line), line)
	}
}

func TestSize(t *testing.T) {
	for n, want := range map[int64]string{0: "0B", 999: "999B", 1000: "1.0K", 1023: "1.0K", 10188: "9.9K", 10189: "10K", 1023487: "999K", 1023488: "1.0M",
		1 << 40: "1.0T", 1<<63 - 1: "8.0E"} {
		if got := size(n); got != want {
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
		if got := age(noon, noon.Add(-tt.ago)); got != tt.want {
			t.Errorf("%v: %s, want %s", tt.ago, got, tt.want)
		}
	}
	if got := age(noon, time.Time{}); got != "-" {
		t.Errorf("no time: %s", got)
	}
}
