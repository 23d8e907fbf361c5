package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// connected reports whether -O check finds a connection.
func (h *host) connected(args ...string) bool {
	h.t.Helper()
	return h.run(h.muxc(append(args, "-O", "check", "box")...), nil).code == 0
}

func TestControlPersist(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	h.echo() // unset: kept
	if !h.connected() {
		t.Error("unset: the connection is gone")
	}
	h = startHost(t)
	h.echo("-o", "ControlPersist=no")
	h.eventually("no: the connection ends with its last session", func() bool { return len(h.sshd.SessionPIDs()) == 0 })
	if h.connected() {
		t.Error("no: -O check still finds it")
	}
	h = startHost(t)
	began := time.Now()
	h.echo("-o", "ControlPersist=1")
	if !h.connected("-o", "ControlPersist=1") && time.Since(began) < time.Second { // else this machine was too slow to tell
		t.Error("1 s: the connection is gone at once")
	}
	h.eventually("1 s: the connection ends", func() bool { return len(h.sshd.SessionPIDs()) == 0 })
	if d := time.Since(began); d < time.Second {
		t.Errorf("1 s: it ended after %v", d)
	}
	h.pid() // muxd goes on
	if !strings.Contains(h.log(), `msg="idle, closing"`) {
		t.Error("the log does not say why")
	}
}

// TestIdleExit: a muxd that a client started ends when nothing is left to do,
// and the next command does not notice.
func TestIdleExit(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	h.setenv("MUXD_IDLE_EXIT", "300ms")
	h.echo("-o", "ControlPersist=no")
	pid := h.pid()
	h.eventually("muxd ends", func() bool { return !isMuxd(pid) })
	if !strings.Contains(h.log(), `msg=ending pid=`+fmt.Sprint(pid)+` why="nothing left to do"`) {
		t.Error("the log does not say why")
	}
	if _, err := os.Lstat(h.socket()); err == nil {
		t.Error("the socket is left behind")
	}
	h.echo("-o", "ControlPersist=1h")
	time.Sleep(600 * time.Millisecond) // twice what would end it without a connection
	h.pid()
	h.run(h.muxc("-O", "exit", "box"), nil)

	// One that a person started stays.
	h = newHost(t)
	h.setenv("MUXD_IDLE_EXIT", "100ms")
	h.start(h.command("muxd"), nil)
	h.eventually("muxd listens", func() bool { return len(pidsIn(h.logPath())) == 1 })
	time.Sleep(500 * time.Millisecond)
	h.pid()
}

// TestCommandsMeetTheIdleExit sends commands at the moments around the exit:
// none may notice. A refused connection is answer enough, and quicker than a
// login.
func TestCommandsMeetTheIdleExit(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	const idle, commands = 20 * time.Millisecond, 80
	h.setenv("MUXD_IDLE_EXIT", idle.String())
	for i := range commands {
		r := h.run(h.command("muxc", "-F", "none", "-p", "1", "127.0.0.1", "true"), nil)
		r.fails(t, `127\.0\.0\.1: connect to 127\.0\.0\.1:1: connection refused`)
		time.Sleep(idle - 10*time.Millisecond + time.Duration(i%20)*time.Millisecond) // what is tested: every moment around the exit
	}
	n := len(pidsIn(h.logPath()))
	t.Logf("%d muxd for %d commands", n, commands)
	if n < commands/10 {
		t.Errorf("only %d muxd: the exit was not met", n)
	}

	h = startHost(t)
	h.setenv("MUXD_IDLE_EXIT", idle.String())
	for i := range 20 {
		h.echo("-o", "ControlPersist=no")
		time.Sleep(time.Duration(i) * 3 * time.Millisecond)
	}
}

func TestControlCommands(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	for _, cmd := range []string{"check", "exit", "stop"} {
		h.run(h.muxc("-O", cmd, "box"), nil).fails(t, `box: no connection: muxd is not running`)
	}
	if n := len(pidsIn(h.logPath())); n != 0 {
		t.Fatalf("-O started %d muxd", n)
	}
	h.echo()
	r := h.run(h.muxc("-O", "check", "box"), nil)
	if first := fmt.Sprintf("Master running (pid=%d)\n", h.pid()); r.code != 0 || r.out != "" || !strings.HasPrefix(r.err, first+"box: last byte ") {
		t.Errorf("%+v", r)
	}
	h.run(h.muxc("-q", "-O", "check", "box"), nil)
	h.run(h.muxc("-O", "check", "-l", "somebody", "box"), nil).fails(t, `box: no connection`)

	// exit ends running sessions.
	all := h.waiting(1)
	h.run(h.muxc("-O", "exit", "box"), nil).is(t, "", "Exit request sent.\n", 0)
	h.lost(all, soon, `connection lost \(closed by request \(-O exit\)\); the command may still be running`)
	h.run(h.muxc("-O", "check", "box"), nil).fails(t, `box: no connection`)
	h.pid() // muxd goes on

	// stop lets them end.
	h.echo()
	p := h.start(h.muxc("box", "echo up; sleep 1; echo down"), nil)
	p.says("up\n")
	h.run(h.muxc("-O", "stop", "box"), nil).is(t, "", "Stop listening request sent.\n", 0)
	h.run(h.muxc("-O", "check", "box"), nil).fails(t, `box: no connection`)
	before := h.sshd.Logins()
	h.echo()
	if n := h.sshd.Logins(); n != before+1 {
		t.Errorf("%d logins after -O stop, want %d: the connection was used again", n, before+1)
	}
	p.wait().is(t, "up\ndown\n", "", 0)
}

