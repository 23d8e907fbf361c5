package main

import (
	"bytes"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"muxd/internal/sshtest"
)

// proxied is stock ssh that speaks its own protocol through the door.
func (d *doorway) proxied(args ...string) *exec.Cmd {
	return d.by(append([]string{"-O", "proxy"}, args...)...)
}

// In proxy mode a session is what it is otherwise.
func TestDoorProxiedSessions(t *testing.T) {
	d := openDoor(t)
	for _, code := range []int{0, 1, 4, 5, 44, 255} {
		d.run(d.proxied("box", fmt.Sprintf("echo out; echo err >&2; exit %d", code)), nil).is(t, "out\n", "err\n", code)
	}
	d.run(d.proxied("-T", "box"), strings.NewReader("echo shell; exit 9\n")).is(t, "shell\n", "", 9)
	c := d.proxied("-o", "SetEnv=MUXTEST_A=set", "-o", "SendEnv=MUXTEST_B", "box", "echo $MUXTEST_A $MUXTEST_B; cat")
	c.Env = append(append([]string(nil), d.env...), "MUXTEST_B=sent")
	d.run(c, strings.NewReader("typed\n")).is(t, "set sent\ntyped\n", "", 0)
	big := []byte(read(t, d.random("big", 20<<20)))
	if r := d.run(d.proxied("box", "cat"), bytes.NewReader(big)); r.code != 0 || r.err != "" || r.out != string(big) {
		t.Errorf("exit %d, %q, %d bytes of %d", r.code, r.err, len(r.out), len(big))
	}
	d.bySh("$ssh -O proxy box 'exec 0<&-; sleep 1; echo none' </dev/zero").is(t, "none\n", "", 0)
	if r := d.run(d.proxied("-s", "box", "nosuch"), nil); r.code != 255 {
		t.Errorf("a subsystem that is not there: %+v", r)
	}
	others := d.start(d.proxied("box", "echo up; exec cat"), blocked(t))
	others.says("up\n")
	killed := d.start(d.proxied("box", "echo up; exec sleep 1000"), nil)
	killed.says("up\n")
	killed.signal(syscall.SIGKILL)
	killed.wait()
	d.run(d.proxied("box", "echo works"), nil).is(t, "works\n", "", 0)
	if closed(others.done) {
		t.Errorf("another client ended: %+v", others.wait())
	}
	d.logins(1)
}

func TestDoorProxiedForwards(t *testing.T) {
	sshtest.Require(t, "curl")
	d := openDoor(t)
	page := web(t, "a page")
	local, dynamic, remote := freePort(t), freePort(t), freePort(t)
	there := filepath.Join(d.dir, "there")
	s := d.start(d.proxied("-L", at("%d:%s", local, page), "-D", at("%d", dynamic), "-R", at("%d:%s", remote, page), "-R", there+":"+page,
		"box", "echo up; exec sleep 1000"), nil)
	s.says("up\n")
	for _, args := range [][]string{{"http://" + loopback(local)}, {"http://" + loopback(remote)}, {"--unix-socket", there, "http://page"},
		{"--socks5-hostname", loopback(dynamic), "http://" + page}} {
		if r := d.curl(args...); r.out != "a page" {
			t.Errorf("%v: %+v", args, r)
		}
	}
	// Two clients, each with a remote forward of its own.
	other := freePort(t)
	o := d.start(d.proxied("-R", at("%d:%s", other, web(t, "another page")), "box", "echo up; exec sleep 1000"), nil)
	o.says("up\n")
	d.curl("http://"+loopback(other)).is(t, "another page", "", 0)
	d.curl("http://"+loopback(remote)).is(t, "a page", "", 0)
	s.signal(syscall.SIGTERM)
	s.wait()
	d.eventually("the forward ends with its client", func() bool { return !accepts(loopback(remote)) })
	d.curl("http://"+loopback(other)).is(t, "another page", "", 0)
	d.logins(1)
}

func TestDoorProxiedTerminal(t *testing.T) {
	d := openShellDoor(t)
	s := d.onScreen(d.proxied("-tt", "box", "trap 'stty size' WINCH; trap 'echo got int' INT; stty size; stty -a | grep -o -- '-*echoe'; echo ready; while :; do sleep 0.1; done"))
	s.shows("33 101")
	s.shows("echoe")
	s.shows("ready")
	s.resize(41, 71)
	s.shows("41 71")
	s.types("\x03")
	s.shows("got int")
	s.types("\r~.")
	s.ends(255)
	s.restored(s.fresh)
}

// An outage: what is under way is lost, with the channel's end as in any ssh, and
// what is asked meanwhile is held.
func TestDoorProxiedOutage(t *testing.T) {
	d, proxy := outageDoor(t, "60")
	under := d.start(d.proxied("box", "echo up; exec sleep 1000"), nil)
	under.says("up\n")
	proxy.Refuse(true)
	proxy.Cut()
	if r := under.wait(); r.code != 255 {
		t.Errorf("%+v", r)
	}
	held := d.start(d.proxied("box", "echo works; exit 3"), nil)
	time.Sleep(1500 * time.Millisecond)
	if closed(held.done) {
		t.Fatalf("it was not held: %+v", held.wait())
	}
	proxy.Refuse(false)
	held.wait().is(t, "works\n", "", 3)
	d.logins(2)
}

// A session has the agent and the display of its own client.
func TestDoorAgent(t *testing.T) {
	h := agentHost(t)
	sshtest.Require(t, "ssh")
	d := &doorway{h, filepath.Join(h.dir, "door")}
	d.hold(d.path)
	for range 2 {
		agent, key := agentWith(t)
		d.setenv("SSH_AUTH_SOCK", agent.Path)
		for _, by := range []func(...string) *exec.Cmd{d.by, d.proxied} {
			if r := d.run(by("-A", "box", "ssh-add -l"), nil); r.code != 0 || !strings.Contains(r.out, key) {
				t.Errorf("%+v", r)
			}
			if r := d.run(by("-a", "box", "ssh-add -l 2>&1"), nil); strings.Contains(r.out, "SHA256") {
				t.Errorf("without being asked for: %+v", r)
			}
		}
	}
	d.logins(1)
}

func TestDoorX11(t *testing.T) {
	h, cookies := x11Host(t, 560)
	sshtest.Require(t, "ssh")
	x, xauth := startX(t), h.xauth(true, true)
	d := &doorway{h, filepath.Join(h.dir, "door")}
	d.hold(d.path, "-o", "XAuthLocation="+xauth.path)
	d.setenv("DISPLAY", x.Display) // the client's alone
	for _, by := range []func(...string) *exec.Cmd{d.by, d.proxied} {
		in, end := pipe(t)
		p := d.start(by("-X", "-o", "XAuthLocation="+xauth.path, "box", "echo $DISPLAY; read line"), in)
		addr, display := p.farDisplay()
		if answer, back := xprogram(t, addr, cookieAt(t, cookies, display)); answer != "success" || back != "draw" {
			t.Errorf("%q, %q; stderr %q", answer, back, p.err.String())
		}
		end.Close()
		p.wait()
	}
	d.logins(1)
}
