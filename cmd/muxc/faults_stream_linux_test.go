package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"muxd/internal/sshtest"
)

// Faults of the path: F32, F33 and F35 of the fault matrix.

// path is a way of its own to the sshd of a host: another port, and so another
// connection.
type path struct {
	*sshtest.Proxy
	port string
}

// paths has the name box mean the sshd whatever the port (-p), and returns a
// maker of ways to it.
func (h *host) paths() (make func() path) {
	h.t.Helper()
	h.cfg = h.sshd.ClientConfig(h.t, "box", "HostKeyAlias ["+h.sshd.Host+"]:"+strconv.Itoa(h.sshd.Port))
	return func() path {
		p := sshtest.NewProxy(h.t, h.sshd.Addr)
		_, port, _ := net.SplitHostPort(p.Addr)
		return path{p, port}
	}
}

// TestCutAtEveryPhase is F33: what was not handed over when the connection was
// cut is carried out all the same, and nobody notices. From then on it is lost,
// the line says so, and nothing runs twice.
func TestCutAtEveryPhase(t *testing.T) {
	t.Parallel()
	for name, d := range map[string]sshtest.Direction{"up": sshtest.Up, "down": sshtest.Down} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := startHost(t)
			path := h.paths()
			h.run(h.muxc("-p", path().port, "box", "echo x >>ran"), nil).is(t, "", "", 0)
			all := int64(h.carried(d))
			var at []int64
			for n := int64(1); n < all-320; n += all / 16 {
				at = append(at, n)
			}
			early := len(at)
			for n := all - 320; n < all+32; n += 16 { // the command, and its end
				at = append(at, n)
			}
			cutAtEach(t, h, d, path, at, early)
		})
	}
}

// carried is how many bytes went over the host's one connection.
func (h *host) carried(d sshtest.Direction) int64 {
	h.t.Helper()
	time.Sleep(100 * time.Millisecond) // the channel's end is on its way
	m := regexp.MustCompile(map[sshtest.Direction]string{sshtest.Up: `"bytes_out": (\d+)`, sshtest.Down: `"bytes_in": (\d+)`}[d]).
		FindStringSubmatch(h.run(h.command("muxd", "status", "--json"), nil).out)
	if m == nil {
		h.t.Fatal("muxd status tells of no bytes")
	}
	n, _ := strconv.ParseInt(m[1], 10, 64)
	return n
}

func cutAtEach(t *testing.T, h *host, d sshtest.Direction, path func() path, at []int64, early int) {
	var all []*running
	var counts []func() int
	for i, n := range at {
		p := path()
		p.CutAfter(d, n)
		cmd, times := h.onceOnly(fmt.Sprint("ran", i))
		all, counts = append(all, h.start(h.muxc("-o", "WaitForReady=yes", "-p", p.port, "box", cmd), nil)), append(counts, times)
	}
	// Behind the first cut that came too late for a silent retry, whether the end
	// of the command is heard is a race with the reset.
	const retried, lost, heard = 0, 1, 2
	phase, seen := retried, [3]int{}
	for i, p := range all {
		r, times := p.wait(), counts[i]()
		unsure := strings.HasSuffix(r.err, "; the command was sent and may have run\n") || cutLine.MatchString(r.err)
		switch {
		case r.code == 0 && r.out == "" && r.err == "" && times == 1:
			if phase == lost {
				phase = heard
			}
		case r.code == 255 && i >= early && oneLine.MatchString(r.err) && unsure && times <= 1:
			phase = lost
		default:
			t.Errorf("cut after %d bytes: %+v, ran %d times, phase %d", at[i], r, times, phase)
		}
		seen[phase]++
		if r.took > 15*time.Second+soon { // several times what a retry takes when all of them come at once
			t.Errorf("cut after %d bytes: it took %v", at[i], r.took)
		}
	}
	t.Logf("of %d cuts %d were retried, %d lost and %d too late", len(at), seen[retried], seen[lost], seen[heard])
	if seen[retried] < early || seen[lost] == 0 {
		t.Error("not every phase was met")
	}
}

