package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestFirstCommandStartsMuxdAndTheNextReuseIt(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	for range 20 { // silent from the first to the last: echo compares bytes
		h.echo()
	}
	h.pid()
	if n := h.sshd.Logins(); n != 1 {
		t.Errorf("%d logins for 20 commands, want 1", n)
	}
}

// TestFirstUseInAPipeReturns: whoever waits for the end of a pipe must not wait
// for the end of the muxd that the command in it started.
func TestFirstUseInAPipeReturns(t *testing.T) {
	t.Parallel()
	for _, script := range []string{
		`x=$($muxc box true 2>&1); echo "<$x>"`,
		`$muxc box echo "'<>'" | cat`,
		`$muxc box echo "'<>'" 2>&1 | cat`,
	} {
		h := startHost(t)
		h.run(h.sh(script), nil).is(t, "<>\n", "", 0)
		h.pid() // still there
	}
}

func TestFiftyFirstCommandsAtOnce(t *testing.T) {
	t.Parallel()
	h := startHost(t, "MaxSessions 100")
	var wg sync.WaitGroup
	results := make([]result, 50)
	for i := range results {
		p := h.start(h.muxc("box", fmt.Sprintf("echo %d; exit %d", i, i)), nil)
		wg.Go(func() { results[i] = p.wait() })
	}
	wg.Wait()
	for i, r := range results {
		r.is(t, fmt.Sprintln(i), "", i)
	}
	h.pid()
	if n := len(pidsIn(h.logPath())); n != 1 {
		t.Errorf("%d muxd listened, want 1", n)
	}
	if n := h.sshd.Logins(); n != 1 {
		t.Errorf("%d logins, want 1", n)
	}
}

// TestMoreCommandsThanMaxSessions: a server's limit on the sessions of one
// connection is nobody's error.
func TestMoreCommandsThanMaxSessions(t *testing.T) {
	t.Parallel()
	h := startHost(t, "MaxSessions 2")
	var all []*running
	for i := range 12 {
		all = append(all, h.start(h.muxc("box", fmt.Sprintf("sleep 0.2; echo %d; exit %d", i, i)), nil))
	}
	for i, p := range all {
		p.wait().is(t, fmt.Sprintln(i), "", i)
	}
}

// TestMuxdInheritsNothing starts muxd out of a shell full of things that must
// not live as long as a daemon does.
func TestMuxdInheritsNothing(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	lock := filepath.Join(h.dir, "lock")
	h.setenv("SECRET", "x")
	h.setenv("SSH_AUTH_SOCK", "/nowhere")
	h.setenv("DISPLAY", ":0")
	h.setenv("XDG_RUNTIME_DIR", "/nowhere")
	h.run(h.sh(`exec 9>`+lock+`; umask 022; $muxc box echo works`), nil).is(t, "works\n", "", 0)
	proc := fmt.Sprintf("/proc/%d/", h.pid())

	if sid, err := unix.Getsid(h.pid()); err != nil || sid != h.pid() {
		t.Errorf("session %d, %v, want its own", sid, err)
	}
	if status := read(t, proc+"status"); !strings.Contains(status, "\nUmask:\t0077\n") {
		t.Errorf("umask is not 0077")
	}
	if limits := read(t, proc+"limits"); !strings.Contains(strings.Join(strings.Fields(limits), " "), "Max core file size 0 0") {
		t.Errorf("core files are not off:\n%s", limits)
	}
	if os.Geteuid() != 0 {
		return // what follows is hidden from all but root, as it should be
	}
	if cwd, err := os.Readlink(proc + "cwd"); err != nil || cwd != "/" {
		t.Errorf("working directory %q, %v", cwd, err)
	}
	fds, _ := filepath.Glob(proc + "fd/*")
	for _, fd := range fds {
		to, _ := os.Readlink(fd)
		n := filepath.Base(fd)
		want := map[string]string{"0": "/dev/null", "1": "/dev/null", "2": h.logPath()}[n]
		if want != "" && to != want || strings.HasPrefix(to, "pipe:") || to == lock {
			t.Errorf("descriptor %s is %s", n, to)
		}
	}
	if len(fds) < 4 {
		t.Errorf("descriptors %v: nothing was checked", fds)
	}
	for _, kv := range strings.Split(strings.TrimRight(read(t, proc+"environ"), "\x00"), "\x00") {
		name, _, _ := strings.Cut(kv, "=")
		if !slices.Contains([]string{"PATH", "HOME", "USER", "SHELL", "LC_ALL"}, name) &&
			!strings.HasPrefix(name, "MUXD_") && !strings.HasPrefix(name, "XDG_") {
			t.Errorf("environment has %q", kv)
		}
	}
}

// TestNobodyReadsItsMemory: the kernel gives the files of a process that may
// not be dumped to root, which shows only when the process is not root's.
func TestNobodyReadsItsMemory(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	c := h.command("muxd")
	if os.Geteuid() == 0 {
		const nobody = 65534
		if err := os.Chown(h.dir, nobody, nobody); err != nil {
			t.Fatal(err)
		}
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	h.start(c, nil)
	h.eventually("muxd listens", func() bool { return len(pidsIn(h.logPath())) == 1 })
	var st unix.Stat_t
	if err := unix.Stat(fmt.Sprintf("/proc/%d/mem", h.pid()), &st); err != nil || st.Uid != 0 {
		t.Errorf("memory belongs to uid %d, %v; want root, to keep it from programs of the same user", st.Uid, err)
	}
}
