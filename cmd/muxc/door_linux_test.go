package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"muxd/internal/sshtest"
)

// doorway is a host with a ControlPath that a muxc in the background holds.
type doorway struct {
	*host
	path string
}

func openDoor(t *testing.T, args ...string) *doorway {
	t.Helper()
	t.Parallel()
	sshtest.Require(t, "ssh")
	h := startHost(t)
	d := &doorway{h, filepath.Join(h.dir, "door")}
	d.hold(d.path, args...)
	return d
}

// hold has a path served by a muxc in the background. Its stderr, a file, is
// kept by the process that stays: what it says is looked at.
func (h *host) hold(path string, args ...string) {
	h.t.Helper()
	f, err := os.Create(filepath.Join(h.dir, "said"))
	if err != nil {
		h.t.Fatal(err)
	}
	defer f.Close()
	c := h.muxc(append(args, "-fNM", "-S", path, "box")...)
	c.Stdout, c.Stderr = f, f
	if r := h.run(c, nil); r.code != 0 || read(h.t, f.Name()) != "" {
		h.t.Fatalf("exit %d, said %q", r.code, read(h.t, f.Name()))
	}
}

// by is stock ssh through the door.
func (d *doorway) by(args ...string) *exec.Cmd {
	return d.ssh(append([]string{"-S", d.path}, args...)...)
}

// holder is the process that ssh takes for the master.
func (d *doorway) holder() int {
	d.t.Helper()
	r := d.run(d.by("-O", "check", "box"), nil)
	var pid int
	if _, err := fmt.Sscanf(r.err, "Master running (pid=%d)", &pid); err != nil || r.code != 0 {
		d.t.Fatalf("-O check: %+v", r)
	}
	return pid
}

func (d *doorway) gone() bool {
	_, err := os.Lstat(d.path)
	return os.IsNotExist(err)
}

func TestDoorExitStatus(t *testing.T) {
	d := openDoor(t)
	for _, code := range []int{0, 1, 4, 5, 44, 255} {
		d.run(d.by("box", fmt.Sprintf("echo out; echo err >&2; exit %d", code)), nil).is(t, "out\n", "err\n", code)
	}
	d.run(d.by("box", "kill -TERM $$"), nil).is(t, "", "", 128+15)
	d.run(d.by("box", "-T"), strings.NewReader("echo shell; exit 9\n")).is(t, "shell\n", "", 9)
	d.logins(1)
}

// The parts of a command's world arrive as the client has them, also those that
// the holder does not send.
func TestDoorEnvironmentAndStdin(t *testing.T) {
	d := openDoor(t)
	c := d.by("-o", "SetEnv=MUXTEST_A=set", "-o", "SendEnv=MUXTEST_B", "box", "echo $MUXTEST_A $MUXTEST_B; cat")
	c.Env = append(append([]string(nil), d.env...), "MUXTEST_B=sent")
	d.run(c, strings.NewReader("typed\n")).is(t, "set sent\ntyped\n", "", 0)
	d.run(d.by("-n", "box", "cat; echo end"), strings.NewReader("not read")).is(t, "end\n", "", 0)
	// A loop over a file, whose commands leave it alone.
	write(t, filepath.Join(d.dir, "list"), "one\ntwo\nthree\n")
	loop := d.command("/bin/sh", "-c", "while read x; do ssh -n -F "+d.cfg+" -S "+d.path+" box echo got $x; done < list")
	d.run(loop, nil).is(t, "got one\ngot two\ngot three\n", "", 0)
	d.run(d.command("/bin/sh", "-c", "ssh -F "+d.cfg+" -S "+d.path+" box yes | head -1"), nil).is(t, "y\n", "", 0)
}

func TestDoorBothWays(t *testing.T) {
	d := openDoor(t)
	big := []byte(read(t, d.random("big", 20<<20)))
	r := d.run(d.by("box", "cat"), bytes.NewReader(big))
	if r.code != 0 || r.err != "" || r.out != string(big) {
		t.Errorf("exit %d, %q, %d bytes back of %d, equal %v", r.code, r.err, len(r.out), len(big), r.out == string(big))
	}
}

