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
)

// freed fails the test unless nobody listens on an address any more, which a
// path shows by not being there.
func (h *host) freed(addr string) {
	h.t.Helper()
	free := func() bool {
		if _, err := os.Lstat(addr); strings.HasPrefix(addr, "/") {
			return os.IsNotExist(err)
		}
		return !accepts(addr)
	}
	if !until(soon, free) {
		h.t.Errorf("%s is not free after %v", addr, soon)
	}
}

// TestForwardsGoWithTheirClient: however it ends, its ports and paths are free,
// here and at the server, and the connection stays.
func TestForwardsGoWithTheirClient(t *testing.T) {
	t.Parallel()
	requireTerminals(t)
	h := startHost(t)
	h.echo()
	f := serveTCP(t, parrot)
	port, remote, path := freePort(t), freePort(t), filepath.Join(h.dir, "p")
	args := []string{"-L", at("%d:127.0.0.1:%d", port, f.port), "-L", at("%s:127.0.0.1:%d", path, f.port), "-R", at("%d:127.0.0.1:%d", remote, f.port)}
	all := []string{loopback(port), path, loopback(remote)}
	gone := func(what string) {
		t.Helper()
		for _, addr := range all {
			h.freed(addr)
		}
		if left := h.forwards(); len(left) != 0 {
			t.Errorf("%s: %+v", what, left)
		}
	}
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGKILL} {
		p := h.stand(args...)
		for _, addr := range all {
			parrots(t, addr, 1)
		}
		p.signal(s)
		if r, want := p.wait(), 255; r.out != "" || r.err != "" || r.code != want && s != syscall.SIGKILL {
			t.Errorf("%v: %+v", s, r)
		}
		gone(s.String())
	}

	s := h.onScreen(h.muxc(append(append([]string{"-N"}, args...), "box")...))
	h.eventually("all stand", func() bool {
		return len(h.forwards()) == 3 && !slices.ContainsFunc(h.forwards(), func(f forwardStatus) bool { return f.State != "active" })
	})
	s.types("\x03")
	s.ends(255)
	gone("^C")
	s = h.onScreen(h.muxc(append(append([]string{"-N"}, args...), "box")...))
	h.eventually("all stand", func() bool { return accepts(loopback(port)) && accepts(path) && accepts(loopback(remote)) })
	s.ptm.Close()
	<-s.done // by the signal or with 255: it may not know yet that all stand
	gone("a closed terminal")

	p := h.start(h.muxc(append(args, "box", "exit 4")...), nil) // an ordinary command
	p.wait().is(t, "", "", 4)
	gone("a command")
	if n := h.sshd.Logins(); n != 1 {
		t.Errorf("%d logins", n)
	}
}

// TestPortOfAClientThatGoes: whoever asks for a port that another just gives up
// gets it. The old one need not be waited for.
func TestPortOfAClientThatGoes(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	h.echo()
	f, g := serveTCP(t, parrot), serveTCP(t, digest)
	port, path := freePorts(t, 2), filepath.Join(h.dir, "p")
	for i := range 20 {
		to := f.port // another forward each time: what is the same is shared
		if i%2 == 1 {
			to = g.port
		}
		p := h.start(h.muxc("-N", "-o", "ExitOnForwardFailure=yes", "-L", at("%d:127.0.0.1:%d", port, to),
			"-L", at("%s:127.0.0.1:%d", path, to), "-R", at("%d:127.0.0.1:%d", port+1, to), "box"), blocked(t))
		h.stands(p, 3)
		p.cmd.Process.Kill()
		<-p.done
	}
}

// TestTwoClientsShareAForward: it stays until both have gone.
func TestTwoClientsShareAForward(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	f, port := serveTCP(t, parrot), freePort(t)
	forward := at("%d:127.0.0.1:%d", port, f.port)
	first := h.stand("-o", "ExitOnForwardFailure=yes", "-L", forward)
	second := h.stand("-o", "ExitOnForwardFailure=yes", "-L", forward)
	c := mustDial(t, loopback(port))
	h.over(first)
	parrots(t, loopback(port), 2)
	h.over(second)
	h.freed(loopback(port))
	// A connection that is through goes on, as in ssh, to its own end.
	if _, err := c.Write([]byte("x")); err != nil {
		t.Error(err)
	}
	c.CloseWrite()
	if b, err := readAll(c); b != "x" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	// Two that lead elsewhere cannot share.
	h.stand("-L", forward)
	h.run(h.muxc("-N", "-o", "ExitOnForwardFailure=yes", "-L", at("%d:127.0.0.1:1", port), "box"), nil).
		fails(t, at("box: listen on .*:%d: address already in use", port))
}

