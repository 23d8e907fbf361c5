package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"muxd/internal/sshtest"
)

// linkUse is what a connection is for, and how many sessions it carries.
type linkUse struct {
	Use      string
	Sessions int
}

// linkUses are those of the one host.
func (h *host) linkUses() []linkUse {
	h.t.Helper()
	var st struct{ Hosts []struct{ Links []linkUse } }
	out := h.run(h.command("muxd", "status", "--json"), nil).out
	if err := json.Unmarshal([]byte(out), &st); err != nil || len(st.Hosts) != 1 {
		h.t.Fatalf("%v: %s", err, out)
	}
	return st.Hosts[0].Links
}

// TestMoreSessionsThanTheServerTakes (F16): all that are asked for at once run,
// on as many connections as it takes and may take; who finds no place is told for
// what it waits; what needs no place does not wait.
func TestMoreSessionsThanTheServerTakes(t *testing.T) {
	t.Parallel()
	requireTerminals(t)
	h := startHost(t, "MaxSessions 10")
	h.ownConfig("MaxConnections 3\n")
	var all []*running
	for range 25 {
		all = append(all, h.start(h.muxc("box", "echo up; exec cat"), blocked(t)))
	}
	for _, p := range all {
		p.says("up\n")
	}
	if n := h.sshd.Logins(); n != 3 {
		t.Errorf("25 sessions took %d logins", n)
	}
	for range 5 {
		all = append(all, h.start(h.muxc("box", "echo up; exec cat"), blocked(t)))
		all[len(all)-1].says("up\n")
	}
	for i, l := range h.linkUses() {
		if l.Sessions != 10 || l.Use == "" {
			t.Errorf("connection %d: %+v", i, l)
		}
	}
	const why = "the server takes 10 sessions on a connection, one has to end; MaxConnections is 3"
	h.run(h.muxc("-o", "WaitForReady=2", "box", "true"), nil).fails(t, `box: `+why+` \(no place for 2s; WaitForReady sets how long\)`)
	s := h.onScreen(h.muxc("box", "echo works"))
	s.resize(33, 180)
	s.shows("muxc: box: waiting (" + why + ")")
	f := serveTCP(t, parrot)
	h.run(h.muxc("-W", f.addr, "box"), strings.NewReader("direct")).is(t, "direct", "", 0)
	kill(t, all[0].cmd.Process.Pid, 15)
	s.ends(0)
	s.expect(`works\r\n\z`)
	for _, p := range all[1:] {
		if closed(p.done) || p.err.String() != "" {
			t.Fatalf("a session that had a place: %+v", p.wait())
		}
	}
	if n := h.sshd.Logins(); n != 3 {
		t.Errorf("%d logins", n)
	}
	h.run(h.command("muxd", "stop", "--force"), nil)
	if b, err := os.ReadFile(filepath.Join(h.dir, "state/muxd/learned.json")); err != nil || !strings.Contains(string(b), `"max_sessions": 10`) {
		t.Errorf("what is left for the next muxd: %v %s", err, b)
	}
}

// TestOneSessionAConnection: a server with MaxSessions 1. Its connections are
// pooled: a command after the first ones costs no login.
func TestOneSessionAConnection(t *testing.T) {
	t.Parallel()
	h := startHost(t, "MaxSessions 1")
	var all []*running
	for range 3 {
		all = append(all, h.start(h.muxc("box", "echo up; exec cat"), blocked(t)))
	}
	for _, p := range all {
		p.says("up\n")
	}
	for _, p := range all {
		p.signal(15)
		p.wait()
	}
	h.eventually("no session", func() bool {
		n := 0
		for _, l := range h.linkUses() {
			n += l.Sessions
		}
		return n == 0
	})
	for range 10 {
		h.echo()
	}
	if n := h.sshd.Logins(); n != 3 {
		t.Errorf("%d logins", n)
	}
}

// TestNoSessionsAtAll: a server with MaxSessions 0 is for forwards, and a command
// is told so.
func TestNoSessionsAtAll(t *testing.T) {
	t.Parallel()
	h := startHost(t, "MaxSessions 0")
	f := serveTCP(t, parrot)
	for range 2 {
		h.run(h.muxc("box", "true"), nil).fails(t, `box: the server refused a session`)
		h.run(h.muxc("-W", f.addr, "box"), strings.NewReader("direct")).is(t, "direct", "", 0)
	}
	if n := h.sshd.Logins(); n != 1 {
		t.Errorf("%d logins", n)
	}
}

// TestTransferHasItsOwnConnection: beside a person's shell a transfer does not
// share its connection; without one it costs no login.
func TestTransferHasItsOwnConnection(t *testing.T) {
	t.Parallel()
	requireTerminals(t)
	sshtest.Require(t, "scp")
	h := startHost(t)
	h.random("file", 1<<20)
	copies := func() {
		t.Helper()
		h.ok(h.command("scp", "-q", "-S", h.wrapped(), filepath.Join(h.dir, "file"), "box:"+filepath.Join(h.dir, "copy")))
	}
	copies()
	if n := h.sshd.Logins(); n != 1 {
		t.Errorf("%d logins for a copy and no shell", n)
	}
	s := h.onScreen(h.muxc("-t", "-o", "Bulk=yes", "box", "echo up; exec cat"))
	s.shows("up\r\n")
	copies()
	copies()
	if n := h.sshd.Logins(); n > 2 {
		t.Errorf("%d logins", n)
	}
	// Where a login takes longer than a copy is to wait, the second one found it.
	h.eventually("a connection for transfers", func() bool {
		links := h.linkUses()
		return len(links) == 2 && links[0] == linkUse{"main", 1} && links[1] == linkUse{"bulk", 0}
	})
	p := h.start(h.muxc("-o", "Bulk=yes", "box", "echo up; exec cat"), blocked(t))
	p.says("up\n")
	if links := h.linkUses(); links[1] != (linkUse{"bulk", 1}) || links[0] != (linkUse{"main", 1}) {
		t.Errorf("%+v", links)
	}
}