// A hundred at once make one login and wait in line for room.
func TestDoorHundredAtOnce(t *testing.T) {
	d := openDoor(t)
	var all sync.WaitGroup
	for i := range 100 {
		all.Go(func() {
			c := d.by("box", fmt.Sprintf("echo %d; exit %d", i, i))
			var out, err bytes.Buffer
			c.Stdout, c.Stderr = &out, &err
			c.Run()
			if out.String() != fmt.Sprintf("%d\n", i) || err.Len() > 0 || c.ProcessState.ExitCode() != i {
				t.Errorf("%d: %q, %q, exit %d", i, out.String(), err.String(), c.ProcessState.ExitCode())
			}
		})
	}
	all.Wait()
}

// A client that is killed, or stopped, is nobody else's trouble.
func TestDoorClientDies(t *testing.T) {
	d := openDoor(t)
	stopped := d.start(d.by("box", "echo begun; yes"), nil)
	stopped.says("begun")
	stopped.signal(syscall.SIGSTOP)
	mark := filepath.Join(d.dir, "mark")
	killed := d.start(d.by("box", "trap 'echo hup > "+mark+"; exit' HUP; echo begun; for i in $(seq 100); do sleep 0.1; done"), nil)
	killed.says("begun")
	killed.signal(syscall.SIGKILL)
	d.run(d.by("box", "echo works"), nil).is(t, "works\n", "", 0)
	if os.Getuid() != 0 { // sshd passes no signals on for root
		d.eventually("the command hears of it", func() bool { _, err := os.Stat(mark); return err == nil })
	}
	stopped.signal(syscall.SIGKILL)
}

// The door goes with the process that holds it, at once, and its clients too.
func TestDoorHolderEnds(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGKILL} {
		t.Run(s.String(), func(t *testing.T) {
			d := openDoor(t)
			pid := d.holder()
			d.eventually("the holder is called muxc", func() bool { return read(t, fmt.Sprintf("/proc/%d/comm", pid)) == "muxc\n" })
			client := d.start(d.by("box", "echo begun; sleep 1000"), nil)
			client.says("begun")
			kill(t, pid, s)
			d.eventually("the path goes", d.gone)
			if r := client.wait(); r.code != 255 {
				t.Errorf("the client: %+v", r)
			}
		})
	}
}

func TestDoorExitAndStop(t *testing.T) {
	d := openDoor(t)
	client := d.start(d.by("box", "echo begun; sleep 1000"), nil)
	client.says("begun")
	pid := d.holder()
	stop := d.start(d.by("-O", "stop", "box"), nil).wait()
	stop.is(t, "", "Stop listening request sent.\r\n", 0)
	d.eventually("the path goes", d.gone)
	if !until(0, func() bool { return syscall.Kill(pid, 0) == nil }) {
		t.Error("the holder went before its client")
	}
	client.signal(syscall.SIGTERM)
	client.wait()
	d.eventually("the holder ends", func() bool { return syscall.Kill(pid, 0) != nil })

	d.hold(d.path)
	lost := d.start(d.by("box", "echo begun; sleep 1000"), nil)
	lost.says("begun")
	pid = d.holder()
	d.run(d.by("-O", "exit", "box"), nil).is(t, "", "Exit request sent.\r\n", 0)
	if r := lost.wait(); r.code != 255 {
		t.Errorf("a session at the exit: %+v", r)
	}
	d.eventually("the holder and the path go", func() bool { return syscall.Kill(pid, 0) != nil && d.gone() })
}

// A master with a command of its own stays for its passengers.
func TestDoorOfACommand(t *testing.T) {
	d := openDoor(t)
	d.path = filepath.Join(d.dir, "other")
	m := d.start(d.muxc("-M", "-S", d.path, "box", "echo begun; sleep 1; exit 3"), nil)
	m.says("begun")
	p := d.start(d.by("box", "echo begun; sleep 2; echo end"), nil)
	p.says("begun")
	p.wait().is(t, "begun\nend\n", "", 0)
	m.wait().is(t, "begun\n", "", 3)
	if !d.gone() {
		t.Error("the path stays")
	}
	// With ControlPersist the path stays, and -O exit takes it.
	d.run(d.muxc("-M", "-o", "ControlPersist=yes", "-S", d.path, "box", "echo done"), nil).is(t, "done\n", "", 0)
	d.run(d.by("box", "echo works"), nil).is(t, "works\n", "", 0)
	d.run(d.by("-O", "exit", "box"), nil).is(t, "", "Exit request sent.\r\n", 0)
	d.eventually("the path goes", d.gone)
}