// TestBackgroundForwardsStay: -f -N leaves the forwards and no process, and
// -O cancel and -O exit end them.
func TestBackgroundForwardsStay(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	f := serveTCP(t, parrot)
	port, path := freePort(t), filepath.Join(h.dir, "p")
	args := []string{"-f", "-N", "-L", at("%d:127.0.0.1:%d", port, f.port), "-L", at("%s:127.0.0.1:%d", path, f.port), "box"}
	r := h.run(h.muxc(args...), nil)
	r.is(t, "", "", 0)
	parrots(t, loopback(port), 1) // at once
	parrots(t, path, 1)
	for _, f := range h.forwards() {
		if !f.Sticky || len(f.Owners) != 0 || f.State != "active" {
			t.Errorf("%+v", f)
		}
	}
	h.run(h.muxc(args...), nil).is(t, "", "", 0) // again is no error
	if n := len(h.forwards()); n != 2 {
		t.Errorf("%d forwards", n)
	}
	h.run(h.muxc("-O", "cancel", "-L", at("%d:127.0.0.1:%d", port, f.port), "box"), nil).is(t, "", "", 0)
	h.freed(loopback(port))
	parrots(t, path, 1)
	h.run(h.muxc("-O", "exit", "box"), nil).is(t, "", "Exit request sent.\n", 0)
	h.freed(path)

	// With a command, -f has nothing stay beyond it.
	seen := filepath.Join(h.dir, "seen")
	h.run(h.sh(fmt.Sprintf("$muxc -f -L %d:127.0.0.1:%d box 'until test -e %s; do sleep 0.1; done' </dev/null >/dev/null 2>&1", port, f.port, seen)), nil).is(t, "", "", 0)
	parrots(t, loopback(port), 1)
	write(t, seen, "")
	h.freed(loopback(port))
}

// TestStickyForwardFromTheStart: what muxd's own file says stands with muxd.
func TestStickyForwardFromTheStart(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	f, port, remote := serveTCP(t, parrot), freePort(t), freePort(t)
	h.ownConfig(at("WaitForReady 30\nHost box\nStickyForward yes\nLocalForward %d 127.0.0.1:%d\nRemoteForward %d 127.0.0.1:%d\n", port, f.port, remote, f.port))
	h.start(h.command("muxd"), nil)
	h.eventually("muxd listens", func() bool { return accepts(loopback(port)) })
	parrots(t, loopback(port), 2)
	h.eventually("the server listens", func() bool { return accepts(loopback(remote)) })
	parrots(t, loopback(remote), 2)
	for _, f := range h.forwards() {
		if !f.Sticky || f.State != "active" {
			t.Errorf("%+v", f)
		}
	}
	h.run(h.command("muxc", "box", "true"), nil).is(t, "", "", 0) // it shares them
	h.sshd.KillSessions()
	parrots(t, loopback(port), 1)
	h.eventually("the server listens again", func() bool { return accepts(loopback(remote)) })
}

// TestManyAskForOneForward at once, and all have it.
func TestManyAskForOneForward(t *testing.T) {
	t.Parallel()
	h := startHost(t, "MaxSessions 20")
	f, port := serveTCP(t, parrot), freePorts(t, 2)
	var all sync.WaitGroup
	for range 12 {
		all.Go(func() {
			r := h.run(h.muxc("-o", "ExitOnForwardFailure=yes", "-L", at("%d:127.0.0.1:%d", port, f.port), "-R", at("%d:127.0.0.1:%d", port+1, f.port), "box", "true"), nil)
			if r.code != 0 || r.err != "" {
				t.Errorf("%+v", r)
			}
		})
	}
	all.Wait()
	h.freed(loopback(port))
	h.freed(loopback(port + 1))
	if n := h.sshd.Logins(); n != 1 {
		t.Errorf("%d logins", n)
	}
}
