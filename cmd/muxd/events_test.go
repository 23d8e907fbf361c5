package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"muxd/control"
)

// happenings are an event of each kind; the first one says everything.
func happenings() []control.Event {
	at := noon
	return []control.Event{
		{Time: at, Kind: control.EventLink, Host: "box", User: "me", Addr: "10.0.0.1:22", Link: 2, From: "ready", To: "suspect", Attempt: 1, Silence: 14500 * time.Millisecond, Text: "no answer"},
		{Time: at, Kind: control.EventHost, Host: "box", To: "ready"},
		{Time: at, Kind: control.EventHost, Host: "a-host-with-a-long-name", From: "connecting", To: "waiting", Text: "connection refused"},
		{Time: at, Kind: control.EventDial, Host: "box", Attempt: 3, Text: "connection refused"},
		{Time: at, Kind: control.EventNetwork, Text: "eth0 has another address"},
		{Time: at, Kind: control.EventWake, Silence: time.Hour},
		{Time: at, Kind: control.EventForward, Host: "box", From: "active", To: "degraded", Text: "-R localhost:8080:db:80"},
		{Time: at, Kind: control.EventMuxd, From: "unlocked", To: "locked"},
		{Time: at, Kind: control.EventLost, To: "12"},
		{Time: at, Kind: control.EventLost, To: "7", Text: "the rest of it"},
	}
}

func TestEventsJSONIsGolden(t *testing.T) {
	var b bytes.Buffer
	for _, e := range happenings() {
		if err := printEvent(&b, e, true); err != nil {
			t.Fatal(err)
		}
	}
	golden(t, "testdata/events.json", b.Bytes(), "eventSchema")
}

// TestEventsJSONIsDocumented holds the tables in docs to the fields, their
// types and the kinds that there are.
func TestEventsJSONIsDocumented(t *testing.T) {
	said, page := documented(t, "../../docs/events-json.md")
	have := map[string]string{}
	for i, e := range happenings() {
		var b bytes.Buffer
		printEvent(&b, e, true)
		var v any
		if err := json.Unmarshal(b.Bytes(), &v); err != nil || bytes.Count(b.Bytes(), []byte("\n")) != 1 {
			t.Fatalf("%s: %v", b.Bytes(), err)
		}
		if i == 0 {
			flatten("", v, have)
		}
		if !strings.Contains(page, fmt.Sprintf("| `%s` |", e.Kind)) {
			t.Errorf("the kind %s is not documented", e.Kind)
		}
	}
	if !maps.Equal(have, said) {
		t.Errorf("there are %v\ndocumented are %v", slices.Sorted(maps.Keys(have)), slices.Sorted(maps.Keys(said)))
	}
	if !strings.Contains(page, fmt.Sprintf("`schema` is %d.", eventSchema)) {
		t.Error("the document is about another schema")
	}
}

func TestEventsForPeople(t *testing.T) {
	var b strings.Builder
	for _, e := range happenings() {
		printEvent(&b, e, false)
	}
	want := strings.ReplaceAll(`AT  link     box               connection 2 ready -> suspect, no byte for 15s, no answer
AT  host     box               ready
AT  host     a-host-with-a-long-name  connecting -> waiting, connection refused
AT  dial     box               attempt 3 failed, connection refused
AT  network  -                 eth0 has another address
AT  wake     -                 no byte for 1h0m0s
AT  forward  box               -R localhost:8080:db:80 active -> degraded
AT  muxd     -                 unlocked -> locked
AT  lost     -                 12 events were not told: this reader is too slow
AT  lost     -                 7 events were not told, the rest of it
`, "AT", noon.Local().Format("2006-01-02 15:04:05"))
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

func TestParseAbout(t *testing.T) {
	flags := map[string]bool{"--for": true, "--json": false}
	for args, want := range map[string]string{
		"":                    "[] false map[]",
		"a b":                 "[a b] false map[]",
		"--all":               "[] true map[]",
		"a --for down --json": "[a] false map[--for:down --json:]",
		"--for=down a":        "[a] false map[--for:down]",
		"--for= a":            "[a] false map[--for:]",
		"-- --all -x":         "[--all -x] false map[]",
		"-x":                  `unknown argument "-x"`,
		"--json=1":            `unknown argument "--json=1"`,
		"a --for":             "--for: a value is missing",
	} {
		a, err := parseAbout(strings.Fields(args), flags)
		got := fmt.Sprintf("%v %v %v", a.hosts, a.all, a.flags)
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q: %s, want %s", args, got, want)
		}
	}
	for text, want := range map[string]time.Duration{"30s": 30 * time.Second, "5": 5 * time.Second, "1m30s": 90 * time.Second, "0": 0, "-1": 0, "": 0, "x": 0, "10us": 0} {
		if d, err := timeOf("--timeout", text); d != want || (err == nil) != (want > 0) {
			t.Errorf("%q: %v, %v", text, d, err)
		}
	}
}
