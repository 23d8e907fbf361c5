package main

import (
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"muxd/internal/sshtest"
)

// opened is a connection that goes through, as far as its client can tell.
func opened(t testing.TB, addr string) stream {
	t.Helper()
	c := mustDial(t, addr)
	b := make([]byte, 1)
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, b); err != nil || b[0] != 'x' {
		t.Fatalf("through %s: %q, %v", addr, b, err)
	}
	return c
}

// wasReset fails the test unless a connection ended as one whose other end is
// gone, and not as one that came to its end.
func wasReset(t testing.TB, what string, c stream) {
	t.Helper()
	if err := cutOff(c); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%s: it ended with %v, want a reset", what, err)
	}
}

// outlived is what the tests of outages do with forwards that stand.
type outlived struct {
	h                     *host
	local, remote, chosen int
	path                  string
	far                   *far
	p                     *running
}

// outlive makes one of each kind stand, with clients that wait as long as need be.
func (h *host) outlive(args ...string) *outlived {
	h.t.Helper()
	h.own("WaitForReady 60\n")
	o := &outlived{h: h, local: freePort(h.t), remote: freePort(h.t), path: h.dir + "/p", far: serveTCP(h.t, parrot)}
	args = append(args, "-o", "ExitOnForwardFailure=yes", "-L", at("%d:127.0.0.1:%d", o.local, o.far.port), "-L", at("%s:127.0.0.1:%d", o.path, o.far.port),
		"-R", at("%d:127.0.0.1:%d", o.remote, o.far.port), "-R", at("0:127.0.0.1:%d", o.far.port))
	o.p = h.stand(args...)
	h.eventually("a port was chosen", func() bool {
		_, text, _ := strings.Cut(o.p.err.String(), "Allocated port ")
		o.chosen = number(text)
		return o.chosen != 0
	})
	return o
}

func (o *outlived) ports() []string {
	return []string{loopback(o.local), o.path, loopback(o.remote), loopback(o.chosen)}
}

// serves fails the test unless all of them carry.
func (o *outlived) serves() {
	o.h.t.Helper()
	for _, addr := range o.ports() {
		o.h.eventually(addr+" is served", func() bool { return accepts(addr) })
		parrots(o.h.t, addr, 2)
	}
	for _, f := range o.h.forwards() {
		if f.State != "active" || f.LastError != "" {
			o.h.t.Errorf("%+v", f)
		}
	}
	if n := strings.Count(o.p.err.String(), "Allocated port"); n != 1 {
		o.h.t.Errorf("%d ports were allocated: %q", n, o.p.err.String())
	}
}

// states are those of the forwards, local ones first.
func (o *outlived) states() (all []string) {
	o.h.t.Helper()
	for _, f := range o.h.forwards() {
		all = append(all, f.State)
	}
	return all
}

