package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"muxd/internal/sshtest"
)

// patience of tests with real processes: far beyond what anything here takes on
// a loaded machine, and short of the test binary's own limit.
const long = 2 * time.Minute

// host is one test's own world: an sshd, a configuration that names it "box",
// and a muxd of its own, which the first muxc starts.
type host struct {
	t    testing.TB
	sshd *sshtest.SSHD
	dir  string   // private, and short enough for a socket in it
	cfg  string   // for -F
	env  []string // of every process of this test

	enter func(args ...string) *exec.Cmd // where every process runs; nil: here
}

// startHost makes a host; lines of sshd_config win over the fixture's own. The
// muxd of it ends with the test.
func startHost(t testing.TB, lines ...string) *host {
	t.Helper()
	needProc(t)
	s := sshtest.StartSSHD(t, append(lines, "AcceptEnv LANG LC_* MUXTEST_*")...)
	h := newHost(t)
	h.sshd = s
	h.cfg = s.ClientConfig(t, "box")
	return h
}

// newHost is a host without an sshd.
func newHost(t testing.TB) *host {
	t.Helper()
	needProc(t)
	dependOnSources()
	dir, err := os.MkdirTemp("/tmp", "mux")
	if err != nil {
		t.Fatal(err)
	}
	h := &host{t: t, dir: dir, cfg: "none", env: []string{"PATH=" + bin + ":/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
		"HOME=" + dir, "USER=" + os.Getenv("USER"), "LC_ALL=C", "SHELL=/bin/sh", "TERM=dumb",
		"MUXD_SOCKET=" + filepath.Join(dir, "ctl"), "XDG_STATE_HOME=" + filepath.Join(dir, "state")}}
	// What cannot be reached is an error at once; tests of the wait say otherwise.
	h.own("WaitForReady no\n")
	started.Lock()
	started.logs = append(started.logs, h.logPath())
	started.Unlock()
	t.Cleanup(h.end)
	return h
}

// needProc skips what looks at processes where no /proc shows them.
func needProc(t testing.TB) {
	t.Helper()
	sshtest.Require(t, "/proc/self/stat")
}

// setenv changes the environment of processes started from now on.
func (h *host) setenv(name, value string) {
	for i, kv := range h.env {
		if strings.HasPrefix(kv, name+"=") {
			h.env = append(h.env[:i:i], h.env[i+1:]...)
			break
		}
	}
	h.env = append(h.env, name+"="+value)
}

func (h *host) socket() string  { return filepath.Join(h.dir, "ctl") }
func (h *host) logPath() string { return filepath.Join(h.dir, "state/muxd/muxd.log") }

func (h *host) log() string {
	b, _ := os.ReadFile(h.logPath())
	return string(b)
}

