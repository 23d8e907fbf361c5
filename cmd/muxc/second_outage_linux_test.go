package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"muxd/internal/sshtest"
)

// outageDoor is a door whose connection fails on demand. The lines are of
// ssh_config.
func outageDoor(t *testing.T, wait string, lines ...string) (*doorway, *sshtest.Proxy) {
	t.Helper()
	d := doorHost(t)
	d.own("WaitForReady " + wait + "\nMaxConnections 1\n")
	p := d.through()
	write(t, d.cfg, strings.Join(lines, "\n")+"\n"+read(t, d.cfg))
	d.loggedIn()
	d.hold(d.path)
	return d, p
}

// While the connection is away all that ask for it by the path are held, and
// none of them makes one of its own. When it is back each gets what it asked for.
func TestDoorOutage(t *testing.T) {
	sshtest.Require(t, "curl")
	d, proxy := outageDoor(t, "60")
	page := web(t, "a page")
	port := freePort(t)
	d.run(d.by("-O", "forward", "-R", at("%d:%s", port, page), "box"), nil).is(t, "", "", 0)
	command := d.start(d.by("box", "echo up; exec sleep 1000"), nil)
	command.says("up\n")
	f := serveTCP(t, parrot)
	in, feed := pipe(t)
	stdio := d.start(d.by("-W", f.addr, "box"), in)
	feed.WriteString("there\n")
	stdio.says("there\n")

	proxy.Refuse(true)
	proxy.Cut()
	if r := command.wait(); r.code != 255 || !strings.Contains(r.err, "muxd: box: connection lost (") || strings.Count(r.err, "\n") != 1 {
		t.Errorf("a command: %+v", r)
	}
	if r := stdio.wait(); r.code != 255 {
		t.Errorf("-W: %+v", r)
	}
	pid := d.holder() // answers without a connection
	var all []*running
	for i := range 10 {
		all = append(all, d.start(d.by("box", fmt.Sprintf("echo %d; exit %d", i, i)), nil))
	}
	ran := filepath.Join(d.dir, "ran")
	impatient := d.start(d.by("box", "touch "+ran), nil)
	direct := d.start(d.by("-W", f.addr, "box"), strings.NewReader("direct"))
	person := d.onScreen(d.by("-t", "box", "echo works"))
	person.expect(`muxd: box: [^\r\n]+: waiting for the connection \([^\r\n]+\)|muxd: box: waiting for the connection \([^\r\n]+\)`)
	impatient.signal(syscall.SIGINT)
	if r := impatient.wait(); r.code != 255 && r.code != 128+int(syscall.SIGINT) {
		t.Errorf("one who gives up: %+v", r)
	}
	for i, p := range append(all, direct) {
		if closed(p.done) {
			t.Fatalf("%d was not held: %+v", i, p.wait())
		}
	}
	proxy.Refuse(false)
	for i, p := range all {
		p.wait().is(t, fmt.Sprintln(i), "", i)
	}
	direct.wait().is(t, "direct", "", 0)
	person.shows("works")
	person.ends(0)
	d.eventually("the forward is back, at its port", func() bool { return d.curl("http://"+loopback(port)).out == "a page" })
	if _, err := os.Stat(ran); err == nil {
		t.Error("the command of one who gave up ran")
	}
	if now := d.holder(); now != pid {
		t.Errorf("the holder was %d and is %d", pid, now)
	}
	d.logins(2)
}

// A connection that says nothing any more is found out by who comes, and what
// comes then runs on the next one.
func TestDoorSilence(t *testing.T) {
	d, proxy := outageDoor(t, "60", "ServerAliveInterval 1", "ServerAliveCountMax 2", "ConnectTimeout 2")
	command := d.start(d.by("box", "echo up; exec sleep 1000"), nil)
	command.says("up\n")
	proxy.Stall(sshtest.Both)
	time.Sleep(time.Second)
	held := d.start(d.by("box", "echo works"), nil)
	if r := command.wait(); r.code != 255 || !strings.Contains(r.err, "connection lost (no answer") {
		t.Errorf("%+v", r)
	}
	if closed(held.done) {
		t.Fatalf("it was not held: %+v", held.wait())
	}
	proxy.CloseAll()
	proxy.Resume(sshtest.Both)
	held.wait().is(t, "works\n", "", 0)
}

// Who waits no longer is told why, and ssh does not try by itself what it was
// not to do by itself, though it could.
func TestDoorGivesUp(t *testing.T) {
	d, proxy := outageDoor(t, "8") // which is the path's, so that the login must not take longer
	proxy.Refuse(true)
	proxy.Cut()
	elsewhere := []string{"-o", fmt.Sprintf("Port=%d", d.sshd.Port)} // past the proxy
	r := d.run(d.by(append(elsewhere, "box", "echo ran")...), nil)
	if r.code != 255 || r.out != "" || !strings.Contains(r.err, "muxd: box: ") || !strings.Contains(r.err, "connection refused") || r.took < time.Second {
		t.Errorf("%+v", r)
	}
	r = d.run(d.by(append(elsewhere, "-W", d.sshd.Addr, "box")...), nil)
	if r.code != 255 || r.out != "" || !strings.Contains(r.err, "connection refused") {
		t.Errorf("-W: %+v", r)
	}
	d.logins(1)
	proxy.Refuse(false)
	d.run(d.muxc("-o", "WaitForReady=60", "box", "true"), nil).is(t, "", "", 0)
	d.run(d.by("box", "echo works"), nil).is(t, "works\n", "", 0)
}

