package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"muxd/internal/sshtest"
)

// threadsVar has this program, in place of tests, have so many threads of a user.
const threadsVar = "MUX_TEST_THREADS"

func init() {
	who, many, ok := strings.Cut(os.Getenv(threadsVar), ":")
	if !ok {
		return
	}
	uid, err := strconv.Atoi(who)
	if err == nil {
		err = syscall.Setuid(uid)
	}
	n, err2 := strconv.Atoi(many)
	if err != nil || err2 != nil {
		fatal(fmt.Errorf("%s: %w, %w", threadsVar, err, err2))
	}
	up := make(chan bool)
	for range n {
		go func() {
			runtime.LockOSThread()
			up <- true
			select {}
		}()
	}
	for range n {
		<-up
	}
	fmt.Println("full")
	io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

// TestProcessLimit has other programs of the user take all processes that muxd's
// limit leaves: Go would end a muxd that needs one more thread, and with it every
// connection. What it has is enough for fifty commands at once, and what needs a
// process of its own is refused in a line.
func TestProcessLimit(t *testing.T) {
	t.Parallel()
	sshtest.Require(t, "bash", "root") // to be a user who has no other processes
	const uid, limit = 54321, 256
	h := startHost(t, "MaxSessions 100")
	h.setenv("USER", "someone")
	key, known := filepath.Join(h.dir, "key"), filepath.Join(h.dir, "known")
	write(t, key, read(t, h.sshd.ClientKey))
	write(t, known, read(t, h.sshd.KnownHosts))
	h.cfg = filepath.Join(h.dir, "config")
	write(t, h.cfg, fmt.Sprintf("Host box\n HostName %s\n Port %d\n User %s\n IdentityFile %s\n IdentityAgent none\n UserKnownHostsFile %s\n",
		h.sshd.Host, h.sshd.Port, h.sshd.User, key, known))
	if err := filepath.WalkDir(h.dir, func(path string, _ os.DirEntry, err error) error {
		if err == nil {
			err = os.Lchown(path, uid, uid)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	as := func(c *exec.Cmd) *exec.Cmd {
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
		return c
	}
	h.start(as(h.command("bash", "-c", fmt.Sprintf("ulimit -u %d; exec %s/muxd", limit, bin))), nil)
	h.eventually("muxd listens", func() bool { return len(pidsIn(h.logPath())) == 1 })
	h.run(as(h.muxc("box", "echo works")), nil).is(t, "works\n", "", 0)
	pid := h.pid()
	h.eventually("muxd has its threads", func() bool {
		threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
		return len(threads) > 14 // seven by itself
	})

	full := h.command(os.Args[0])
	full.Env = append(full.Env, fmt.Sprintf("%s=%d:%d", threadsVar, uid, limit))
	h.start(full, blocked(t)).says("full")
	var all []*running
	for range 50 {
		all = append(all, h.start(as(h.muxc("box", "head -c 1000000 /dev/zero")), nil))
	}
	for _, p := range all {
		if r := p.wait(); r.code != 0 || r.err != "" || len(r.out) != 1000000 {
			t.Errorf("exit %d, %d bytes, %q", r.code, len(r.out), r.err)
		}
	}
	h.run(as(h.muxc("-o", "ProxyCommand=nc %h %p", "box", "true")), nil).fails(t, `box: ProxyCommand: .*resource temporarily unavailable`)
	if h.pid() != pid {
		t.Error("another muxd")
	}
}
