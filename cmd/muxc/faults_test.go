package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"muxd/internal/sshtest"
)

// soon bounds what is immediate, on a machine that has other things to do.
const soon = 20 * time.Second

// waiting is n commands that run until their session ends.
func (h *host) waiting(n int, args ...string) []*running {
	h.t.Helper()
	var all []*running
	for range n {
		p := h.start(h.muxc(append(args, "box", "echo up; exec cat")...), blocked(h.t))
		p.says("up\n")
		all = append(all, p)
	}
	return all
}

// blocked is a stdin that neither gives anything nor ends.
func blocked(t testing.TB) *os.File {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	return r
}

// lost fails the test unless all end with 255 and this one line, within d.
func (h *host) lost(all []*running, d time.Duration, pattern string) {
	h.t.Helper()
	began := time.Now()
	// On a slow machine what the test did meanwhile took a second or more, and
	// the line says so.
	slow := strings.Replace(pattern, `\); the command`, `\)( after [0-9]+s of silence)?; the command`, 1)
	line := regexp.MustCompile(`\Amuxc: box: ` + slow + `\n\z`)
	for _, p := range all {
		if r := p.wait(); r.code != 255 || r.out != "up\n" || !line.MatchString(r.err) {
			h.t.Errorf("%+v; want 255 and %q", r, pattern)
		}
	}
	if took := time.Since(began); took > d {
		h.t.Errorf("it took %v, at most %v is right", took, d)
	}
}

func TestMuxdKilled(t *testing.T) {
	t.Parallel()
	h := startHost(t, "MaxSessions 100")
	all := h.waiting(50)
	pid := h.pid()
	kill(t, pid, syscall.SIGKILL)
	h.lost(all, soon, fmt.Sprintf(`muxd \(pid %d\) went away; the command may still be running`, pid))
	if _, err := os.Lstat(h.socket()); err != nil {
		t.Fatalf("no stale socket to test: %v", err)
	}
	h.echo()
	if h.pid() == pid || h.sshd.Logins() != 2 {
		t.Errorf("muxd %d after %d, %d logins", h.pid(), pid, h.sshd.Logins())
	}
}

// TestMuxdsLastWords: what Go says when it ends muxd is in the log, whoever
// started it.
func TestMuxdsLastWords(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	h.echo()
	pid := h.pid()
	kill(t, pid, syscall.SIGABRT)
	h.eventually("muxd ends", func() bool { return !isMuxd(pid) })
	if log := h.log(); !strings.Contains(log, "SIGABRT: abort") || !strings.Contains(log, "\ngoroutine ") {
		t.Error("the log does not say where it was")
	}
	h.echo()
}

func TestMuxdTerminated(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	all := h.waiting(2)
	pid := h.pid()
	kill(t, pid, syscall.SIGTERM)
	h.lost(all, soon, `connection lost \(muxd is stopping\); the command may still be running`)
	h.eventually("muxd ends", func() bool { return !isMuxd(pid) })
	if _, err := os.Lstat(h.socket()); err == nil {
		t.Error("the socket is left behind")
	}
	if !strings.Contains(h.log(), "msg=ending pid="+strconv.Itoa(pid)+" why=terminated") {
		t.Error("the log does not say why it ended")
	}
	h.echo()
}

// TestMuxdStopped: a muxd that is stopped (SIGSTOP) hangs nobody for ever.
func TestMuxdStopped(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	h.echo()
	pid := h.pid()
	kill(t, pid, syscall.SIGSTOP)
	// The signal goes to one thread, and the others run until that one does.
	h.eventually("all of muxd is stopped", func() bool {
		threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
		return !slices.ContainsFunc(threads, func(path string) bool { return !strings.Contains(maybe(path), ") T ") })
	})
	r := h.run(h.muxc("box", "true"), nil)
	kill(t, pid, syscall.SIGCONT)
	r.fails(t, fmt.Sprintf(`box: muxd \(pid %d\) does not answer \(stopped or stuck\): muxd stop --force ends it`, pid))
	h.echo()
	if h.pid() != pid {
		t.Error("another muxd was started beside the one that was stopped")
	}
}