// end stops every muxd of the host. One that does not end by SIGTERM is at
// fault.
func (h *host) end() {
	if h.t.Failed() {
		h.t.Logf("muxd's log:\n%s", tail(h.log()))
		if h.sshd != nil {
			h.t.Logf("sshd's log:\n%s", tail(h.sshd.Log()))
		}
	}
	for _, pid := range pidsIn(h.logPath()) {
		if !isMuxd(pid) {
			continue
		}
		syscall.Kill(pid, syscall.SIGCONT)
		syscall.Kill(pid, syscall.SIGTERM)
		if !until(10*time.Second, func() bool { return !isMuxd(pid) }) {
			h.t.Errorf("muxd %d does not end by SIGTERM; log:\n%s", pid, h.log())
			syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	for _, bad := range []string{"WARNING: DATA RACE", "panic: ", "fatal error: "} {
		if log := h.log(); strings.Contains(log, bad) {
			h.t.Errorf("muxd's log has %q:\n%s", bad, log[strings.Index(log, bad):])
		}
	}
	left := pidsIn(h.logPath()) // kept for TestMain, which finds the directory gone
	os.RemoveAll(h.dir)
	for _, pid := range left {
		if isMuxd(pid) && !until(long, func() bool { return !isMuxd(pid) }) {
			h.t.Errorf("muxd %d survives SIGKILL", pid)
		}
	}
}

var pidInLog = regexp.MustCompile(`msg=listening pid=(\d+)`)

// pidsIn are the processes that say in a log that they listen.
func pidsIn(log string) []int {
	b, _ := os.ReadFile(log)
	var pids []int
	for _, m := range pidInLog.FindAllSubmatch(b, -1) {
		if pid, err := strconv.Atoi(string(m[1])); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// isMuxd reports whether a process runs and is a muxd. A zombie runs no more:
// who reaps orphans is not ours to wait for.
func isMuxd(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && bytes.Contains(b, []byte("(muxd) ")) && !bytes.Contains(b, []byte("(muxd) Z"))
}

// pid is that of the one muxd that runs; it fails without one.
func (h *host) pid() int {
	h.t.Helper()
	var alive []int
	for _, pid := range pidsIn(h.logPath()) {
		if isMuxd(pid) {
			alive = append(alive, pid)
		}
	}
	if len(alive) != 1 {
		h.t.Fatalf("running: %v, want one muxd; log:\n%s", alive, h.log())
	}
	return alive[0]
}

// until waits for a condition that another process brings about.
func until(d time.Duration, ok func() bool) bool {
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return true
		}
	}
	return ok()
}

// eventually fails the test when ok does not come true.
func (h *host) eventually(what string, ok func() bool) {
	h.t.Helper()
	if !until(long, ok) {
		h.t.Fatalf("not within %v: %s", long, what)
	}
}

// result is how a process ended.
type result struct {
	out, err string
	code     int // 128+n for a process that a signal n killed, as a shell says
	took     time.Duration
}

// muxc is the program with the host's configuration.
func (h *host) muxc(args ...string) *exec.Cmd {
	return h.command("muxc", append([]string{"-F", h.cfg}, args...)...)
}

func (h *host) command(name string, args ...string) *exec.Cmd {
	path := name
	if p := filepath.Join(bin, name); name == "muxc" || name == "muxd" {
		path = p
	}
	c := exec.Command(path, args...)
	if h.enter != nil {
		c = h.enter(append([]string{path}, args...)...)
	}
	c.Env, c.Dir = h.env, h.dir
	return c
}

// sh is a shell command; $muxc is the program with the configuration.
func (h *host) sh(script string) *exec.Cmd {
	c := h.command("/bin/sh", "-c", script)
	c.Env = append(append([]string(nil), h.env...), "muxc="+bin+"/muxc -F "+h.cfg)
	return c
}

// run runs c to its end, which must come within the tests' patience.
func (h *host) run(c *exec.Cmd, stdin io.Reader) result {
	h.t.Helper()
	return h.start(c, stdin).wait()
}

// running is a process under way, whose output is collected.
type running struct {
	h        *host
	cmd      *exec.Cmd
	out, err output
	began    time.Time
	done     chan struct{}
}

// start starts c. A process that is left is killed with the test.
func (h *host) start(c *exec.Cmd, stdin io.Reader) *running {
	h.t.Helper()
	r := &running{h: h, cmd: c, began: time.Now(), done: make(chan struct{})}
	c.Stdin, c.WaitDelay = stdin, long // a muxd that holds the outputs must not hold up the test's end
	if c.Stdout == nil {
		c.Stdout = &r.out
	}
	if c.Stderr == nil {
		c.Stderr = &r.err
	}
	if err := c.Start(); err != nil {
		h.t.Fatal(err)
	}
	go func() { defer close(r.done); c.Wait() }()
	h.t.Cleanup(func() {
		c.Process.Kill()
		<-r.done
	})
	return r
}

func (r *running) wait() result {
	r.h.t.Helper()
	select {
	case <-r.done:
	case <-time.After(long):
		r.h.t.Fatalf("%v: still runs after %v\nstdout %.500q\nstderr %.500q", r.cmd.Args, long, r.out.String(), r.err.String())
	}
	res := result{r.out.String(), r.err.String(), r.cmd.ProcessState.ExitCode(), time.Since(r.began)}
	if ws := r.cmd.ProcessState.Sys().(syscall.WaitStatus); ws.Signaled() {
		res.code = 128 + int(ws.Signal())
	}
	return res
}

func closed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// signal sends a signal to the process.
func (r *running) signal(s syscall.Signal) {
	r.h.t.Helper()
	if err := r.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		r.h.t.Fatal(err)
	}
}

// says waits until the process has printed text on stdout.
func (r *running) says(text string) {
	r.h.t.Helper()
	said := func() bool { return strings.Contains(r.out.String(), text) }
	over := func() bool {
		select {
		case <-r.done:
			return true
		default:
			return said()
		}
	}
	if until(long, over); !said() {
		r.h.t.Fatalf("%v does not say %q: stdout %.500q, stderr %.500q", r.cmd.Args, text, r.out.String(), r.err.String())
	}
}

// is fails the test unless the process ended exactly so.
func (r result) is(t testing.TB, out, err string, code int) {
	t.Helper()
	if r.out != out || r.err != err || r.code != code {
		t.Fatalf("stdout %.300q (%d bytes), stderr %.500q, exit %d\nwant   %.300q (%d bytes), stderr %.500q, exit %d",
			r.out, len(r.out), r.err, r.code, out, len(out), err, code)
	}
}

// echo is the check that everything works, silently.
func (h *host) echo(args ...string) {
	h.t.Helper()
	h.run(h.muxc(append(args, "box", "echo works")...), nil).is(h.t, "works\n", "", 0)
}

// quote is text as a pattern.
func quote(text string) string { return regexp.QuoteMeta(text) }

// fails fails the test unless the process said one line that matches, nothing
// on stdout, and ended with status 255.
func (r result) fails(t testing.TB, pattern string) {
	t.Helper()
	line := regexp.MustCompile(`\Amuxc: [^\n]*` + pattern + `[^\n]*\n\z`)
	if r.code != 255 || r.out != "" || !line.MatchString(r.err) {
		t.Fatalf("exit %d, stdout %.200q, stderr %.1000q; want 255 and one line that matches %q", r.code, r.out, r.err, pattern)
	}
}

func kill(t testing.TB, pid int, s syscall.Signal) {
	t.Helper()
	if err := unix.Kill(pid, s); err != nil {
		t.Fatalf("kill %d: %v", pid, err)
	}
}

func read(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// tail is the end of a log, enough to see what went wrong last.
func tail(log string) string { return log[max(0, len(log)-4<<10):] }

func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	return r, w
}
