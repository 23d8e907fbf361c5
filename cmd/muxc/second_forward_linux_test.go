package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"muxd/internal/sshtest"
)

// A session's forwards stand while it does, whatever they connect, and are gone
// when the client is, however it goes.
func TestDoorSessionsForwards(t *testing.T) {
	sshtest.Require(t, "curl")
	d := openDoor(t)
	page := web(t, "a page")
	host, pagePort, _ := net.SplitHostPort(page)
	for _, end := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		local, dynamic, remote, remoteSocks := freePort(t), freePort(t), freePort(t), freePort(t)
		here, there := filepath.Join(d.dir, "here"), filepath.Join(d.dir, "there")
		s := d.start(d.by("-L", at("%d:%s", local, page), "-D", at("%d", dynamic), "-R", at("%d:%s", remote, page), "-R", at("%d", remoteSocks),
			"-L", here+":"+page, "-R", there+":"+page, "-L", at("127.0.0.1:%d:%s", freePort(t), here), "box", "echo up; exec sleep 1000"), nil)
		s.says("up\n")
		for _, args := range [][]string{{"http://" + loopback(local)}, {"http://" + loopback(remote)},
			{"--unix-socket", here, "http://page"}, {"--unix-socket", there, "http://page"},
			{"--socks5-hostname", loopback(dynamic), "http://localhost:" + pagePort}, {"--socks5", loopback(remoteSocks), "http://" + host + ":" + pagePort}} {
			if r := d.curl(args...); r.out != "a page" {
				t.Errorf("%v: %+v", args, r)
			}
		}
		s.signal(end)
		s.wait()
		for _, addr := range []string{loopback(local), loopback(dynamic), loopback(remote), loopback(remoteSocks), here} {
			if !until(soon, func() bool { return !accepts(addr) }) {
				t.Errorf("%v: %s outlives its client", end, addr)
			}
		}
		if _, err := os.Lstat(here); err == nil {
			t.Errorf("%v: the socket's path stays", end)
		}
		os.Remove(there) // sshd leaves it (StreamLocalBindUnlink)
	}
	d.logins(1)
}

// A forward of a session that cannot be had costs neither the session nor a
// login of ssh's own.
func TestDoorForwardThatIsTaken(t *testing.T) {
	d := openDoor(t)
	taken, err := net.Listen("tcp", ":0") // of both families: ssh is content with one
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).Port
	for _, args := range [][]string{{"-L", at("%d:%s", port, d.sshd.Addr)}, {"-R", at("%d:%s", port, d.sshd.Addr)}, {"-D", at("%d", port)},
		{"-o", "ExitOnForwardFailure=no", "-o", "ExitOnForwardFailure=yes", "-D", at("%d", port)}} {
		r := d.run(d.by(append(args, "box", "echo ran")...), nil)
		if r.out != "ran\n" || r.code != 0 {
			t.Errorf("%v: %+v", args, r)
		}
		if r := d.run(d.by(append([]string{"-O", "forward"}, append(args, "box")...)...), nil); r.code != 255 || !strings.Contains(r.err, "forwarding request failed: ") {
			t.Errorf("-O forward %v: %+v", args, r)
		}
	}
	d.logins(1)
}

// With ExitOnForwardFailure nothing is run where a forward cannot be had, whether
// ssh has a command, is a tunnel, or goes to the background as one; it ends with
// the reason and does not log in by itself.
func TestDoorForwardThatIsInsistedOn(t *testing.T) {
	d := openDoor(t)
	taken, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).Port
	for _, args := range [][]string{{"-D", at("%d", port), "box", "echo ran"}, {"-R", at("%d:%s", port, d.sshd.Addr), "box", "echo ran"},
		{"-N", "-D", at("%d", port), "box"}, {"-fN", "-L", at("%d:%s", port, d.sshd.Addr), "box"}} {
		r := d.run(d.by(append([]string{"-o", "exitonforwardfailure yes"}, args...)...), nil)
		if r.out != "" || r.code != 255 || !strings.Contains(r.err, "master returned error: muxd: ") || !strings.Contains(r.err, strconv.Itoa(port)) {
			t.Errorf("%v: %+v", args, r)
		}
	}
	if r := d.run(d.by("-o", "ExitOnForwardFailure=yes", "-D", at("%d", freePort(t)), "box", "echo ran"), nil); r.out != "ran\n" || r.code != 0 {
		t.Errorf("a forward that is to be had: %+v", r)
	}
	d.logins(1)
}

// -O forward and -O cancel of everything that there is, by ssh and by muxc, each
// of which finds what the other asked for.
func TestDoorForwardAndCancel(t *testing.T) {
	sshtest.Require(t, "curl")
	d := openDoor(t)
	page := web(t, "a page")
	here, there := filepath.Join(d.dir, "here"), filepath.Join(d.dir, "there")
	ports := []int{freePort(t), freePort(t), freePort(t), freePort(t)}
	for _, f := range []struct {
		args []string
		addr string
	}{
		{[]string{"-L", at("%d:%s", ports[0], page)}, loopback(ports[0])},
		{[]string{"-L", at("127.0.0.1:%d:%s", ports[0], page)}, loopback(ports[0])},
		{[]string{"-R", at("%d:%s", ports[1], page)}, loopback(ports[1])},
		{[]string{"-D", at("%d", ports[2])}, loopback(ports[2])},
		{[]string{"-R", at("%d", ports[3])}, loopback(ports[3])},
		{[]string{"-L", here + ":" + page}, here},
		{[]string{"-R", there + ":" + page}, there},
	} {
		byMuxc := func(command string) result {
			return d.run(d.muxc(append(append([]string{"-O", command}, f.args...), "box")...), nil)
		}
		bySSH := func(command string) result {
			return d.run(d.by(append(append([]string{"-O", command}, f.args...), "box")...), nil)
		}
		for i, who := range []struct{ opens, closes func(string) result }{{bySSH, bySSH}, {bySSH, byMuxc}, {byMuxc, bySSH}} {
			if r := who.opens("forward"); r.code != 0 || r.out+r.err != "" || !accepts(f.addr) {
				t.Fatalf("%v, %d: forward: %+v, stands: %v", f.args, i, r, accepts(f.addr))
			}
			if r := who.closes("cancel"); r.code != 0 || r.out+r.err != "" {
				t.Errorf("%v, %d: cancel: %+v", f.args, i, r)
			}
			if !until(soon, func() bool { return !accepts(f.addr) }) {
				t.Errorf("%v, %d: it stands after cancel", f.args, i)
			}
			os.Remove(there)
		}
		if r := bySSH("cancel"); !strings.Contains(r.err, "port not forwarded") {
			t.Errorf("%v: cancelled twice: %+v", f.args, r)
		}
		if r := byMuxc("cancel"); r.code != 255 || r.err == "" {
			t.Errorf("%v: cancelled twice, by muxc: %+v", f.args, r)
		}
	}
	d.logins(1)
}

