package main

import (
	"regexp"
	"strings"
	"syscall"
	"testing"

	"muxd/internal/sshtest"
)

// TestScreenLockRecipe: what docs/recipes.md has for desktops follows their
// signal, both ways.
func TestScreenLockRecipe(t *testing.T) {
	t.Parallel()
	sshtest.Require(t, "dbus-daemon", "dbus-monitor", "dbus-send")
	block := regexp.MustCompile(`(?m)^<!-- runs on: dbus-monitor -->\n\n((?:    .*\n)+)`).FindStringSubmatch(read(t, "../../docs/recipes.md"))
	if block == nil {
		t.Fatal("no recipe")
	}
	h := startHost(t)
	h.setenv("PATH", bin+":/usr/local/bin:/usr/bin:/bin")
	bus := h.start(h.command("dbus-daemon", "--session", "--nofork", "--print-address=1", "--address=unix:path="+h.dir+"/bus"), nil)
	bus.says("\n")
	h.setenv("DBUS_SESSION_BUS_ADDRESS", strings.TrimSpace(bus.out.String()))
	h.echo()
	watcher := h.start(h.command("/bin/sh", "-c", block[1]), nil)
	defer func() { // its processes end with the bus, and not with the shell
		bus.signal(syscall.SIGKILL)
		<-watcher.done
	}()
	becomes := func(value string, locked bool) {
		t.Helper()
		h.eventually("the screen's state "+value+" is muxd's", func() bool {
			// Again and again, because the watcher may not listen yet.
			h.run(h.command("dbus-send", "--session", "--type=signal", "/org/gnome/ScreenSaver", "org.gnome.ScreenSaver.ActiveChanged", "boolean:"+value), nil).is(t, "", "", 0)
			return strings.Contains(h.run(h.command("muxd", "status"), nil).out, "locked for") == locked
		})
	}
	becomes("true", true)
	h.run(h.muxc("box", "true"), nil).fails(t, "box: muxd is locked")
	becomes("false", false)
	h.echo()
}
