package main

import (
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"muxd/internal/sshtest"
)

// Faults of the server: F12 to F15, F17 and F18 of the fault matrix.

// changedKey is the line about a server whose key is not the known one. It
// names both keys and where the known one is written.
func changedKey(s *sshtest.SSHD) string {
	return `box: host key verification failed: the host key has changed: ` + s.KnownHosts +
		`:1 lists ED25519 SHA256:\S+, the server presents ED25519 SHA256:\S+; if that is expected: ssh-keygen -f `
}

// TestAnotherServer is F12: the name leads to another server, with another key.
// It learns nothing of the person, and no timer goes there again; each request
// does once, and so does a known_hosts that changed.
func TestAnotherServer(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	other := sshtest.StartSSHD(t, "LogLevel DEBUG2")
	other.Authorize(t, h.sshd.Key)
	proxy := h.through()
	all := h.waiting(1)
	w := h.watch()
	proxy.Retarget(other.Addr)
	proxy.Cut()
	h.lost(all, soon, `connection lost \(connection reset by peer\); the command may still be running`)
	w.reaches("ready", "trying", "blocked") // recent use wants it back
	h.holds(time.Second, "one attempt", func() bool { return dialled(other) == 1 })
	for n, args := range [][]string{{}, {"-o", "WaitForReady=yes"}} {
		r := h.run(h.muxc(append(args, "box", "true")...), nil)
		r.fails(t, changedKey(h.sshd))
		if r.took > soon {
			t.Errorf("%v: it took %v", args, r.took)
		}
		if got := dialled(other); got != n+2 {
			t.Errorf("%d connections after %d requests and the attempt before them", got, n+1)
		}
	}
	if log := other.Log(); strings.Contains(log, "userauth-request") || strings.Contains(log, "Failed ") || !strings.Contains(log, "SSH2_MSG_KEXINIT received") {
		t.Error("the other server was told who wants in, or its log does not tell")
	}
	if got := h.status().Hosts[0]; got.State != "blocked" || !regexp.MustCompile(`\A`+changedKey(h.sshd)[len("box: "):]).MatchString(got.LastError) {
		t.Errorf("%+v", got)
	}
	name, _, _ := strings.Cut(h.sshd.KnownHostsLine, " ")
	_, key, _ := strings.Cut(other.KnownHostsLine, " ")
	write(t, h.sshd.KnownHosts, name+" "+key+"\n")
	h.eventually("the changed cause makes an attempt", func() bool { return other.Logins() == 1 })
	w.reaches("ready", "trying", "blocked", "trying", "blocked", "trying", "blocked", "trying", "ready")
	h.echo()
	if a, b, n := h.sshd.Logins(), other.Logins(), dialled(other); a != 1 || b != 1 || n != 4 {
		t.Errorf("%d logins at the first server; %d at the other, of %d connections", a, b, n)
	}
}

// reboot ends sshd with all its sessions, closes its port for a while, and does
// what is to be done before it comes up again.
func (h *host) reboot(down time.Duration, before func()) {
	h.t.Helper()
	h.sshd.Kill()
	before()
	time.Sleep(down) // the outage is what is tested
	h.sshd.Restart(h.t)
}

