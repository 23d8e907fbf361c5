package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"muxd/internal/sshtest"
)

// Faults of muxd and of the machine: F25 and F27 of the fault matrix.

// startMuxd starts a muxd by a line of shell that ends with $muxd.
func (h *host) startMuxd(script string) *running {
	h.t.Helper()
	p := h.start(h.sh(strings.ReplaceAll(script, "$muxd", "exec "+bin+"/muxd")), nil)
	h.eventually("muxd listens", func() bool { return len(pidsIn(h.logPath())) == 1 })
	return p
}

// descriptors is how many muxd has open.
func (h *host) descriptors() int {
	h.t.Helper()
	list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", h.pid()))
	if err != nil {
		sshtest.Lacks(h.t, "root", fmt.Errorf("to see muxd's descriptors: %w", err))
	}
	return len(list)
}

// fewDescriptors is a host whose muxd may open 64 files, and a session on it
// that repeats what it is fed.
func fewDescriptors(t *testing.T) (h *host, works func()) {
	h = startHost(t, "MaxSessions 100")
	h.startMuxd("ulimit -n 64; $muxd")
	in, feed := pipe(t)
	p := h.start(h.muxc("box", "exec cat"), in)
	n := 0
	return h, func() {
		t.Helper()
		n++
		fmt.Fprintf(feed, "line %d\n", n)
		p.says(fmt.Sprintf("line %d\n", n))
	}
}

// quick runs something that must come to its end soon, be muxd ever so short of
// descriptors.
func (h *host) quick(c *exec.Cmd) result {
	h.t.Helper()
	r := h.run(c, nil)
	if r.took > 2*time.Second+soon { // one, on a machine that has nothing else to do
		h.t.Errorf("%q took %v", c.Args, r.took)
	}
	return r
}

// TestSilentCrowd is F25 with clients that say nothing: they keep nobody out.
func TestSilentCrowd(t *testing.T) {
	t.Parallel()
	h, works := fewDescriptors(t)
	works()
	before := h.descriptors()
	var idle []net.Conn
	for range 200 {
		c, err := net.Dial("unix", h.socket())
		if err != nil {
			t.Fatal(err)
		}
		idle = append(idle, c)
		defer c.Close()
	}
	for range 5 {
		if r := h.quick(h.command("muxd", "status", "--json")); r.code != 0 || r.err != "" {
			t.Errorf("muxd status: %+v", r)
		}
		works()
	}
	h.eventually("commands are served beside the silent ones", func() bool {
		r := h.quick(h.muxc("box", "echo works"))
		if r.code == 255 {
			r.fails(t, `box: muxd refused: too many open files`) // the silent ones had no time to speak yet
		}
		return r.code == 0
	})
	for range 5 {
		h.quick(h.muxc("box", "echo works")).is(t, "works\n", "", 0)
	}
	works()
	for _, c := range idle {
		c.Close()
	}
	h.eventually("their descriptors are free", func() bool { return h.descriptors() <= before })
	if n := h.sshd.Logins(); n != 1 {
		t.Errorf("%d logins, want 1", n)
	}
}

// TestBusyCrowd is F25 with more clients than muxd can have: those who are
// served notice nothing, the others know at once, and it passes.
func TestBusyCrowd(t *testing.T) {
	t.Parallel()
	h, works := fewDescriptors(t)
	works()
	before := h.descriptors()
	stdin := blocked(t)
	var all []*running
	for range 80 {
		all = append(all, h.start(h.muxc("box", "echo up; exec cat"), stdin))
	}
	var served, refused []*running
	for _, p := range all {
		h.eventually("it is served or refused", func() bool { return closed(p.done) || p.out.String() == "up\n" })
		if p.out.String() == "up\n" {
			served = append(served, p)
			continue
		}
		refused = append(refused, p)
		// On a busy machine the youngest are refused before they came to speak.
		p.wait().fails(t, `box: muxd refused: too many (open files: muxd serves as many clients as its limit allows \(ulimit -n, where muxd is started\)|connections that say nothing)`)
	}
	if len(served) < 20 || len(refused) < 20 {
		t.Errorf("%d are served and %d refused, of 64 descriptors", len(served), len(refused))
	}
	for range 3 {
		works()
		h.quick(h.muxc("box", "true")).fails(t, `box: muxd refused: too many open files`)
		if r := h.quick(h.command("muxd", "status", "--json")); r.code != 0 || strings.Count(r.out, `"exec"`) != len(served)+1 {
			t.Errorf("muxd status: exit %d, %q, %d sessions, want %d", r.code, r.err, strings.Count(r.out, `"exec"`), len(served)+1)
		}
	}
	for _, p := range served {
		p.cmd.Process.Kill()
	}
	h.eventually("it has passed", func() bool { return h.descriptors() <= before })
	h.echo()
	works()
	if n := h.sshd.Logins(); n != 1 {
		t.Errorf("%d logins, want 1", n)
	}
}