// TestRekeying is F32 without a cut: the server makes new keys all the time, with
// much in both directions and with questions from us, and nothing is lost or given
// up. Where a busy machine answers no question for seconds the connection may be
// doubted, and another made beside it.
func TestRekeying(t *testing.T) {
	t.Parallel()
	h := startHost(t, "RekeyLimit 256K", "LogLevel DEBUG1")
	proxy := h.through()
	proxy.Delay(5 * time.Millisecond) // so that an exchange takes a while
	h.echo()
	w := h.watch()
	data := make([]byte, 2<<20)
	rand.NewChaCha8([32]byte{3}).Read(data)
	var all []*running
	for range 2 {
		all = append(all, h.start(h.muxc("-o", "ServerAliveInterval=1", "-o", "ServerAliveCountMax=30", "box", "cat; sleep 1.5"), bytes.NewReader(data)))
	}
	for _, p := range all {
		if r := p.wait(); r.code != 0 || r.err != "" || r.out != string(data) {
			t.Errorf("exit %d, %q, %d bytes of %d", r.code, r.err, len(r.out), len(data))
		}
	}
	if n := strings.Count(h.sshd.Log(), "SSH2_MSG_KEXINIT received"); n < 10 {
		t.Errorf("%d exchanges of keys", n)
	}
	for _, e := range w.of("link") {
		if e.To == "dead" && e.Text != "replaced" {
			t.Errorf("given up: %+v", e)
		}
	}
	if n := h.sshd.Logins(); n != 1 && len(w.of("link")) == 0 {
		t.Errorf("%d logins without a doubt", n)
	}
}

// TestCutWhileRekeying is F32: whenever the connection is cut, what came is what
// was sent so far, and the end is the command's or the line about a lost one.
func TestCutWhileRekeying(t *testing.T) {
	t.Parallel()
	h := startHost(t, "RekeyLimit 256K")
	path := h.paths()
	const size = 2 << 20
	data := make([]byte, size)
	rand.NewChaCha8([32]byte{4}).Read(data)
	var all []*running
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 0))
		p := path()
		d := sshtest.Up << r.IntN(2)
		p.CutAfter(d, 4<<10+r.Int64N(size))
		all = append(all, h.start(h.muxc("-p", p.port, "box", "cat"), bytes.NewReader(data)))
	}
	ends := map[int]int{}
	for seed, p := range all {
		r := p.wait()
		ends[r.code]++
		lost := cutLine.MatchString(r.err)
		switch {
		case r.code == 0 && r.err == "" && r.out == string(data):
		case r.code == 255 && lost && strings.HasPrefix(string(data), r.out):
		default:
			t.Errorf("seed %d: exit %d, %q, %d bytes, a part of what was sent: %v", seed, r.code, r.err, len(r.out), strings.HasPrefix(string(data), r.out))
		}
	}
	if ends[255] < 15 {
		t.Errorf("only %d of 20 were cut: %v", ends[255], ends)
	}
	h.run(h.muxc("-p", path().port, "box", "cat"), bytes.NewReader(data)).is(t, string(data), "", 0)
}

// cutLine is the line about a command that was lost. sshd tells the status before
// the last of the output.
var cutLine = regexp.MustCompile(`\Amuxc: box: connection lost \([^()]+\)(?: after \d+s of silence)?; the command (may still be running|ended with status 0, some of its output may be missing)\n\z`)

// stubborn is a ProxyCommand that takes no hint to end: a shell that ignores
// signals, and below it a program that carries the bytes. It writes their
// numbers down.
func (h *host) stubborn() {
	h.t.Helper()
	script := filepath.Join(h.dir, "proxy")
	text := fmt.Sprintf("trap '' HUP TERM INT\necho $$ >>%s/pids\nMUX_TEST_CARRY=%s %s 2>>%s/said &\necho $! >>%s/pids\nwait\n", h.dir, h.sshd.Addr, os.Args[0], h.dir, h.dir)
	// A background job of sh has no stdin but what it is given.
	text = strings.Replace(text, " 2>>", " <&3 2>>", 1)
	write(h.t, script, "exec 3<&0\n"+text)
	h.cfg = h.sshd.ClientConfig(h.t, "box", "ProxyCommand /bin/sh "+script)
}

// proxies are the numbers that were written down: shell and carrier in turn.
func (h *host) proxies() (pids []int) {
	for _, line := range strings.Fields(maybe(filepath.Join(h.dir, "pids"))) {
		pid, _ := strconv.Atoi(line)
		pids = append(pids, pid)
	}
	return pids
}

