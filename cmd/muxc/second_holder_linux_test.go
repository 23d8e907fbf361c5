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

	"muxd/internal/sshtest"
)

// doorHost is a host without a door, and where one would be.
func doorHost(t *testing.T) *doorway {
	t.Helper()
	t.Parallel()
	sshtest.Require(t, "ssh")
	h := startHost(t)
	return &doorway{h, filepath.Join(h.dir, "door")}
}

// opens waits until muxc in the foreground has the path served.
func (d *doorway) opens(args ...string) *running {
	d.t.Helper()
	p := d.start(d.muxc(append([]string{"-S", d.path}, args...)...), blocked(d.t))
	d.eventually("the path is served", func() bool { return closed(p.done) || !d.gone() })
	if closed(p.done) {
		d.t.Fatalf("it ended: %+v", p.wait())
	}
	return p
}

// A holder in the foreground is the process that ssh is told of, and its end
// that of the path, however it comes.
func TestDoorForegroundHolder(t *testing.T) {
	d := doorHost(t)
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGKILL} {
		p := d.opens("-M", "-N", "box")
		client := d.start(d.by("box", "echo up; exec sleep 1000"), nil)
		client.says("up\n")
		if pid := d.holder(); pid != p.cmd.Process.Pid {
			t.Errorf("-O check says %d, the holder is %d", pid, p.cmd.Process.Pid)
		}
		p.signal(s)
		r := p.wait()
		if want := 255; s != syscall.SIGKILL && r.code != want {
			t.Errorf("%v: the holder: %+v", s, r)
		}
		if !until(soon, d.gone) {
			t.Errorf("%v: the path stays", s)
		}
		if r := client.wait(); r.code != 255 || r.out != "up\n" {
			t.Errorf("%v: the client: %+v", s, r)
		}
	}
	// The connection is nobody's but muxd's: it is not made anew.
	d.logins(1)
	d.run(d.by("-O", "check", "box"), nil).is(t, "", "Control socket connect("+d.path+"): No such file or directory\r\n", 255)
}

// -O exit is a good end for who holds the path, as for ssh's master; so is -O stop.
func TestDoorForegroundHolderIsTold(t *testing.T) {
	d := doorHost(t)
	for _, command := range []string{"exit", "stop"} {
		p := d.opens("-M", "-N", "box")
		d.holder()
		r := d.run(d.by("-O", command, "box"), nil)
		if r.code != 0 || !strings.Contains(r.err, "request sent.") {
			t.Errorf("-O %s: %+v", command, r)
		}
		if r := p.wait(); r.code != 0 || r.err != "" {
			t.Errorf("-O %s: the holder: %+v", command, r)
		}
		if !d.gone() {
			t.Errorf("-O %s: the path stays", command)
		}
	}
}

// A path that was stopped is free for the next holder while who came by it goes
// on.
func TestDoorStoppedAndOpenedAgain(t *testing.T) {
	d := doorHost(t)
	first := d.opens("-M", "-N", "box")
	client := d.start(d.by("box", "read x; echo got $x; exit 6"), nil)
	in, feed := pipe(t)
	other := d.start(d.by("box", "echo up; read x; echo got $x; exit 6"), in)
	other.says("up\n")
	client.wait()
	d.run(d.by("-O", "stop", "box"), nil)
	d.eventually("the path goes", d.gone)
	second := d.opens("-M", "-N", "box")
	if pid := d.holder(); pid != second.cmd.Process.Pid {
		t.Errorf("-O check says %d, the second holder is %d", pid, second.cmd.Process.Pid)
	}
	if closed(first.done) {
		t.Error("the first holder went before its client")
	}
	feed.WriteString("it\n")
	other.wait().is(t, "up\ngot it\n", "", 6)
	if r := first.wait(); r.code != 0 {
		t.Errorf("the first holder: %+v", r)
	}
	d.run(d.by("box", "echo works"), nil).is(t, "works\n", "", 0)
	d.logins(1)
}

// With ControlMaster auto in the configuration the first one holds the path, the
// others find it, and who holds it stays for them.
func TestDoorAutomatic(t *testing.T) {
	d := doorHost(t)
	write(t, d.cfg, "ControlMaster auto\nControlPath "+d.dir+"/%r-%C\n"+read(t, d.cfg))
	first := d.start(d.muxc("box", "echo up; sleep 2; exit 3"), nil)
	first.says("up\n")
	sockets, _ := filepath.Glob(d.dir + "/*-*")
	if len(sockets) != 1 {
		t.Fatalf("served: %v", sockets)
	}
	d.path = sockets[0]
	if pid := d.holder(); pid != first.cmd.Process.Pid {
		t.Errorf("-O check says %d, the holder is %d", pid, first.cmd.Process.Pid)
	}
	passenger := d.start(d.ssh("box", "echo up; sleep 3; exit 4"), nil)
	passenger.says("up\n")
	d.run(d.muxc("box", "echo second"), nil).is(t, "second\n", "", 0)
	if r := first.wait(); r.code != 3 || r.err != "" || r.took < 3*time.Second {
		t.Errorf("the holder: %+v", r)
	}
	passenger.wait().is(t, "up\n", "", 4)
	if !d.gone() {
		t.Error("the path stays")
	}
	d.logins(1)
}

