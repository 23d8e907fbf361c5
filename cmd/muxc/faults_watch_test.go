package main

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"muxd/internal/sshtest"
)

// happening is what the tests look at of a line of muxd events --json.
type happening struct {
	Time              time.Time
	Kind, Host        string
	Link, Attempt     int
	From, To, Text    string
	SilenceMS         int64 `json:"silence_ms"`
	Addr, User, Event string
}

// watching is muxd events --json while a test does something.
type watching struct {
	h *host
	r *running
}

// watch begins to watch, of a muxd that runs: the first line is how it stands.
func (h *host) watch() *watching {
	h.t.Helper()
	w := &watching{h, h.start(h.command("muxd", "events", "--json"), nil)}
	w.r.says("\n")
	return w
}

// all are the events so far.
func (w *watching) all() (all []happening) {
	w.h.t.Helper()
	text := w.r.out.String()
	for line := range strings.Lines(text[:strings.LastIndexByte(text, '\n')+1]) {
		var e happening
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			w.h.t.Fatalf("%q: %v", line, err)
		}
		all = append(all, e)
	}
	return all
}

// of are the events of a kind.
func (w *watching) of(kind string) []happening {
	w.h.t.Helper()
	return slices.DeleteFunc(w.all(), func(e happening) bool { return e.Kind != kind })
}

// states are the states of the host box in order, the one it was met in first.
func (w *watching) states() (states []string) {
	w.h.t.Helper()
	for _, e := range w.of("host") {
		if e.Host == "box" {
			states = append(states, e.To)
		}
	}
	return states
}

// reaches waits until the host has been in these states, in this order and in
// no other. Between two attempts it may have been seen in connecting and
// waiting any number of times: a pause may be none.
func (w *watching) reaches(states ...string) {
	w.h.t.Helper()
	var got []string
	ok := until(long, func() bool {
		got = w.states()
		return len(got) > 0 && slices.Equal(folded(got), states)
	})
	if !ok {
		w.h.t.Fatalf("the states were %v, folded %v, want %v", got, folded(got), states)
	}
}

// folded has each run of waiting and connecting as one "trying".
func folded(states []string) (f []string) {
	for _, s := range states {
		if s == "waiting" || s == "connecting" {
			s = "trying"
		}
		if n := len(f); n == 0 || f[n-1] != s {
			f = append(f, s)
		}
	}
	return f
}

// dialled is how many connections a server's log speaks of.
func dialled(s *sshtest.SSHD) int { return strings.Count(s.Log(), "Connection from ") }

// holds fails the test when what is true does not stay so for d.
func (h *host) holds(d time.Duration, what string, ok func() bool) {
	h.t.Helper()
	if until(d, func() bool { return !ok() }) {
		h.t.Errorf("within %v it is no longer so: %s", d, what)
	}
}

// wanted has the host's connection wanted whether it is used or not.
func (h *host) wanted() {
	h.t.Helper()
	h.own("Pinned yes\nWaitForReady no\n")
}

// onceOnly is a command that leaves a mark for each time that it is run.
func (h *host) onceOnly(name string) (command string, times func() int) {
	path := h.dir + "/" + name
	return "echo x >>" + path, func() int { return strings.Count(maybe(path), "x") }
}