// A port that the server chose is told, told again to who asks again, and given
// up by the option that asked for it.
func TestDoorAllocatedPort(t *testing.T) {
	sshtest.Require(t, "curl")
	d := openDoor(t)
	page := web(t, "a page")
	option := "0:" + page
	var port int
	for range 2 {
		r := d.run(d.by("-O", "forward", "-R", option, "box"), nil)
		var n int
		if fmt.Sscan(r.out, &n); r.code != 0 || r.err != "" || n == 0 || port != 0 && n != port {
			t.Fatalf("%+v, and %d before", r, port)
		}
		port = n
	}
	d.curl("http://"+loopback(port)).is(t, "a page", "", 0)
	d.run(d.by("-O", "cancel", "-R", option, "box"), nil).is(t, "", "", 0)
	if !until(soon, func() bool { return !accepts(loopback(port)) }) {
		t.Error("it stands after cancel")
	}
	// By the port that was allocated, as a person reads it off.
	r := d.run(d.by("-O", "forward", "-R", option, "box"), nil)
	port = 0
	fmt.Sscan(r.out, &port)
	d.run(d.by("-O", "cancel", "-R", at("%d:%s", port, page), "box"), nil)
	d.run(d.by("-O", "exit", "box"), nil)
	if !until(soon, func() bool { return !accepts(loopback(port)) }) {
		t.Error("it outlives -O exit")
	}
}

// -W is a pipe: to the byte, both directions ended apart, and with ssh's status.
func TestDoorStdioForward(t *testing.T) {
	d := openDoor(t)
	f := serveTCP(t, parrot)
	big := []byte(read(t, d.random("big", 20<<20)))
	r := d.run(d.by("-W", f.addr, "box"), bytes.NewReader(big))
	if r.code != 0 || r.err != "" || r.out != string(big) {
		t.Errorf("exit %d, %q, %d bytes of %d", r.code, r.err, len(r.out), len(big))
	}
	// As a ProxyCommand, also of muxc.
	inner := "ProxyCommand=ssh -F " + d.cfg + " -S " + d.path + " -W %h:%p box"
	d.run(d.ssh("-o", inner, "-o", "ControlPath=none", "box", "echo inner; exit 3"), nil).is(t, "inner\n", "", 3)
	d.run(d.muxc("-o", inner, "-o", "ControlPath=none", "box", "echo inner; exit 3"), nil).is(t, "inner\n", "", 3)
	d.logins(3)
	// One that is killed leaves nothing at the far end.
	<-f.ended // the first one's
	in, feed := pipe(t)
	p := d.start(d.by("-W", f.addr, "box"), in)
	feed.WriteString("there\n")
	p.says("there\n")
	p.signal(syscall.SIGKILL)
	p.wait()
	d.eventually("the far end hears of it", func() bool { return len(f.ended) == 1 })
	d.run(d.by("box", "echo works"), nil).is(t, "works\n", "", 0)
}

// ssh -N asks for a shell, as of its own master. It gets none: it stays, as without
// a master, and its forwards with it; its input is nobody's.
func TestDoorNoCommand(t *testing.T) {
	d := openDoor(t)
	f, port := serveTCP(t, parrot), freePort(t)
	forward := at("%d:%s", port, f.addr)
	for _, none := range [][]string{{"-N"}, {"-o", "SessionType=none"}} {
		in, feed := pipe(t)
		feed.WriteString("exit 3\n")
		feed.Close()
		p := d.start(d.by(append(none, "-L", forward, "box")...), in)
		d.eventually("the forward stands", func() bool { return accepts(loopback(port)) })
		parrots(t, loopback(port), 3)
		if closed(p.done) {
			t.Errorf("%q ended: %q", none, p.err.String())
		}
		p.signal(syscall.SIGTERM)
		p.wait()
		d.eventually("the forward goes", func() bool { return !accepts(loopback(port)) })
	}
	// The tunnel that everybody makes: no process stays, but the forward.
	d.run(d.by("-f", "-N", "-L", forward, "box"), nil).is(t, "", "", 0)
	parrots(t, loopback(port), 3)
	d.run(d.by("-O", "cancel", "-L", forward, "box"), nil).is(t, "", "", 0)
	if accepts(loopback(port)) {
		t.Error("it stands after -O cancel")
	}
	d.run(d.by("-fN", "-L", forward, "box"), nil).is(t, "", "", 0)
	parrots(t, loopback(port), 3)
	d.run(d.by("-O", "exit", "box"), nil)
	d.eventually("the forward goes", func() bool { return !accepts(loopback(port)) })
}
