package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
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

// fewProcesses is a host whose programs run as a user who has no other processes
// than these, uid, and whose muxd may have no more than processes of them. It has
// its threads.
func fewProcesses(t *testing.T, uid uint32) (h *host, as func(*exec.Cmd) *exec.Cmd) {
	sshtest.Require(t, "bash", "root") // to be that user
	h = startHost(t, "MaxSessions 100")
	h.setenv("USER", "someone")
	key, other, known := filepath.Join(h.dir, "key"), filepath.Join(h.dir, "other"), filepath.Join(h.dir, "known")
	write(t, key, read(t, h.sshd.ClientKey))
	write(t, other, read(t, h.sshd.ClientKey))
	write(t, known, read(t, h.sshd.KnownHosts))
	h.cfg = filepath.Join(h.dir, "config")
	write(t, h.cfg, fmt.Sprintf("Match exec \"[ ! -e %[1]s/gates ] || { : >%[1]s/gates/%%n && read x <%[1]s/gates/%%n.gate; }\"\n"+
		"Match host exec exec \"true\"\n Port 1\n"+
		"Host known\n IdentityFile %[6]s\n KnownHostsCommand /bin/echo nothing\n"+
		"Host local\n PermitLocalCommand yes\n LocalCommand echo here\n"+
		"Host *\n HostName %[2]s\n Port %[3]d\n User %[4]s\n IdentityFile %[5]s\n IdentityAgent none\n UserKnownHostsFile %[7]s\n",
		h.dir, h.sshd.Host, h.sshd.Port, h.sshd.User, key, other, known))
	as = func(c *exec.Cmd) *exec.Cmd {
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
		return c
	}
	h.gives(uid)
	h.start(as(h.command("bash", "-c", fmt.Sprintf("ulimit -u %d; exec %s/muxd", processes, bin))), nil)
	h.eventually("muxd listens", func() bool { return len(pidsIn(h.logPath())) == 1 })
	h.run(as(h.muxc("box", "echo works")), nil).is(t, "works\n", "", 0)
	h.eventually("muxd has its threads", func() bool {
		threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", h.pid()))
		return len(threads) > 14 // seven by itself
	})
	return h, as
}

// processes is what fewProcesses leaves muxd.
const processes = 256

// gives gives the user all of the host's files.
func (h *host) gives(uid uint32) {
	h.t.Helper()
	if err := filepath.WalkDir(h.dir, func(path string, _ os.DirEntry, err error) error {
		if err == nil {
			err = os.Lchown(path, int(uid), int(uid))
		}
		return err
	}); err != nil {
		h.t.Fatal(err)
	}
}

// fill has other programs of the user take all processes that the limit leaves,
// until the function that it returns is called.
func (h *host) fill(t *testing.T, uid uint32) (free func()) {
	t.Helper()
	full := h.command(os.Args[0])
	full.Env = append(full.Env, fmt.Sprintf("%s=%d:%d", threadsVar, uid, processes))
	in, end := pipe(t)
	p := h.start(full, in)
	p.says("full")
	return func() { end.Close(); p.wait() }
}

// TestProcessLimit has other programs of the user take all processes that muxd's
// limit leaves: Go would end a muxd that needs one more thread, and with it every
// connection. What it has is enough for fifty commands at once, and what needs a
// process of its own is refused in a line.
func TestProcessLimit(t *testing.T) {
	t.Parallel()
	const uid = 54321
	h, as := fewProcesses(t, uid)
	pid := h.pid()
	free := h.fill(t, uid)
	var all []*running
	for range 50 {
		all = append(all, h.start(as(h.muxc("box", "head -c 1000000 /dev/zero")), nil))
	}
	for _, p := range all {
		if r := p.wait(); r.code != 0 || r.err != "" || len(r.out) != 1000000 {
			t.Errorf("exit %d, %d bytes, %q", r.code, len(r.out), r.err)
		}
	}
	byCommand := as(h.muxc("-o", "ProxyCommand=nc %h %p", "box", "echo works"))
	again := as(h.muxc(byCommand.Args[3:]...))
	h.run(byCommand, nil).fails(t, `box: ProxyCommand: .*`+tooMany)
	free()
	h.run(again, nil).is(t, "works\n", "", 0)
	if h.pid() != pid {
		t.Error("another muxd")
	}
}

const tooMany = `resource temporarily unavailable: too many processes; end some, or raise the limit \(ulimit -u, or a container's pids\.max\)`

// TestChildrenAtTheProcessLimit is the same for what a client runs for muxd: each
// has its line, nothing hangs, and when there is room again the next one works.
func TestChildrenAtTheProcessLimit(t *testing.T) {
	t.Parallel()
	const uid = 54322
	h, as := fewProcesses(t, uid)
	gates := filepath.Join(h.dir, "gates")
	if err := os.Mkdir(gates, 0o700); err != nil {
		t.Fatal(err)
	}
	hosts := []string{"exec", "known", "local"}
	for _, name := range hosts {
		if err := syscall.Mkfifo(filepath.Join(gates, name+".gate"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	h.gives(uid)
	muxc := func(name string) *running {
		// It gets its threads, and one child, while there is room.
		return h.start(as(h.command("bash", "-c", fmt.Sprintf("ulimit -u %d; exec %s/muxc -F %s %s echo works", processes, bin, h.cfg, name))), nil)
	}
	all := map[string]*running{}
	for _, name := range hosts {
		all[name] = muxc(name)
		h.eventually(name+" waits at the gate", func() bool { _, err := os.Stat(filepath.Join(gates, name)); return err == nil })
	}
	free := h.fill(t, uid)
	for _, name := range hosts {
		write(t, filepath.Join(gates, name+".gate"), "on\n")
	}
	all["exec"].wait().fails(t, `exec: .*match exec 'true' error: .*`+tooMany)
	all["known"].wait().fails(t, `known: KnownHostsCommand .*`+tooMany)
	if r := all["local"].wait(); r.code != 0 || r.out != "works\n" || !regexp.MustCompile(`\Amuxc: local: LocalCommand: .*`+tooMany+`\n\z`).MatchString(r.err) {
		t.Errorf("%+v", r) // as with ssh, the command runs all the same
	}
	free()
	if err := os.RemoveAll(gates); err != nil { // which are the test's
		t.Fatal(err)
	}
	h.run(as(h.muxc("exec", "true")), nil).fails(t, `exec: .*connection refused`) // Port 1, and so the command was run
	muxc("known").wait().is(t, "works\n", "", 0)
	muxc("local").wait().is(t, "here\nworks\n", "", 0)
}