// What stands at the path already.
func TestDoorPathTaken(t *testing.T) {
	d := openDoor(t)
	r := d.run(d.muxc("-M", "-S", d.path, "box", "echo works"), nil)
	r.is(t, "works\n", "ControlSocket "+d.path+" already exists, disabling multiplexing\n", 0)
	d.run(d.muxc("-o", "ControlMaster=auto", "-S", d.path, "box", "echo works"), nil).is(t, "works\n", "", 0)
	file := write(t, filepath.Join(d.dir, "file"), "mine")
	d.run(d.muxc("-M", "-S", file, "box", "echo ran"), nil).fails(t, "not a socket")
	if read(t, file) != "mine" {
		t.Error("the file was touched")
	}
	// Muxc and ssh take the path for what it stands for, whatever name is typed.
	for _, c := range []*exec.Cmd{d.muxc("-S", d.path, "box", "echo works"), d.by("anything", "echo works"), d.muxc("-S", d.path, "anything", "echo works")} {
		d.run(c, nil).is(t, "works\n", "", 0)
	}
	d.logins(1)
	// A dead one is replaced.
	dead := filepath.Join(d.dir, "dead")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: dead})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	d.hold(dead)
	d.run(d.ssh("-S", dead, "box", "echo works"), nil).is(t, "works\n", "", 0)
}

func TestDoorForwards(t *testing.T) {
	d := openDoor(t)
	target := fmt.Sprintf("127.0.0.1:%d", d.sshd.Port)
	greets := func(network, addr string) bool {
		c, err := net.Dial(network, addr)
		if err != nil {
			return false
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(long))
		b := make([]byte, 4)
		n, _ := c.Read(b)
		return string(b[:n]) == "SSH-"
	}
	port := strings.TrimSpace(d.run(d.command("/bin/sh", "-c", "echo $((20000 + $$ % 20000))"), nil).out)
	local := "127.0.0.1:" + port
	d.run(d.by("-O", "forward", "-L", port+":"+target, "box"), nil).is(t, "", "", 0)
	if !greets("tcp", local) {
		t.Error("-L does not lead there")
	}
	d.run(d.by("-O", "forward", "-L", port+":"+target, "box"), nil).is(t, "", "", 0) // twice is once
	if r := d.run(d.by("-O", "cancel", "-L", port+":other:1", "box"), nil); !strings.Contains(r.err, "port not forwarded") {
		t.Errorf("cancel of another: %+v", r)
	}
	d.run(d.by("-O", "cancel", "-L", port+":"+target, "box"), nil).is(t, "", "", 0)
	if greets("tcp", local) {
		t.Error("it stands after -O cancel")
	}
	sock := filepath.Join(d.dir, "sock")
	d.run(d.by("-O", "forward", "-L", sock+":"+target, "box"), nil).is(t, "", "", 0)
	if !greets("unix", sock) {
		t.Error("a Unix socket does not lead there")
	}
	d.run(d.by("-O", "cancel", "-L", sock+":"+target, "box"), nil).is(t, "", "", 0)
	if _, err := os.Lstat(sock); err == nil {
		t.Error("its path stays")
	}
	// A path is the client's, wherever muxd is.
	d.run(d.by("-O", "forward", "-L", "./relative:"+target, "box"), nil).is(t, "", "", 0)
	if !greets("unix", filepath.Join(d.dir, "relative")) {
		t.Error("a relative path does not lead there")
	}
	r := d.run(d.by("-O", "forward", "-R", "0:"+target, "box"), nil)
	if r.code != 0 || !greets("tcp", "127.0.0.1:"+strings.TrimSpace(r.out)) {
		t.Errorf("-R 0: %+v", r)
	}
	// Of a session it ends with the session.
	s := d.start(d.by("-L", port+":"+target, "box", "echo begun; sleep 1000"), nil)
	s.says("begun")
	if !greets("tcp", local) {
		t.Error("a session's -L does not lead there")
	}
	s.signal(syscall.SIGTERM)
	s.wait()
	d.eventually("a session's forward ends with it", func() bool { return !greets("tcp", local) })
	w := d.run(d.by("-W", target, "box"), strings.NewReader("x\n"))
	if !strings.HasPrefix(w.out, "SSH-") {
		t.Errorf("-W: %+v", w)
	}
	d.run(d.by("-W", "127.0.0.1:1", "box"), nil).is(t, "", "Stdio forwarding request failed: box: stdio forwarding to 127.0.0.1:1 failed: Connection refused\r\n", 255)
}