// With ControlPersist the path stands for itself: its pid is muxd's.
func TestDoorPersists(t *testing.T) {
	d := doorHost(t)
	d.run(d.muxc("-M", "-S", d.path, "-o", "ControlPersist=yes", "box", "echo done; exit 2"), nil).is(t, "done\n", "", 2)
	for range 3 {
		d.run(d.by("box", "echo works"), nil).is(t, "works\n", "", 0)
	}
	if pid := d.holder(); pid != d.pid() {
		t.Errorf("-O check says %d, muxd is %d", pid, d.pid())
	}
	d.run(d.by("-O", "exit", "box"), nil).is(t, "", "Exit request sent.\r\n", 0)
	d.eventually("the path goes", d.gone)
	// A time that is over takes the path with the connection.
	d.run(d.muxc("-M", "-S", d.path, "-o", "ControlPersist=1", "box", "echo done"), nil).is(t, "done\n", "", 0)
	d.eventually("the path goes when its time is over", d.gone)
	d.logins(2)
}

// A muxd that was killed leaves a socket that is in nobody's way.
func TestDoorMuxdKilled(t *testing.T) {
	d := doorHost(t)
	p := d.opens("-M", "-N", "box")
	client := d.start(d.by("box", "echo up; exec sleep 1000"), nil)
	client.says("up\n")
	d.holder()
	kill(t, d.pid(), syscall.SIGKILL)
	if r := client.wait(); r.code != 255 {
		t.Errorf("the client: %+v", r)
	}
	if r := p.wait(); r.code != 255 || !strings.Contains(r.err, "went away") {
		t.Errorf("the holder: %+v", r)
	}
	if d.gone() {
		t.Fatal("no stale socket to test")
	}
	d.opens("-M", "-N", "box")
	d.eventually("the path is served", func() bool { return d.run(d.by("-O", "check", "box"), nil).code == 0 })
	d.run(d.by("box", "echo works"), nil).is(t, "works\n", "", 0)
}

// What another master serves is left to it.
func TestDoorOfAnotherMaster(t *testing.T) {
	d := doorHost(t)
	m := d.start(d.ssh("-M", "-N", "-S", d.path, "box"), nil)
	d.eventually("ssh serves the path", func() bool { return !d.gone() })
	if pid := d.holder(); pid != m.cmd.Process.Pid {
		t.Fatalf("the master is %d, and -O check says %d", m.cmd.Process.Pid, pid)
	}
	r := d.run(d.muxc("-M", "-S", d.path, "box", "echo mine"), nil)
	r.is(t, "mine\n", "ControlSocket "+d.path+" already exists, disabling multiplexing\n", 0)
	d.run(d.muxc("-o", "ControlMaster=auto", "-S", d.path, "box", "echo auto"), nil).is(t, "auto\n", "", 0)
	if pid := d.holder(); pid != m.cmd.Process.Pid {
		t.Errorf("the master was %d and is %d", m.cmd.Process.Pid, pid)
	}
	// The other way round.
	d.eventually("ssh ends", func() bool { // which may look at a signal just before it comes, and then waits for something else
		m.cmd.Process.Signal(syscall.SIGTERM)
		return closed(m.done)
	})
	d.eventually("ssh's path goes", d.gone)
	d.opens("-M", "-N", "box")
	pid := d.holder()
	s := d.run(d.ssh("-M", "-S", d.path, "box", "echo own"), nil)
	if s.out != "own\n" || s.code != 0 || !strings.Contains(s.err, "already exists, disabling multiplexing") {
		t.Errorf("ssh -M where muxd serves: %+v", s)
	}
	if d.holder() != pid {
		t.Error("another holds the path now")
	}
}

// The longest path that a socket can have works, and a longer one is an error.
func TestDoorLongPaths(t *testing.T) {
	d := doorHost(t)
	d.path = filepath.Join(d.dir, strings.Repeat("x", 107-len(d.dir)-1))
	d.opens("-M", "-N", "box")
	d.run(d.by("box", "echo works"), nil).is(t, "works\n", "", 0)
	d.run(d.muxc("-M", "-S", d.path+"x", "box", "echo ran"), nil).fails(t, `longer than the 107 bytes`)
	d.run(d.muxc("-M", "-S", filepath.Join(d.dir, "none", "door"), "box", "echo ran"), nil).fails(t, quote(filepath.Join(d.dir, "none"))+`.*no such file or directory`)
	// A relative one is this directory's.
	relative := d.start(d.muxc("-M", "-N", "-S", "beside", "box"), nil)
	d.eventually("the path is served", func() bool { _, err := os.Lstat(filepath.Join(d.dir, "beside")); return err == nil })
	d.run(d.ssh("-S", "beside", "box", "echo works"), nil).is(t, "works\n", "", 0)
	relative.signal(syscall.SIGTERM)
	relative.wait()
}