func TestMuxdStop(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	h.run(h.command("muxd", "stop"), nil).is(t, "muxd is not running\n", "", 0)
	h.echo()
	pid := h.pid()
	all := h.waiting(1)
	h.run(h.command("muxd", "stop"), nil).is(t, "",
		"muxd: still carries 1 connection and 1 session: use \"muxd stop --force\" to end them too\n", 1)
	h.echo() // nothing was ended
	h.run(h.command("muxd", "stop", "--force"), nil).is(t,
		fmt.Sprintf("muxd (pid %d) stopped; it held 1 connection and 1 session\n", pid), "", 0)
	h.lost(all, soon, `connection lost \(muxd is stopping\); the command may still be running`)
	h.eventually("muxd ends", func() bool { return !isMuxd(pid) })
	h.echo()
	pid = h.pid()
	h.run(h.command("muxd", "stop"), nil).is(t,
		fmt.Sprintf("muxd (pid %d) stopped; it held 1 connection and 0 sessions\n", pid), "", 0)
	h.echo()

	// When stop returns it is done, and not only some moments later.
	h = newHost(t)
	for range 20 {
		h.run(h.command("muxc", "-F", "none", "-p", "1", "127.0.0.1", "true"), nil).fails(t, "refused")
		if r := h.run(h.command("muxd", "stop"), nil); r.code != 0 {
			t.Errorf("%+v", r)
		}
		if c, err := net.Dial("unix", h.socket()); err == nil {
			c.Close()
			t.Fatal("somebody listens after muxd stop")
		}
	}
}

// TestMuxdGoesBeforeItTakesTheRequest: a client that was let in and not
// answered, by a muxd that just ended, starts another one.
func TestMuxdGoesBeforeItTakesTheRequest(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	for _, read := range []int{0, 16, 1 << 20} { // bytes that it takes
		l, err := net.Listen("unix", h.socket())
		if err != nil {
			t.Fatal(err)
		}
		p := h.start(h.muxc("box", "echo works"), nil)
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		c.Read(make([]byte, read))
		l.Close() // removes the socket
		c.Close()
		p.wait().is(t, "works\n", "", 0)
		h.run(h.command("muxd", "stop"), nil)
	}
}

func TestSecondMuxdSaysWhoRuns(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	h.echo()
	h.run(h.command("muxd"), nil).is(t, "",
		fmt.Sprintf("muxd: muxd is already running at %s (pid %d)\n", h.socket(), h.pid()), 1)
	h.echo()
	if n := h.sshd.Logins(); n != 1 {
		t.Errorf("%d logins, want 1", n)
	}
}

// TestSocketsAreApart: MUXD_SOCKET decides which muxd it is.
func TestSocketsAreApart(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	h.echo()
	first := h.pid()
	h.setenv("MUXD_SOCKET", filepath.Join(h.dir, "other"))
	h.echo()
	if n := h.sshd.Logins(); n != 2 {
		t.Errorf("%d logins, want 2", n)
	}
	pids := pidsIn(h.logPath())
	if len(pids) != 2 || pids[0] != first {
		t.Errorf("muxd %v", pids)
	}
}

func TestForegroundMuxd(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	p := h.start(h.command("muxd"), nil)
	h.eventually("muxd listens", func() bool { return len(pidsIn(h.logPath())) == 1 })
	h.echo()
	if cwd, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", h.pid())); err == nil && cwd != "/" {
		t.Errorf("working directory %q, which can then not be unmounted", cwd)
	}
	if h.pid() != p.cmd.Process.Pid {
		t.Errorf("muxd %d serves, not the one that was started", h.pid())
	}
	p.signal(syscall.SIGHUP) // the terminal it was started on is closed: no reason to end
	h.echo()
	p.signal(syscall.SIGINT)
	p.wait().is(t, "", "", 0)
}