// A login that the server refuses, or that must not be made, is told. A key that
// ssh could log in with by itself stays unused.
func TestDoorLoginRefused(t *testing.T) {
	d, proxy := outageDoor(t, "60")
	other := sshtest.NewKey()
	file := other.WriteFile(t, d.dir, "other", "")
	d.sshd.Authorize(t, other)
	proxy.Cut()
	by := func() result { return d.run(d.by("-i", file, "box", "echo ran"), nil) }
	r := by()
	if r.code != 255 || r.out != "" || !strings.Contains(r.err, "muxd: box: ") || !strings.Contains(r.err, "ermission denied") {
		t.Errorf("a key that is refused: %+v", r)
	}
	// The path stays for as long as its holder does, whatever becomes of logins.
	d.eventually("the holder is told", func() bool { return strings.Contains(read(t, filepath.Join(d.dir, "said")), "ermission denied") })
	if r := by(); r.code != 255 || r.out != "" || !strings.Contains(r.err, "ermission denied") {
		t.Errorf("a key that is refused, again: %+v", r)
	}
	d.holder()
	d.logins(1)
	d.sshd.Authorize(t, other, d.sshd.Key)
	d.run(d.by("box", "echo works"), nil).is(t, "works\n", "", 0)
	d.logins(2)
	was := read(t, d.sshd.KnownHosts)
	d.sshd.RotateHostKey(t)
	d.sshd.Kill()
	proxy.Cut()
	d.sshd.Restart(t)
	if r := by(); r.code != 255 || r.out != "" || !strings.Contains(r.err, "muxd: box: ") || !strings.Contains(r.err, "host key") {
		t.Errorf("a changed host key: %+v", r)
	}
	if read(t, d.sshd.KnownHosts) != was {
		t.Error("known_hosts was changed")
	}
	d.logins(2)
}

// Where a person is needed the line says what to type, and when that was done
// the path works again.
func TestDoorNeedsAPerson(t *testing.T) {
	d := doorHost(t)
	d.own("WaitForReady 60\nRememberSecrets no\n")
	key := sshtest.NewKey()
	file := key.WriteFile(t, d.dir, "locked", "secret")
	d.sshd.Authorize(t, key)
	write(t, d.cfg, "IdentityFile "+file+"\n"+read(t, d.cfg))
	d.askpass("echo secret")
	d.setenv("SSH_ASKPASS_REQUIRE", "force")
	// Nobody holds the path: a holder can be asked.
	d.run(d.muxc("-M", "-S", d.path, "-o", "ControlPersist=yes", "box", "echo works"), nil).is(t, "works\n", "", 0)
	d.run(d.by("box", "echo works"), nil).is(t, "works\n", "", 0)
	d.sshd.KillSessions()
	d.eventually("the connection is gone", func() bool { return d.run(d.muxc("-O", "check", "box"), nil).code != 0 })
	r := d.run(d.by("-o", "IdentityFile="+file, "box", "echo ran"), nil)
	if r.code != 255 || r.out != "" || !strings.Contains(r.err, "muxd: box: ") || !strings.Contains(r.err, "muxc box asks you") {
		t.Errorf("%+v", r)
	}
	if r := d.run(d.by("-W", d.sshd.Addr, "box"), nil); r.code != 255 || !strings.Contains(r.err, "muxc box asks you") {
		t.Errorf("-W: %+v", r)
	}
	d.logins(1)
	d.echo()
	d.run(d.by("box", "echo works"), nil).is(t, "works\n", "", 0)
	d.logins(2)
}

// What a login is decided by is run for ssh, which runs nothing itself: with
// ssh's own environment, and nothing of what belongs on a terminal.
func TestDoorRunsKnownHostsCommand(t *testing.T) {
	d := doorHost(t)
	known := read(t, d.sshd.KnownHosts)
	program := write(t, filepath.Join(d.dir, "known"), "#!/bin/sh\necho $MUXTEST_WHO >>"+d.dir+"/asked\ncat "+write(t, filepath.Join(d.dir, "keys"), known))
	os.Chmod(program, 0o700)
	write(t, d.cfg, "KnownHostsCommand "+program+"\nUserKnownHostsFile none\nPermitLocalCommand yes\nLocalCommand touch "+d.dir+"/local\n"+read(t, d.cfg))
	d.setenv("MUXTEST_WHO", "muxc")
	d.run(d.muxc("-M", "-S", d.path, "-o", "ControlPersist=yes", "-o", "PermitLocalCommand=no", "box", "echo works"), nil).is(t, "works\n", "", 0)
	asked := filepath.Join(d.dir, "asked")
	if got := read(t, asked); !strings.HasPrefix(got, "muxc\n") {
		t.Fatalf("asked by %q", got)
	}
	d.sshd.Kill()
	d.eventually("the connection is gone", func() bool { return d.run(d.muxc("-O", "check", "box"), nil).code != 0 })
	os.Remove(asked)
	d.own("WaitForReady 60\n")
	d.sshd.Restart(t)
	d.setenv("MUXTEST_WHO", "ssh")
	d.run(d.by("box", "echo works"), nil).is(t, "works\n", "", 0)
	if got := strings.Fields(maybe(asked)); len(got) == 0 || slices.ContainsFunc(got, func(who string) bool { return who != "ssh" }) {
		t.Errorf("asked by %q", got)
	}
	if _, err := os.Stat(filepath.Join(d.dir, "local")); err == nil {
		t.Error("LocalCommand ran")
	}
	d.logins(2)
}