func TestServersSessionKilled(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	all := h.waiting(2)
	h.sshd.KillSessions()
	h.lost(all, soon, `connection lost \([^()]+\); the command may still be running`)
	h.echo()
	if n := h.sshd.Logins(); n != 2 {
		t.Errorf("%d logins, want 2", n)
	}
}

// through makes the host reach its sshd through a proxy that fails on demand.
func (h *host) through() *sshtest.Proxy {
	h.t.Helper()
	p := sshtest.NewProxy(h.t, h.sshd.Addr)
	_, port, _ := net.SplitHostPort(p.Addr)
	h.cfg = h.sshd.ClientConfig(h.t, "box", "Port "+port,
		"HostKeyAlias ["+h.sshd.Host+"]:"+strconv.Itoa(h.sshd.Port))
	return p
}

func TestConnectionReset(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	proxy := h.through()
	all := h.waiting(2)
	proxy.Cut()
	h.lost(all, soon, `connection lost \(connection reset by peer\); the command may still be running`)
	h.echo()
}

func TestConnectionClosed(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	proxy := h.through()
	all := h.waiting(1)
	proxy.CloseAll()
	h.lost(all, soon, `connection lost \(the server closed the connection\); the command may still be running`)
	h.echo()
}

// TestSilentConnection: with an interval of 1 s and a count of 1 the verdict
// falls two seconds after the last byte, as with ssh.
func TestSilentConnection(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	proxy := h.through()
	all := h.waiting(2, "-o", "ServerAliveInterval=1", "-o", "ServerAliveCountMax=1")
	proxy.Stall(sshtest.Both)
	began := time.Now()
	h.lost(all, 2*soon, `connection lost \(no answer: nothing was received for \d+s\); the command may still be running`)
	if d := time.Since(began); d < time.Second/2 { // the last byte came up to a second before
		t.Errorf("given up after %v", d)
	}
	proxy.CloseAll()
	proxy.Resume(sshtest.Both)
	h.echo()
}

// TestCutAtManyBytes cuts the connection after so many bytes of a login and a
// command: whatever the moment, there is one line or none, it says whether the
// command may have run, and it ran at most once.
func TestCutAtManyBytes(t *testing.T) {
	t.Parallel()
	cut := func(t *testing.T, d sshtest.Direction) {
		t.Parallel()
		h := startHost(t)
		proxy := h.through()
		results := map[int64]result{}
		ran := func(n int64) string { return filepath.Join(h.dir, fmt.Sprint("ran", n)) }
		for n := int64(4); n < 2600; n += 61 {
			proxy.CutAfter(d, n)
			results[n] = h.run(h.muxc("box", "echo x >>"+ran(n)), nil)
			proxy.CutAfter(d, 1<<40)
			proxy.CloseAll()
		}
		h.echo()
		said := map[string]int{}
		for n, r := range results {
			times := strings.Count(maybe(ran(n)), "x")
			unsure := strings.Contains(r.err, "may have run") || strings.Contains(r.err, "may still be running") || strings.Contains(r.err, "may be missing")
			said[r.err]++
			switch {
			case r.code == 0 && times == 1 && r.err == "":
			case r.code == 255 && oneLine.MatchString(r.err) && times <= 1 && (times == 0 || unsure):
			default:
				t.Errorf("cut after %d: %+v, ran %d times", n, r, times)
			}
		}
		if len(said) < 3 { // silence, the handshake's words, a lost command's
			t.Errorf("only %d different ends: %v", len(said), said)
		}
	}
	t.Run("up", func(t *testing.T) { cut(t, sshtest.Up) })
	t.Run("down", func(t *testing.T) { cut(t, sshtest.Down) })
}

var oneLine = regexp.MustCompile(`\Amuxc: box: [^\n]+\n\z`)

func maybe(path string) string {
	b, _ := os.ReadFile(path)
	return string(b)
}
