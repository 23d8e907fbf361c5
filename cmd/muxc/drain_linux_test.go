package main

import (
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"

	"muxd/control"
)

// TestLockAndUnlock: as a person uses it. What runs goes on.
func TestLockAndUnlock(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	lock := func(command, out string) {
		t.Helper()
		h.run(h.command("muxd", command), nil).is(t, out, "", 0)
	}
	lock("unlock", "muxd is not running\n")
	lock("lock", "muxd is locked: nothing new begins until muxd unlock\n") // by one that was started for it
	h.run(h.muxc("box", "true"), nil).fails(t, `box: muxd is locked \(muxd unlock opens it again`)
	if n := h.sshd.Logins(); n != 0 {
		t.Errorf("%d logins", n)
	}
	lock("unlock", "muxd is unlocked\n")
	in, feed := io.Pipe()
	cat := h.start(h.muxc("box", "cat"), in)
	io.WriteString(feed, "before\n")
	cat.says("before\n")
	lock("lock", "muxd is locked: nothing new begins until muxd unlock; one session goes on\n")
	for _, args := range [][]string{{"box", "true"}, {"-W", "localhost:1", "box"}, {"-N", "box"}, {"-f", "-N", "-L", h.dir + "/s:localhost:1", "box"}} {
		h.run(h.muxc(args...), nil).fails(t, `box: muxd is locked`)
	}
	if r := h.run(h.command("muxd", "status"), nil); r.code != 0 || !strings.Contains(r.out, "nothing new begins until muxd unlock") {
		t.Errorf("status: %+v", r)
	}
	io.WriteString(feed, "after\n")
	feed.Close()
	cat.wait().is(t, "before\nafter\n", "", 0)
	lock("unlock", "muxd is unlocked\n")
	h.echo()
	if r := h.run(h.command("muxd", "lock", "box"), nil); r.code != 2 {
		t.Errorf("a lock of one host: %+v", r)
	}
	r := h.run(h.command("muxd", "events", "--since", "1h", "--no-follow"), nil)
	if n := strings.Count(r.out, "unlocked -> locked\n"); n != 2 || r.code != 0 || r.err != "" {
		t.Errorf("%d locks in the history: %+v", n, r)
	}
}

// TestDrain: the session that runs is served to its end by the muxd that drains,
// and whatever comes meanwhile by another one. In a script nothing is said of it.
func TestDrain(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	h.run(h.command("muxd", "stop", "--drain"), nil).is(t, "muxd is not running\n", "", 0)
	in, feed := io.Pipe()
	cat := h.start(h.muxc("box", "cat"), in)
	io.WriteString(feed, "before\n")
	cat.says("before\n")
	old := h.pid()
	r := h.run(h.command("muxd", "stop", "--drain", "--timeout", "100ms"), nil)
	if want := fmt.Sprintf("box: cat (pid %d); it goes on (kill %d ends it)\n", cat.cmd.Process.Pid, old); r.code != 1 || r.out != "" || !strings.HasSuffix(r.err, want) {
		t.Errorf("not within its time: %+v, want %q", r, want)
	}
	h.echo() // by another one
	if !isMuxd(old) {
		t.Error("the one that drains has gone")
	}
	io.WriteString(feed, "after\n")
	feed.Close()
	cat.wait().is(t, "before\nafter\n", "", 0)
	h.eventually("the muxd that drains ends", func() bool { return !isMuxd(old) })
	if next := h.pid(); next == old {
		t.Error("no other muxd runs")
	}
	h.echo()
	if n := h.sshd.Logins(); n != 2 {
		t.Errorf("%d logins, want one for each muxd", n)
	}
}

// feeds starts a command that runs until its input is closed.
func (h *host) feeds() (cat *running, feed io.WriteCloser) {
	h.t.Helper()
	in, feed := io.Pipe()
	cat = h.start(h.muxc("box", "cat"), in)
	io.WriteString(feed, "here\n")
	cat.says("here\n")
	return cat, feed
}

// TestDrainOnATerminal says after a second what it waits for.
func TestDrainOnATerminal(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	cat, feed := h.feeds()
	pid := h.pid()
	s := h.onScreen(h.command("muxd", "stop", "--drain"))
	s.shows(fmt.Sprintf("muxd: waiting for box: cat (pid %d)", cat.cmd.Process.Pid))
	feed.Close()
	s.shows(fmt.Sprintf("muxd (pid %d) has drained; it held 1 connection", pid))
	s.ends(0)
	cat.wait().is(t, "here\n", "", 0)
}

// TestDrainBySignal is for whoever speaks another version of the protocol.
func TestDrainBySignal(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	cat, feed := h.feeds()
	old := h.pid()
	syscall.Kill(old, syscall.SIGUSR1)
	h.eventually("it drains", func() bool { return strings.Contains(h.log(), "msg=draining") })
	h.echo()
	feed.Close()
	cat.wait().is(t, "here\n", "", 0)
	h.eventually("it ends", func() bool { return !isMuxd(old) })
}

// later is what a muxc of a later version gets for an answer.
func (h *host) later() string {
	h.t.Helper()
	c := h.dial()
	defer c.Close()
	c.Write(append(preface(otherVersion, control.FlagOne, 4), "what"...))
	b, _ := io.ReadAll(c) // the end may be a reset: muxd did not read all
	return string(b)
}

// TestLaterVersionTakesOver where nothing is lost by it, and only there.
func TestLaterVersionTakesOver(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	cat, feed := h.feeds()
	old := h.pid()
	if b := h.later(); !strings.HasPrefix(b, "MUXD") {
		t.Errorf("with a session: %q", b)
	}
	feed.Close()
	cat.wait().is(t, "here\n", "", 0)
	h.run(h.command("muxd", "lock"), nil)
	if b := h.later(); !strings.HasPrefix(b, "MUXD") {
		t.Errorf("locked: %q", b)
	}
	h.run(h.command("muxd", "unlock"), nil)
	h.eventually("it makes way", func() bool { return !isMuxd(old) || h.later() == "" }) // once it has seen the clients off
	h.eventually("it ends", func() bool { return !isMuxd(old) })
	h.echo()
	if n := h.sshd.Logins(); n != 2 {
		t.Errorf("%d logins", n)
	}
}