// buried waits for the end of a shell and its carrier, and says how long that
// took. Of muxd's own child no zombie may stay; who reaps the other one is not
// muxd's.
func (h *host) buried(pids []int) time.Duration {
	h.t.Helper()
	began := time.Now()
	h.gone("the ProxyCommand", pids[0])
	h.eventually("what it started is gone", func() bool {
		stat := maybe(fmt.Sprintf("/proc/%d/stat", pids[1]))
		return stat == "" || strings.Contains(stat, ") Z ")
	})
	return time.Since(began)
}

// TestProxyCommandThatDoesNotEnd is F35: whether it is told to end, dies in part
// or hangs, its group is killed soon, and the next request has another.
func TestProxyCommandThatDoesNotEnd(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		fault func(h *host, pids []int)
		line  string
		least time.Duration // that it has to end by itself
	}{
		"told": {func(h *host, _ []int) { h.run(h.muxc("-O", "exit", "box"), nil) },
			`connection lost \(closed by request \(-O exit\)\)`, 500 * time.Millisecond},
		"carrier dies": {func(h *host, pids []int) { kill(h.t, pids[1], syscall.SIGKILL) },
			`connection lost \([^()]+( \([^()]+\))?\)`, 0},
		"hangs": {func(h *host, pids []int) { kill(h.t, -pids[0], syscall.SIGSTOP) },
			`connection lost \(no answer: nothing was received for \d+s\)`, 500 * time.Millisecond},
		"server dies": {func(h *host, _ []int) { h.sshd.KillSessions() },
			`connection lost \([^()]+( \([^()]+\))?\)`, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := startHost(t)
			h.stubborn()
			all := h.waiting(1, "-o", "ServerAliveInterval=1", "-o", "ServerAliveCountMax=1")
			pids := h.proxies()
			if len(pids) != 2 {
				t.Fatalf("%d processes", len(pids))
			}
			tt.fault(h, pids)
			h.lost(all, soon, tt.line+`; the command may still be running`)
			if took := h.buried(pids); took > soon {
				t.Errorf("it ended %v after its session", took)
			}
			if took := time.Since(logTimes(t, h.log(), `msg="connection ended"`)[0]); took < tt.least {
				t.Errorf("it ended %v after the connection, want at least %v", took, tt.least)
			}
			h.echo()
			h.run(h.command("muxd", "stop"), nil)                     // the daemon's own end kills it too
			for pids := h.proxies(); len(pids) > 0; pids = pids[2:] { // recent use had another at once, which a dying server may have met
				h.buried(pids)
			}
			if n := h.sshd.Logins(); n < 2 {
				t.Errorf("%d logins", n)
			}
		})
	}
}

// TestBastionDiesOrHangs is F35 with a jump host: what goes through it is lost
// when it dies, and when it says nothing for as long as was agreed; either way
// the next command goes through a new connection to it.
func TestBastionDiesOrHangs(t *testing.T) {
	t.Parallel()
	for name, hangs := range map[string]bool{"dies": false, "hangs": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, s := startHosts(t, "bastion", "box")
			h.configureAll(s, map[string]string{"box": "ProxyJump bastion", "bastion": "ServerAliveInterval 2\nServerAliveCountMax 2"})
			all := h.waiting(1, "-o", "ServerAliveInterval=1", "-o", "ServerAliveCountMax=1")
			line := `connection lost \([^()]+( \([^()]+\))?\)`
			if hangs {
				s["bastion"].PauseSessions()
				line = `connection lost \(no answer: nothing was received for \d+s\)`
			} else {
				s["bastion"].KillSessions()
			}
			h.lost(all, soon, line+`; the command may still be running`)
			r := h.run(h.muxc("-o", "WaitForReady=yes", "box", "echo works"), nil)
			r.is(t, "works\n", "", 0)
			if r.took > 2*soon {
				t.Errorf("it took %v", r.took)
			}
			// Recent use has them back at once, and a bastion that is killed process
			// by process may let somebody in while it dies.
			a, b := s["box"].Logins(), s["bastion"].Logins()
			if a < 2 || b < 2 || hangs && (a != 2 || b != 2) {
				t.Errorf("%d logins at the host, %d at the bastion, want 2 and 2", a, b)
			}
			h.worksOn("box")
			h.worksOn("bastion")
			if s["box"].Logins() != a || s["bastion"].Logins() != b {
				t.Errorf("%d logins at the host, %d at the bastion, want %d and %d", s["box"].Logins(), s["bastion"].Logins(), a, b)
			}
		})
	}
}