// Of many that want the same path one gets it, and all run.
func TestDoorRace(t *testing.T) {
	d := doorHost(t)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: d.path})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	var all []*running
	for i := range 8 {
		all = append(all, d.start(d.muxc("-M", "-S", d.path, "box", fmt.Sprintf("sleep 1; exit %d", i)), nil))
	}
	refused := 0
	for i, p := range all {
		r := p.wait()
		if r.err != "" {
			refused++
		}
		if r.code != i || r.err != "" && r.err != "ControlSocket "+d.path+" already exists, disabling multiplexing\n" {
			t.Errorf("%d: %+v", i, r)
		}
	}
	if refused != len(all)-1 || !d.gone() {
		t.Errorf("%d of %d went without the path; gone: %v", refused, len(all), d.gone())
	}
	left, _ := filepath.Glob(d.path + "*")
	if len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	d.logins(1)
}

// ssh -fNM with muxc in its place, as scripts have it.
func TestDoorInScripts(t *testing.T) {
	d := doorHost(t)
	c := d.sh("set -e; for m in \"$muxc\" 'ssh -F " + d.cfg + "'; do $m -fNM -S " + d.path + " box >/dev/null 2>&1 </dev/null\n" +
		"ssh -F " + d.cfg + " -S " + d.path + " box echo works\n" +
		"for e in \"$muxc\" 'ssh -F " + d.cfg + "'; do $e -S " + d.path + " box echo works; $e -S " + d.path + " -O check box 2>&1 | grep -o '^Master running'; done\n" +
		"$m -S " + d.path + " -O exit box 2>&1 | tr -d '\\r'; while test -e " + d.path + "; do sleep 0.1; done; done")
	one := "works\nworks\nMaster running\nworks\nMaster running\nExit request sent.\n"
	d.run(c, nil).is(t, one+one, "", 0)
}

// Who reads standard output of ssh -fNM does not wait for the holder, which has
// nothing to write there; with a command it is the command's.
func TestDoorHolderLeavesStdout(t *testing.T) {
	d := doorHost(t)
	said := filepath.Join(d.dir, "said")
	d.run(d.sh("x=$($muxc -fNM -S "+d.path+" box 2>"+said+"); echo $?:$x"), nil).is(t, "0:\n", "", 0)
	if pid := d.holder(); pid == d.pid() {
		t.Error("nobody stands for the path")
	}
	d.run(d.by("box", "echo works"), nil).is(t, "works\n", "", 0)
	d.run(d.by("-O", "exit", "box"), nil).is(t, "", "Exit request sent.\r\n", 0)
	d.run(d.sh("x=$($muxc -fM -S "+d.path+"2 box 'sleep 1; echo out' 2>>"+said+"); echo $?:$x"), nil).is(t, "0:out\n", "", 0)
}

// Nor does who reads standard error by a pipe, as with ssh.
func TestDoorHolderLeavesStderr(t *testing.T) {
	d := doorHost(t)
	for _, e := range []string{"$muxc", "ssh -F " + d.cfg} {
		for _, with := range []string{"", "-E " + filepath.Join(d.dir, "log")} {
			end := e + " -S " + d.path + " -O exit box 2>/dev/null; while test -e " + d.path + "; do sleep 0.1; done"
			d.run(d.sh("x=$("+e+" "+with+" -fNM -S "+d.path+" box 2>&1 </dev/null); echo $?:$x; "+end), nil).is(t, "0:\n", "", 0)
		}
	}
}

// At the end of muxd its paths are gone, and everybody hears of it.
func TestDoorMuxdTerminated(t *testing.T) {
	d := doorHost(t)
	p := d.opens("-M", "-N", "box")
	client := d.start(d.by("box", "echo up; exec sleep 1000"), nil)
	client.says("up\n")
	kill(t, d.pid(), syscall.SIGTERM)
	if r := client.wait(); r.code != 255 || !strings.Contains(r.err, "muxd is stopping") {
		t.Errorf("the client: %+v", r)
	}
	if r := p.wait(); r.code != 255 || !strings.Contains(r.err, "muxd is stopping") {
		t.Errorf("the holder: %+v", r)
	}
	if _, err := os.Lstat(d.path); err == nil {
		t.Error("the path stays")
	}
}