// stopMuxd stops muxd (SIGSTOP) and returns when all of it is: the signal goes to
// one thread, and the others run until that one does.
func (h *host) stopMuxd() (goOn func()) {
	h.t.Helper()
	pid := h.pid()
	kill(h.t, pid, syscall.SIGSTOP)
	h.eventually("all of muxd is stopped", func() bool {
		threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
		return !slices.ContainsFunc(threads, func(path string) bool { return !strings.Contains(maybe(path), ") T ") })
	})
	return func() { kill(h.t, pid, syscall.SIGCONT) }
}

// stopFor is a stop that netwatch reports in any case: it takes what is longer
// than two of its ticks of 5 s for one, and a tick may just have been.
const stopFor = 16 * time.Second

// TestStoppedMuxdAndAHealthyLink is F27 with a server that was well all the
// while: nothing was lost, and nothing is made anew.
func TestStoppedMuxdAndAHealthyLink(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	in, feed := pipe(t)
	p := h.start(h.muxc("box", "exec cat"), in)
	feed.WriteString("before\n")
	p.says("before\n")
	w := h.watch()
	goOn := h.stopMuxd()
	feed.WriteString("meanwhile\n")
	time.Sleep(stopFor)
	goOn()
	p.says("meanwhile\n")
	h.eventually("muxd knows that nothing ran", func() bool { return len(w.of("wake")) == 1 })
	if e := w.of("wake")[0]; e.SilenceMS < 10_000 || e.SilenceMS > stopFor.Milliseconds()+10_000 {
		t.Errorf("%+v", e)
	}
	h.echo()
	h.holds(4*time.Second, "the connection stays", func() bool { return len(w.of("link")) == 0 }) // longer than the short verdict
	feed.WriteString("after\n")
	feed.Close()
	p.wait().is(t, "before\nmeanwhile\nafter\n", "", 0)
	w.reaches("ready")
	if n := h.sshd.Logins(); n != 1 || len(w.of("dial")) != 0 {
		t.Errorf("%d logins, want 1; %+v", n, w.of("dial"))
	}
}

// TestStoppedMuxdAndADeadLink is F27 with a connection that is dead after the
// stop and does not say so: it is doubted after the short verdict and there is
// another one then, for those who wait and for those who come. Its session has
// its budget.
func TestStoppedMuxdAndADeadLink(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	p := h.waiting(1)[0]
	w := h.watch()
	goOn := h.stopMuxd()
	h.sshd.PauseSessions()
	time.Sleep(stopFor)
	goOn()
	began := time.Now()
	h.eventually("muxd knows that nothing ran", func() bool { return len(w.of("wake")) == 1 })
	h.echo("-o", "WaitForReady=yes")
	if took := time.Since(began); took > 5*time.Second+soon {
		t.Errorf("served %v after muxd went on", took)
	}
	if n := h.sshd.Logins(); n != 2 {
		t.Errorf("%d logins, want 2", n)
	}
	var links []string
	for _, e := range w.of("link") {
		links = append(links, e.From+">"+e.To)
	}
	if !slices.Equal(links, []string{"ready>suspect", ">ready"}) {
		t.Errorf("connections: %v", links)
	}
	if closed(p.done) {
		t.Errorf("the session on the silent connection was ended: %+v", p.wait())
	}
	h.sshd.ResumeSessions()
	h.eventually("the old connection answers again and drains", func() bool {
		l := w.of("link")
		return l[len(l)-1].To == "draining"
	})
	p.signal(syscall.SIGTERM)
	p.wait()
}

// TestStoppedMuxdBeyondTheBudget: a muxd that did not run for longer than the
// whole budget of a connection condemns none for it.
func TestStoppedMuxdBeyondTheBudget(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	in, feed := pipe(t)
	p := h.start(h.muxc("-o", "ServerAliveInterval=1", "-o", "ServerAliveCountMax=1", "box", "exec cat"), in)
	feed.WriteString("before\n")
	p.says("before\n")
	w := h.watch()
	goOn := h.stopMuxd()
	time.Sleep(4 * time.Second) // the budget is 2
	goOn()
	h.holds(3*time.Second, "the connection stays", func() bool { return len(w.of("link")) == 0 })
	feed.WriteString("after\n")
	feed.Close()
	p.wait().is(t, "before\nafter\n", "", 0)
	if n := h.sshd.Logins(); n != 1 {
		t.Errorf("%d logins, want 1", n)
	}
}
