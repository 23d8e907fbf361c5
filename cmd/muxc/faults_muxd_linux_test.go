package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
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
		h.t.Skip("needs to see muxd's descriptors: ", err)
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
	if r.took > 2*time.Second { // one, on a machine that has nothing else to do
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
		p.wait().fails(t, `box: muxd refused: too many open files: muxd serves as many clients as its limit allows \(ulimit -n, where muxd is started\)`)
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