// TestReboot is F14: who runs something learns that it may still run, it is not
// run again, and who waits is served by one login soon after the port opened.
func TestReboot(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	cmd, times := h.onceOnly("ran")
	p := h.start(h.muxc("box", cmd+"; echo up; exec cat"), blocked(t))
	p.says("up\n")
	w := h.watch()
	var waiting []*running
	h.reboot(2*time.Second, func() {
		h.lost([]*running{p}, soon, `connection lost \([^()]+\); the command may still be running`)
		h.run(h.muxc("box", "true"), nil).fails(t, `connection refused`)
		for range 3 {
			waiting = append(waiting, h.start(h.muxc("-o", "WaitForReady=yes", "box", "echo works"), nil))
		}
	})
	opened := time.Now()
	for _, p := range waiting {
		p.wait().is(t, "works\n", "", 0)
	}
	if took := time.Since(opened); took > 2*soon { // the pause is 3 s at most while somebody waits
		t.Errorf("served %v after the port opened", took)
	}
	w.reaches("ready", "trying", "ready")
	if n, ran := h.sshd.Logins(), times(); n != 2 || ran != 1 {
		t.Errorf("%d logins, want 2; the command ran %d times", n, ran)
	}
	tried := w.of("dial")
	if len(tried) == 0 || len(tried) > 8 { // a start each second at most
		t.Errorf("%d attempts while the port was closed", len(tried))
	}
	for _, e := range tried {
		if !strings.HasSuffix(e.Text, "connection refused") {
			t.Errorf("%+v", e)
		}
	}
}

// TestRebootOfAPinnedHost: it comes back with nobody there, and by one login.
func TestRebootOfAPinnedHost(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	h.wanted()
	h.echo()
	w := h.watch()
	h.reboot(time.Second, func() {})
	w.reaches("ready", "trying", "ready")
	h.echo()
	if n := h.sshd.Logins(); n != 2 {
		t.Errorf("%d logins, want 2", n)
	}
	if len(w.of("dial")) == 0 {
		t.Error("no attempt failed: the port was never closed")
	}
}

// TestRebootWithAnotherKey is F13: the wait ends where only a person can mend
// it, at once for all, and the host is left alone then, pinned or not.
func TestRebootWithAnotherKey(t *testing.T) {
	t.Parallel()
	for name, pinned := range map[string]bool{"clients wait": false, "pinned": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rebootWithAnotherKey(t, pinned)
		})
	}
}

func rebootWithAnotherKey(t *testing.T, pinned bool) {
	h := startHost(t)
	if pinned {
		h.wanted()
	}
	all := h.waiting(1)
	w := h.watch()
	var waiting []*running
	var before int
	h.reboot(time.Second, func() {
		h.lost(all, soon, `connection lost \([^()]+\); the command may still be running`)
		for i := 0; i < 2 && !pinned; i++ {
			waiting = append(waiting, h.start(h.muxc("-o", "WaitForReady=yes", "box", "echo works"), nil))
		}
		h.sshd.RotateHostKey(t)
		before = dialled(h.sshd)
	})
	for _, p := range waiting {
		p.wait().fails(t, changedKey(h.sshd))
	}
	w.reaches("ready", "trying", "blocked")
	h.holds(2*time.Second, "one attempt", func() bool { return dialled(h.sshd) == before+1 })
	h.run(h.muxc("-o", "WaitForReady=yes", "box", "true"), nil).fails(t, changedKey(h.sshd))
	w.reaches("ready", "trying", "blocked", "trying", "blocked")
	if n, logins := dialled(h.sshd)-before, h.sshd.Logins(); n != 2 || logins != 1 {
		t.Errorf("%d connections to the new server, want 2; %d logins", n, logins)
	}
}

// TestRestartOfTheListener is F15: who is in stays in.
func TestRestartOfTheListener(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	in, feed := pipe(t)
	p := h.start(h.muxc("box", "echo up; exec cat"), in)
	p.says("up\n")
	w := h.watch()
	h.sshd.Stop()
	if c, err := net.Dial("tcp", h.sshd.Addr); err == nil {
		c.Close()
		t.Fatal("the port is open: nothing is tested")
	}
	feed.WriteString("while it is down\n")
	p.says("while it is down\n")
	h.echo()
	h.sshd.Restart(t)
	feed.WriteString("afterwards\n")
	feed.Close()
	p.wait().is(t, "up\nwhile it is down\nafterwards\n", "", 0)
	h.echo()
	w.reaches("ready")
	if n := h.sshd.Logins(); n != 1 || len(w.of("link"))+len(w.of("dial")) != 0 {
		t.Errorf("%d logins, want 1; %+v", n, w.all())
	}
}

