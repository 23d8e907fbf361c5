package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"muxd/control"
	"muxd/internal/sshtest"
)

// distant is a host behind a path that takes its time, with a master of ssh's on ctl
// and a path of muxd's on door.
type distant struct {
	*host
	ctl, door string
}

func startDistant(t testing.TB, rtt time.Duration) *distant {
	t.Helper()
	sshtest.Require(t, "ssh")
	h := startHost(t)
	h.through().Delay(rtt / 2)
	f := &distant{h, filepath.Join(h.dir, "ssh"), filepath.Join(h.dir, "muxd")}
	f.hold(f.door)
	r := f.run(f.ssh("-o", "ControlPersist=yes", "-MS", f.ctl, "box", "true"), nil)
	r.is(t, "", "", 0)
	t.Cleanup(func() { f.run(f.ssh("-S", f.ctl, "-O", "exit", "box"), nil) })
	return f
}

// quickest is what a command takes when nothing else holds it up, of several one
// after the other.
func (f *distant) quickest(n int, command func() *exec.Cmd) time.Duration {
	f.t.Helper()
	best := time.Hour
	for range n {
		r := f.run(command(), nil)
		if r.code != 0 {
			f.t.Fatalf("%+v", r)
		}
		best = min(best, r.took)
	}
	return best
}

// One round trip where ssh's own master takes two, by both doors, and a terminal
// no more than there.
func TestRoundTripsBesideSSH(t *testing.T) {
	t.Parallel()
	const rtt = 600 * time.Millisecond // much against what a busy machine adds
	f := startDistant(t, rtt)
	f.echo()
	// What ended in less than n round trips took fewer, however busy the machine is:
	// one try in many that does is a proof, and one that is held up says nothing.
	fewer := func(n int, name string, c *exec.Cmd) bool {
		r := f.run(c, nil)
		if r.code != 0 {
			t.Fatalf("%s: %+v", name, r)
		}
		t.Logf("%s: %v, with a round trip of %v", name, r.took, rtt)
		return r.took < time.Duration(n)*rtt
	}
	if fewer(2, "ssh -S", f.ssh("-S", f.ctl, "box", "true")) {
		t.Error("ssh -S takes fewer than two: there is nothing to win")
	}
	if fewer(2, "ssh -tt -S", f.ssh("-tt", "-S", f.ctl, "box", "true")) {
		t.Error("ssh -tt -S takes fewer than two: there is nothing to be equal to")
	}
	for name, c := range map[string]struct {
		fewer   int
		command func() *exec.Cmd
	}{
		"muxc":                  {2, func() *exec.Cmd { return f.muxc("box", "true") }},
		"ssh -S of muxd's path": {2, func() *exec.Cmd { return f.ssh("-S", f.door, "box", "true") }},
		"muxc -tt":              {3, func() *exec.Cmd { return f.muxc("-tt", "box", "true") }},
	} {
		tries := 0
		for tries < 20 && !fewer(c.fewer, name, c.command()) {
			tries++
		}
		if tries == 20 {
			t.Errorf("%s: no try of 20 took fewer than %d round trips", name, c.fewer)
		}
	}
}

// A channel opened ahead is nothing to see: the server runs nothing for it, and it
// is no session in status.
func TestSpareOnTheServer(t *testing.T) {
	t.Parallel()
	h := startHost(t, "LogLevel DEBUG1")
	h.echo()
	opens := func() int { return strings.Count(h.sshd.Log(), "server_input_channel_open: ctype session") }
	h.eventually("a second channel is opened", func() bool { return opens() == 2 })
	if n := strings.Count(h.sshd.Log(), "Starting session: "); n != 1 {
		t.Errorf("%d sessions were started\n%s", n, h.sshd.Log())
	}
	var st control.Status
	r := h.run(h.command("muxd", "status", "--json"), nil)
	if err := json.Unmarshal([]byte(r.out), &st); err != nil || strings.Contains(r.out, `"sessions":1`) {
		t.Errorf("%v: %s", err, r.out)
	}
	h.eventually("the processes of the command's session are gone", func() bool { return len(h.sshd.SessionPIDs()) <= 2 })
	h.echo()
	if n := h.sshd.Logins(); n != 1 {
		t.Errorf("%d logins", n)
	}
}

// Limits of a real sshd: with each number of places short commands come through
// by one login, one after the other and at once, and so do as many long ones.
func TestSparesAndMaxSessions(t *testing.T) {
	t.Parallel()
	for _, most := range []int{1, 2, 10} {
		t.Run(fmt.Sprint(most), func(t *testing.T) {
			h := startHost(t, fmt.Sprintf("MaxSessions %d", most))
			h.own("WaitForReady no\nMaxConnections 1\n")
			for range 5 {
				h.echo()
			}
			var all []*running
			for i := range 3 * most {
				all = append(all, h.start(h.muxc("box", fmt.Sprintf("sleep 0.1; echo %d", i)), nil))
			}
			for i, p := range all {
				p.wait().is(t, fmt.Sprintf("%d\n", i), "", 0)
			}
			long := h.waiting(most)
			for _, p := range long {
				p.cmd.Process.Kill()
			}
			h.echo()
			if n := h.sshd.Logins(); n != 1 {
				t.Errorf("%d logins", n)
			}
		})
	}
}

// A server that closes what lies idle costs no command.
func TestSparesAndChannelTimeout(t *testing.T) {
	t.Parallel()
	if out, _ := exec.Command("ssh", "-V").CombinedOutput(); strings.Contains(string(out), "OpenSSH_7") || strings.Contains(string(out), "OpenSSH_8") {
		sshtest.Lacks(t, "sshd", errors.New("one that knows ChannelTimeout"))
	}
	h := startHost(t, "ChannelTimeout session=1s")
	long := h.start(h.muxc("box", "while sleep 0.2; do echo x; done"), nil) // the connection is never silent
	for i := range 8 {
		h.echo()
		time.Sleep(time.Duration(i) * 300 * time.Millisecond)
	}
	long.cmd.Process.Kill()
	if n := h.sshd.Logins(); n != 1 {
		t.Errorf("%d logins", n)
	}
}

// BenchmarkRoundTrips compares a warm command with ssh's own master, over a path
// of 10 and 50 ms; only the ratio counts.
func BenchmarkRoundTrips(b *testing.B) {
	for _, rtt := range []time.Duration{10 * time.Millisecond, 50 * time.Millisecond} {
		b.Run(rtt.String(), func(b *testing.B) {
			f := startDistant(b, rtt)
			f.run(f.muxc("box", "true"), nil)
			var ours, theirs time.Duration
			for b.Loop() {
				ours += f.quickest(1, func() *exec.Cmd { return f.muxc("box", "true") })
				theirs += f.quickest(1, func() *exec.Cmd { return f.ssh("-S", f.ctl, "box", "true") })
			}
			n := float64(b.N)
			b.ReportMetric(float64(ours.Microseconds())/1e3/n, "ms/muxc")
			b.ReportMetric(float64(theirs.Microseconds())/1e3/n, "ms/ssh")
			b.ReportMetric(float64(ours)/float64(theirs), "muxc/ssh")
		})
	}
}