// TestForwardsOutliveTheConnection: sshd's processes of the connection are
// killed while all of it is in use, and no new one can be had for a while.
func TestForwardsOutliveTheConnection(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	proxy := h.through()
	o := h.outlive()
	o.serves()
	since := h.forwards()[0].Since
	one, two, three := opened(t, loopback(o.local)), opened(t, loopback(o.remote)), opened(t, o.path)
	proxy.Refuse(true)
	h.sshd.KillSessions()
	wasReset(t, "a connection from here", one)
	cutOff(two)   // its other end was sshd's, which the kernel closed
	cutOff(three) // a Unix socket has no reset

	h.eventually("the remote ones wait", func() bool {
		return slices.Equal(o.states(), []string{"active", "active", "waiting", "waiting"})
	})
	if accepts(loopback(o.remote)) {
		t.Error("the server's listener outlived its connection")
	}
	// Who comes meanwhile waits, and is served.
	waiting := make(chan string, 2)
	for _, addr := range []string{loopback(o.local), o.path} {
		c := mustDial(t, addr)
		io.WriteString(c, "meanwhile")
		c.CloseWrite()
		go func() {
			got, err := io.ReadAll(c)
			waiting <- string(got) + " " + errText(err)
		}()
	}
	time.Sleep(500 * time.Millisecond)
	select {
	case got := <-waiting:
		t.Errorf("one that waits ended: %s", got)
	default:
	}
	proxy.Refuse(false)
	for range 2 {
		if got := <-waiting; got != "meanwhile " {
			t.Errorf("who waited got %q", got)
		}
	}
	o.serves()
	if f := h.forwards()[0]; !f.Since.Equal(since) {
		t.Errorf("it was bound again: %v after %v", f.Since, since)
	}
	if closed(o.p.done) {
		t.Error("the client ended")
	}
	h.over(o.p)
	for _, addr := range o.ports() {
		h.eventually(addr+" is free", func() bool { return !accepts(addr) })
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// TestForwardsThroughABlackHole: the path swallows everything, which nobody but
// muxd can find out.
func TestForwardsThroughABlackHole(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	proxy := h.through()
	o := h.outlive("-o", "ServerAliveInterval=1", "-o", "ServerAliveCountMax=1")
	c := opened(t, loopback(o.local))
	proxy.Stall(sshtest.Both)
	began := time.Now()
	wasReset(t, "a connection from here", c)
	if d := time.Since(began); d < time.Second/2 || d > 3*soon { // of the two seconds, the last byte came up to one before
		t.Errorf("it was given up after %v", d)
	}
	// The old session of the server is not dead, and holds its ports.
	late := mustDial(t, loopback(o.local))
	io.WriteString(late, "late")
	late.CloseWrite()
	proxy.CloseAll()
	proxy.Resume(sshtest.Both)
	if got, err := readAll(late); got != "late" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	h.eventually("all stand", func() bool { return slices.Equal(o.states(), []string{"active", "active", "active", "active"}) })
	o.serves()
}

// TestServerHoldsTheOldPort: the server's old session is not known to be dead,
// and has the port: the forward is degraded, says so, and comes back once it can.
func TestServerHoldsTheOldPort(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	proxy := h.through()
	o := h.outlive()
	proxy.Refuse(true)
	h.sshd.KillSessions()
	// In the place of the old session, somebody who has the ports, on every address.
	var held []net.Listener
	for _, port := range []int{o.remote, o.chosen} {
		ln, err := net.Listen("tcp", at(":%d", port))
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, ln)
	}
	proxy.Refuse(false)
	option := at("-R localhost:%d:127.0.0.1:%d", o.remote, o.far.port)
	chosen := at("-R localhost:%d:127.0.0.1:%d", o.chosen, o.far.port)
	f := h.becomes(option, "degraded")
	if want := at("remote port forwarding failed for listen port %d: the server refused it (in use there, or not allowed)", o.remote); f.LastError != want || f.Next.IsZero() {
		t.Errorf("%+v, want error %q", f, want)
	}
	h.becomes(chosen, "degraded")
	r := h.run(h.command("muxd", "status"), nil)
	if !strings.Contains(r.out, option+" degraded ") || !strings.Contains(r.out, "next try in ") {
		t.Errorf("%s", r.out)
	}
	parrots(t, loopback(o.local), 1) // which has nothing to do with it
	h.echo()
	for _, ln := range held {
		ln.Close()
	}
	h.becomes(option, "active")
	h.becomes(chosen, "active")
	o.serves()
	for _, want := range []string{": remote port forwarding failed for listen port", "trying again for as long as it is wanted\n", option + " stands now\n"} {
		if !until(long, func() bool { return strings.Contains(o.p.err.String(), want) }) {
			t.Errorf("the client says %q, without %q", o.p.err.String(), want)
		}
	}
}

// TestStuckSessionHoldsThePort: the server's process of the old connection is
// stuck, and has the port until it notices that muxd is gone.
func TestStuckSessionHoldsThePort(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	o := h.outlive("-o", "ServerAliveInterval=1", "-o", "ServerAliveCountMax=1")
	h.sshd.PauseSessions()
	option := at("-R localhost:%d:127.0.0.1:%d", o.remote, o.far.port)
	h.becomes(option, "degraded")
	parrots(t, loopback(o.local), 1)
	h.sshd.ResumeSessions()
	h.becomes(option, "active")
	h.becomes(at("-R localhost:%d:127.0.0.1:%d", o.chosen, o.far.port), "active")
	o.serves()
}
