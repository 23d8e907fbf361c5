package main

import (
	"strings"
	"testing"
	"time"
)

// These are the faults of a server, F1 to F4 of the matrix. With an interval of
// 1 s and a count of 6 silence is a doubt after 4 s (one of silence, and the
// short verdict) and the end after 7 s.

var interval1 = []string{"ServerAliveInterval 1", "ServerAliveCountMax 6", "ConnectTimeout 2"}

// loggedIn makes the first connection of a host whose ConnectTimeout is short
// for the sake of what comes later: a first attempt that fails is told, not
// repeated, and a busy machine may take seconds for a handshake.
func (h *host) loggedIn() {
	h.t.Helper()
	h.run(h.muxc("-o", "ConnectTimeout=60", "box", "true"), nil).is(h.t, "", "", 0)
}

// TestServersSessionStopped (F1): new work moves to another connection once the
// silence is a doubt, and the old one is given its whole time.
func TestServersSessionStopped(t *testing.T) {
	t.Parallel()
	h, _ := startNetHost(t, interval1...)
	h.loggedIn()
	old := h.waiting(2)
	e := h.listen()
	h.sshd.PauseSessions()
	time.Sleep(time.Second) // a command that comes at once is sent without another proof
	began := time.Now()
	h.echo("-o", "WaitForReady=yes")
	if took := time.Since(began); took > 7*time.Second+soon { // on a late machine the doubt was there before it
		t.Errorf("a command met the silence and was through after %v", took)
	}
	if closed(old[0].done) || closed(old[1].done) {
		t.Error("a session ended before its time")
	}
	for _, p := range old {
		h.noAnswer(p, "up\n", 7)
	}
	e.are("host ready", "link 1 suspect", "host suspect", "link 2 ready", "host ready", "link 1 dead")
	if s := e.of("link 1 suspect").SilenceMS; s < 3500 || s > 7000+soon.Milliseconds() {
		t.Errorf("a doubt after %d ms of silence", s)
	}
	h.echo()
	h.logins(2)
}

// TestServersSessionGoesOn (F1): a session whose process was stopped and goes on
// in time has lost nothing, whatever was dialled beside it meanwhile.
func TestServersSessionGoesOn(t *testing.T) {
	t.Parallel()
	h, _ := startNetHost(t, "ServerAliveInterval 1", "ServerAliveCountMax 20", "ConnectTimeout 5")
	h.loggedIn()
	f := h.flowing()
	e := h.listen()
	h.sshd.PauseSessions()
	e.of("link 2 ready")
	e.are("host ready", "link 1 suspect", "host suspect", "link 2 ready", "host ready")
	h.echo() // on the second
	h.sshd.ResumeSessions()
	e.of("link 1 draining")
	f.moves()
	f.whole()
	e.are("host ready", "link 1 suspect", "host suspect", "link 2 ready", "host ready", "link 1 ready", "link 1 draining", "link 1 dead")
	if why := e.of("link 1 dead").Text; why != "replaced" {
		t.Errorf("the old connection ended because: %s", why)
	}
	h.logins(2)
}

// TestListenerStopped (F2): a listener that accepts and says nothing is no
// matter for what is connected, and a dial is not left hanging in it.
func TestListenerStopped(t *testing.T) {
	t.Parallel()
	h, _ := startNetHost(t, interval1...)
	h.loggedIn()
	f := h.flowing()
	e := h.listen()
	h.sshd.PauseListener()
	h.echo()
	if r := h.run(h.command("muxd", "recycle", "--all"), nil); r.code != 1 ||
		!strings.Contains(r.err, "the connection was kept: the server did not finish the SSH handshake in time") {
		t.Errorf("recycle: %+v", r)
	}
	f.moves()
	e.are("host ready")

	h.sshd.KillSessions()
	wasLost(t, f.p, f.p.out.String(), `connection lost \([^()]+\)`+stillRuns)
	f.prefix()
	began := time.Now()
	r := h.run(h.muxc("-o", "WaitForReady=5", "box", "true"), nil)
	r.fails(t, `box: the server did not finish the SSH handshake in time \(waited 5s; WaitForReady sets how long\)`)
	if took := time.Since(began); took < 5*time.Second || took > 7*time.Second+soon {
		t.Errorf("WaitForReady=5 waited %v", took)
	}
	e.are("host ready", "link 1 dead")
	if causes := e.dials(); len(causes) < 2 {
		t.Errorf("attempts with a limit of 2 s, in 5 s: %q", causes)
	}
	patient := h.start(h.muxc("-o", "WaitForReady=yes", "box", "echo works"), nil)
	time.Sleep(500 * time.Millisecond)
	h.sshd.ResumeListener()
	patient.wait().is(t, "works\n", "", 0)
	e.are("host ready", "link 1 dead", "link 2 ready", "host ready")
	h.logins(2)
}

// TestServersSessionKilledAndBack (F3): whoever had a session is told at once,
// and the connection is back before anybody asks for it.
func TestServersSessionKilledAndBack(t *testing.T) {
	t.Parallel()
	h, _ := startNetHost(t)
	old := h.waiting(3)
	e := h.listen()
	h.sshd.KillSessions()
	killed := time.Now()
	for _, p := range old {
		wasLost(t, p, "up\n", `connection lost \((the server closed the connection|connection reset by peer)\)`+stillRuns)
	}
	if took := time.Since(killed); took > 2*time.Second+soon {
		t.Errorf("it took %v to say so", took)
	}
	e.of("link 2 ready")
	e.are("host ready", "link 1 dead", "link 2 ready", "host ready")
	if d := e.of("link 2 ready").Time.Sub(e.of("link 1 dead").Time); d > 2*time.Second+soon {
		t.Errorf("back after %v", d)
	}
	h.echo()
	h.logins(2)
}

// TestReset (F4): a reset ends the connection for good, though the server hears
// nothing of it. What ran may still run, and the line says so; what comes next
// waits for the path.
func TestReset(t *testing.T) {
	t.Parallel()
	requireTerminals(t)
	h, n := startNetHost(t, interval1...)
	h.loggedIn()
	pid := h.start(h.muxc("box", "echo $$; exec cat"), blocked(t))
	pid.says("\n")
	s := h.onScreen(h.muxc("-t", "box", "echo up; exec cat"))
	s.shows("up\r\n")
	s.becomesRaw()
	e := h.listen()
	n.Reset()
	s.types("x\r")
	s.ends(255)
	s.expect(`muxc: box: connection lost \(connection reset by peer\)(?: after \d+s of silence)?` + stillRuns + `\r\n(?:x\r\n)?\z`) // typed behind the end where that came by a keepalive
	s.restored(s.fresh)
	wasLost(t, pid, pid.out.String(), `connection lost \(connection reset by peer\)`+stillRuns)
	patient := h.start(h.muxc("-o", "WaitForReady=yes", "box", "kill -0 "+strings.TrimSpace(pid.out.String())+" && echo still"), nil)
	h.eventually("refused", func() bool { return strings.Contains(strings.Join(e.dials(), "\n"), "connection refused") })
	if closed(patient.done) {
		t.Error("a command that waits ended before the path was there")
	}
	n.Heal()
	patient.wait().is(t, "still\n", "", 0)
	e.are("host ready", "link 1 dead", "link 2 ready", "host ready")
	h.logins(2)
}
