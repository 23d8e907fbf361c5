package main

import (
	"encoding/json"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestDoctor: what is found with nothing running, with a connection and with a
// host that only a person can mend, in words and in JSON.
func TestDoctor(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	r := h.run(h.command("muxd", "doctor"), nil)
	if r.code != 0 || !strings.Contains(r.out, "  muxd: not running; the first muxc starts it\n") || !strings.Contains(r.out, "  muxd: no SSH_AUTH_SOCK") {
		t.Errorf("with nothing: %+v", r)
	}
	if n := len(pidsIn(h.logPath())); n != 0 {
		t.Errorf("%d muxd were started", n)
	}

	h.own("WaitForReady no\n" + read(t, h.cfg))
	h.echo()
	r = h.run(h.command("muxd", "doctor", "box"), nil)
	for _, want := range []string{"  muxd: running, pid ", "  box: connected\n", "  box: logged in by publickey SHA256:", "  box: decided by the configuration: ",
		"hostname 127.0.0.1 (" + filepath.Join(h.dir, "xdg/muxd/config") + " line ", "ClientAliveInterval 30"} {
		if !strings.Contains(r.out, want) {
			t.Errorf("no %q in\n%s%s", want, r.out, r.err)
		}
	}
	if r.code != 0 || r.err != "" {
		t.Errorf("%+v", r)
	}

	gone := filepath.Join(h.dir, "agent")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: gone, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	h.setenv("SSH_AUTH_SOCK", gone)
	h.run(h.muxc("-O", "exit", "box"), nil)
	h.sshd.Authorize(t)
	h.run(h.muxc("box", "true"), nil)
	r = h.run(h.command("muxd", "doctor", "--json"), nil)
	var d struct {
		Version  int
		Findings []struct{ About, Level, Text, Cure string }
	}
	if err := json.Unmarshal([]byte(r.out), &d); err != nil || d.Version != 1 || r.code != 1 {
		t.Fatalf("%v: %+v", err, r)
	}
	has := func(about, level, text, cure string) {
		t.Helper()
		if !slices.ContainsFunc(d.Findings, func(f struct{ About, Level, Text, Cure string }) bool {
			return f.About == about && f.Level == level && strings.Contains(f.Text, text) && strings.Contains(f.Cure, cure)
		}) {
			t.Errorf("no %s of %s with %q and %q in %s", level, about, text, cure, r.out)
		}
	}
	has("muxd", "problem", "nobody answers at SSH_AUTH_SOCK "+gone+": connection refused", "start an agent")
	has("box", "problem", "blocked: ", "muxc box tries again and asks you")
}

// TestDoctorOfAnotherConfiguration: a host that muxc was given with -F is another
// one without it, which every command that names hosts can be told.
func TestDoctorOfAnotherConfiguration(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	h.echo()
	r := h.run(h.command("muxd", "doctor", "box"), nil)
	for _, want := range []string{"  box: no connection, and nobody wants one\n",
		"! box: asked for with another configuration or other options the name is another host, ", "@" + h.sshd.Addr + ", which is ready\n", "    → muxd doctor -F FILE box"} {
		if !strings.Contains(r.out, want) {
			t.Errorf("no %q in\n%s%s", want, r.out, r.err)
		}
	}
	name, _ := filepath.Rel(h.dir, h.cfg) // as typed here, from this directory
	for _, args := range [][]string{{"-F", name, "box"}, {"box", "-F", h.cfg}, {"-F=" + h.cfg, "box"}} {
		r = h.run(h.command("muxd", append([]string{"doctor"}, args...)...), nil)
		if !strings.Contains(r.out, "  box: connected\n") || strings.Contains(r.out, "another host") || r.err != "" {
			t.Errorf("%q: %+v", args, r)
		}
	}
	h.run(h.command("muxd", "wait", "-F", name, "box"), nil).is(t, "", "", 0)
	h.run(h.command("muxd", "login", "-F", name, "box"), nil).is(t, "box: logged in\n", "", 0)
	if r = h.run(h.command("muxd", "recycle", "-F", name, "box"), nil); r.code != 0 || !strings.HasPrefix(r.out, "box: ") {
		t.Errorf("recycle: %+v", r)
	}
	if n := len(h.status().Hosts); n != 1 {
		t.Errorf("%d hosts", n)
	}
}