// TestMaxStartups is F17: a server that sends newcomers away is left alone for
// 5 s and then for 10, while one connection is tried at a time.
func TestMaxStartups(t *testing.T) {
	t.Parallel()
	h := startHost(t, "MaxStartups 1:100:1", "LoginGraceTime 60")
	h.cfg = h.sshd.ClientConfig(t, "box")
	silent, err := net.Dial("tcp", h.sshd.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	h.eventually("it counts as a newcomer", func() bool { return dialled(h.sshd) == 1 })
	const said = `box: the server refused the connection: "(Exceeded MaxStartups|Not allowed at this time)" \(too many logins are under way there`
	first := h.run(h.muxc("box", "true"), nil)
	first.fails(t, said)
	w := h.watch()
	var waiting []*running
	for range 3 {
		waiting = append(waiting, h.start(h.muxc("-o", "WaitForReady=yes", "box", "echo works"), nil))
	}
	h.eventually("they wait", func() bool { return h.status().Hosts[0].Waiting == 3 })
	silent.Close()
	for _, p := range waiting {
		p.wait().is(t, "works\n", "", 0)
	}
	w.reaches("idle", "trying", "ready")
	tries := logTimes(t, h.log(), `msg="(dial failed|logged in)"`)
	for i, wait := range []time.Duration{5 * time.Second, 10 * time.Second} {
		// The wait begins before its line is written, and the login takes some of it.
		if i+1 < len(tries) && tries[i+1].Sub(tries[i]) < wait-time.Second {
			t.Errorf("tried again after %v, want %v", tries[i+1].Sub(tries[i]), wait)
		}
	}
	// It is tried once more where all this took longer than the 5 s.
	if n := h.sshd.Logins(); n != 1 || len(tries) != 2 && len(tries) != 3 {
		t.Errorf("%d logins, tries at %v", n, tries)
	}
}

// logTimes are the times of the lines of muxd's log that match.
func logTimes(t *testing.T, log, pattern string) []time.Time {
	t.Helper()
	var times []time.Time
	for _, m := range regexp.MustCompile(`(?m)^time=(\S+) .*`+pattern).FindAllStringSubmatch(log, -1) {
		at, err := time.Parse(time.RFC3339Nano, m[1])
		if err != nil {
			t.Fatal(err)
		}
		times = append(times, at)
	}
	return times
}

// TestKeyTakenAway is F18: one attempt by itself, one for each request, and the
// first request after the key is back is served.
func TestKeyTakenAway(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	proxy := h.through()
	all := h.waiting(1)
	w := h.watch()
	h.sshd.Authorize(t)
	before := dialled(h.sshd)
	proxy.Cut()
	h.lost(all, soon, `connection lost \(connection reset by peer\); the command may still be running`)
	w.reaches("ready", "trying", "blocked")
	h.holds(2*time.Second, "one attempt", func() bool { return dialled(h.sshd) == before+1 })
	for n, args := range [][]string{{}, {"-o", "WaitForReady=yes"}} {
		h.run(h.muxc(append(args, "box", "true")...), nil).fails(t, `box: .*Permission denied \(publickey\)`)
		if got := dialled(h.sshd) - before; got != n+2 {
			t.Errorf("%d connections after %d requests and the attempt before them", got, n+1)
		}
	}
	w.reaches("ready", "trying", "blocked", "trying", "blocked", "trying", "blocked")
	h.sshd.Authorize(t, h.sshd.Key)
	h.holds(time.Second, "nobody asked, nothing that can be seen here has changed", func() bool { return dialled(h.sshd) == before+3 })
	h.echo()
	w.reaches("ready", "trying", "blocked", "trying", "blocked", "trying", "blocked", "trying", "ready")
	if n := h.sshd.Logins(); n != 2 {
		t.Errorf("%d logins, want 2", n)
	}
}
