package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// drains starts a drain, which is under way when it returns.
func (h *host) drains() *running {
	h.t.Helper()
	p := h.start(h.command("muxd", "stop", "--drain"), nil)
	h.eventually("it drains", func() bool { return strings.Contains(h.log(), "msg=draining") })
	return p
}

// TestDrainUnderFire: of fifty commands that come while one muxd drains, and
// that find it, its end or another one, each runs once, and nothing is said.
func TestDrainUnderFire(t *testing.T) {
	t.Parallel()
	h := startHost(t, "MaxSessions 100")
	ran := filepath.Join(h.dir, "ran")
	var wg sync.WaitGroup
	results := make([]result, 50)
	for i := range results {
		if i == 15 { // the first ones log in
			wg.Go(func() {
				if r := h.run(h.command("muxd", "stop", "--drain"), nil); r.code != 0 || r.err != "" {
					t.Errorf("the drain: %+v", r)
				}
			})
		}
		p := h.start(h.muxc("box", fmt.Sprintf("echo %d >> %s; echo %d; exit %d", i, ran, i, i)), nil)
		wg.Go(func() { results[i] = p.wait() })
	}
	wg.Wait()
	for i, r := range results {
		if r.out != fmt.Sprintln(i) || r.err != "" || r.code != i {
			t.Errorf("%d: %+v", i, r)
		}
	}
	b, _ := os.ReadFile(ran)
	if n := len(strings.Fields(string(b))); n != len(results) {
		t.Errorf("%d commands ran", n)
	}
	h.eventually("one muxd is left", func() bool {
		n := 0
		for _, pid := range pidsIn(h.logPath()) {
			if isMuxd(pid) {
				n++
			}
		}
		return n == 1
	})
}

// TestDrainDespiteKills: neither the command that asked nor a muxd that is killed
// takes more with it than its own.
func TestDrainDespiteKills(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	cat, feed := h.feeds()
	old := h.pid()
	first := h.drains()
	first.signal(syscall.SIGKILL)
	first.wait()
	feed.Close()
	cat.wait().is(t, "here\n", "", 0)
	h.eventually("it ends without who asked", func() bool { return !isMuxd(old) })

	cat, feed = h.feeds()
	old = h.pid()
	drain := h.start(h.command("muxd", "stop", "--drain"), nil)
	h.eventually("it drains", func() bool { return strings.Count(h.log(), "msg=draining") == 2 })
	kill(t, old, syscall.SIGKILL)
	if r := drain.wait(); r.code != 1 || r.out != "" || r.err != "muxd: muxd went away\n" {
		t.Errorf("the drain of a muxd that was killed: %+v", r)
	}
	feed.Close() // for the test's own end of it: muxc has gone
	if r := cat.wait(); r.code != 255 || !strings.Contains(r.err, "may still be running") {
		t.Errorf("its session: %+v", r)
	}
	h.echo() // by another one
}

// TestDrainNamesWhoHolds: a window with muxc -N in it keeps a muxd from its end,
// which is said, until the window closes or somebody has had enough of it.
func TestDrainNamesWhoHolds(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	path := filepath.Join(h.dir, "fwd")
	hold := h.stand("-L", path+":"+h.sshd.Addr)
	old := h.pid()
	for _, limit := range []string{"100ms", "2s", "30s"} { // a busy machine does not say in the first what it waits for
		r := h.run(h.command("muxd", "stop", "--drain", "--timeout", limit), nil)
		want := fmt.Sprintf("muxd: not drained within %s, it still waits for box: -N (pid %d); it goes on (kill %d ends it)\n", limit, hold.cmd.Process.Pid, old)
		if r.code == 1 && r.out == "" && r.err == want {
			break
		}
		if limit == "30s" || !strings.Contains(r.err, fmt.Sprintf("waits for muxd (pid %d)", old)) {
			t.Errorf("%+v, want %q", r, want)
			break
		}
	}
	c, err := net.Dial("unix", path) // its forwards stand
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 4)
	if _, err := c.Read(b); err != nil || string(b) != "SSH-" {
		t.Errorf("%q, %v", b, err)
	}
	c.Close()
	hold.signal(syscall.SIGTERM)
	hold.wait()
	h.eventually("it ends with that", func() bool { return !isMuxd(old) })
}

// TestDrainActivated: a socket that the service manager holds stays where it is,
// so whoever comes while muxd drains is told, and the next muxd has it.
func TestDrainActivated(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	l, err := net.Listen("unix", h.socket())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f, err := l.(*net.UnixListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	activate := func() *running {
		c := h.sh("LISTEN_PID=$$ LISTEN_FDS=1 exec " + filepath.Join(bin, "muxd"))
		c.ExtraFiles = []*os.File{f}
		return h.start(c, nil)
	}
	first := activate()
	cat, feed := h.feeds()
	drain := h.drains()
	h.run(h.muxc("box", "true"), nil).fails(t, `box: this muxd takes on nothing new, because it was told to drain`)
	if b, err := os.ReadFile(h.logPath()); err != nil || strings.Count(string(b), "msg=listening") != 1 {
		t.Errorf("another muxd listens:\n%s", b)
	}
	feed.Close()
	cat.wait().is(t, "here\n", "", 0)
	if r := drain.wait(); r.code != 0 || r.err != "" {
		t.Errorf("%+v", r)
	}
	if r := first.wait(); r.code != 0 {
		t.Errorf("it ended as one that failed: %+v", r)
	}
	waits := h.start(h.muxc("box", "echo works"), nil) // the service manager has the socket, and starts the next
	activate()
	waits.wait().is(t, "works\n", "", 0)
}
