package main

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// ownConfig gives the host's configuration to muxd's own file, which needs no
// -F and may hold keywords that ssh does not know.
func (h *host) ownConfig(lines string) {
	h.t.Helper()
	h.own(lines + read(h.t, h.cfg))
}

// own writes muxd's own file.
func (h *host) own(text string) {
	h.t.Helper()
	dir := filepath.Join(h.dir, "xdg", "muxd")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		h.t.Fatal(err)
	}
	write(h.t, filepath.Join(dir, "config"), text)
	h.setenv("XDG_CONFIG_HOME", filepath.Join(h.dir, "xdg"))
}

func TestOwnFile(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	h.ownConfig("WaitForReady 5\nSetEnv MUXTEST_OWN=own\n")
	h.run(h.command("muxc", "box", "echo $MUXTEST_OWN"), nil).is(t, "own\n", "", 0)
	h.run(h.command("muxc", "-F", h.cfg, "box", "echo $MUXTEST_OWN"), nil).is(t, "own\n", "", 0)
	// ssh's own files hold no keyword of ours: ssh would stumble over it.
	cfg := h.with("WaitForReady 5\n")
	h.run(h.command("muxc", "-F", cfg, "box", "true"), nil).fails(t, `line 1: Bad configuration option: waitforready`)
}

func TestLoginAhead(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	h.ownConfig("")
	h.run(h.command("muxd", "login", "--all"), nil).is(t, "muxd knows no host yet\n", "", 0)
	h.run(h.command("muxd", "login", "box"), nil).is(t, "box: logged in\n", "", 0)
	h.run(h.command("muxc", "box", "echo works"), nil).is(t, "works\n", "", 0)
	if n := h.sshd.Logins(); n != 1 {
		t.Errorf("%d logins, want 1", n)
	}
	h.run(h.command("muxc", "-O", "exit", "box"), nil)
	h.run(h.command("muxd", "login", "--all"), nil).is(t, "box: logged in\n", "", 0)
	if n := h.sshd.Logins(); n != 2 {
		t.Errorf("%d logins, want 2", n)
	}
	r := h.run(h.command("muxd", "login", "nosuch.invalid", "box"), nil)
	if r.code != 1 || r.out != "box: logged in\n" || !regexp.MustCompile(`\Amuxd: nosuch\.invalid: [^\n]+\n\z`).MatchString(r.err) {
		t.Errorf("%+v", r)
	}
	if r := h.run(h.command("muxd", "login"), nil); r.code != 2 {
		t.Errorf("%+v", r)
	}
}

// What stood on the command line of who first asked is not asked for again by the
// name alone.
func TestLoginAheadAsAsked(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	h.ownConfig("Host box\n Port 1\n")
	h.run(h.command("muxc", "-p", port(h), "box", "true"), nil).is(t, "", "", 0)
	h.run(h.command("muxc", "-O", "exit", "-p", port(h), "box"), nil)
	h.run(h.command("muxd", "login", "--all"), nil).is(t, "box: logged in\n", "", 0)
	if n := h.sshd.Logins(); n != 2 {
		t.Errorf("%d logins, want 2", n)
	}
}