// In proxy mode the client speaks SSH itself.
func TestDoorProxyMode(t *testing.T) {
	d := openDoor(t)
	by := func(args ...string) *exec.Cmd { return d.by(append([]string{"-O", "proxy"}, args...)...) }
	d.run(by("box", "echo out; echo err >&2; exit 3"), nil).is(t, "out\n", "err\n", 3)
	big := []byte(read(t, d.random("big", 8<<20)))
	if r := d.run(by("box", "cat"), bytes.NewReader(big)); r.code != 0 || r.out != string(big) {
		t.Errorf("exit %d, %q, %d bytes", r.code, r.err, len(r.out))
	}
	d.run(by("-o", "ServerAliveInterval=1", "box", "sleep 3; echo alive"), nil).is(t, "alive\n", "", 0)
	r := d.run(by("-R", fmt.Sprintf("0:127.0.0.1:%d", d.sshd.Port), "box", "true"), nil)
	if r.code != 0 || !strings.Contains(r.err, "Allocated port ") {
		t.Errorf("-R 0: %+v", r)
	}
	d.logins(1)
}

// The holder is asked about what others want to do by its connection (-MM), and
// a no has no ssh log in by itself.
func TestDoorAsks(t *testing.T) {
	d := openDoor(t)
	for _, c := range []struct {
		answer string
		code   int
	}{{"echo yes", 0}, {"exit 1", 255}} {
		path := filepath.Join(d.dir, "asked"+c.answer)
		script := write(t, filepath.Join(d.dir, "askpass"), "#!/bin/sh\necho \"$1\" >> "+filepath.Join(d.dir, "questions")+"\n"+c.answer+"\n")
		os.Chmod(script, 0o700)
		m := d.muxc("-MM", "-N", "-S", path, "box")
		m.Env = append(append([]string(nil), d.env...), "SSH_ASKPASS="+script, "SSH_ASKPASS_REQUIRE=force")
		d.start(m, nil)
		d.eventually("the path is served", func() bool { _, err := os.Lstat(path); return err == nil })
		r := d.run(d.ssh("-S", path, "box", "echo works"), nil)
		if r.code != c.code || r.code == 255 && !strings.Contains(r.err, "Permission denied") {
			t.Errorf("%s: %+v", c.answer, r)
		}
		if r := d.run(d.ssh("-S", path, "-O", "exit", "box"), nil); r.code != c.code {
			t.Errorf("-O exit, %s: %+v", c.answer, r)
		}
		if asked := read(t, filepath.Join(d.dir, "questions")); !strings.Contains(asked, "Allow shared connection to box?") ||
			!strings.Contains(asked, "Terminate shared connection to box?") {
			t.Errorf("asked %q", asked)
		}
		os.Remove(filepath.Join(d.dir, "questions"))
	}
}

// While the server is away a command is held; when it is back, it runs, on the
// same path. What was running is lost, and said to be.
func TestDoorOutlivesTheServer(t *testing.T) {
	d := openDoor(t)
	d.own("WaitForReady 60\n")
	path := filepath.Join(d.dir, "patient")
	d.hold(path)
	lost := d.start(d.ssh("-S", path, "box", "echo begun; sleep 1000"), nil)
	lost.says("begun")
	d.sshd.Kill()
	r := lost.wait()
	if r.code != 255 || !strings.Contains(r.err, "connection lost") {
		t.Errorf("lost: %+v", r)
	}
	held := d.start(d.ssh("-S", path, "box", "echo works"), nil)
	time.Sleep(1500 * time.Millisecond)
	if closed(held.done) {
		t.Fatalf("it was not held: %+v", held.wait())
	}
	d.sshd.Restart(t)
	held.wait().is(t, "works\n", "", 0)
}

// A login that fails is told, and ssh does not try one of its own.
func TestDoorLoginFails(t *testing.T) {
	d := openDoor(t)
	before := d.sshd.Logins()
	away := d.sshd.ClientKey + ".away"
	if err := os.Rename(d.sshd.ClientKey, away); err != nil {
		t.Fatal(err)
	}
	defer os.Rename(away, d.sshd.ClientKey)
	d.sshd.KillSessions()
	d.eventually("the connection is gone", func() bool { return d.run(d.muxc("-O", "check", "box"), nil).code != 0 })
	r := d.run(d.by("-o", "IdentityFile="+away, "box", "echo ran"), nil)
	if r.code != 255 || r.out != "" || !strings.Contains(r.err, "muxd: box: ") {
		t.Errorf("%+v", r)
	}
	if n := d.sshd.Logins(); n != before {
		t.Errorf("%d logins, want %d: ssh went past the path", n, before)
	}
}
