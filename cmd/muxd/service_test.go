package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"muxd/internal/sshtest"
)

func TestUnitWord(t *testing.T) {
	for path, want := range map[string]string{
		"/usr/bin/muxd": "/usr/bin/muxd", "/home/a b/muxd": `"/home/a b/muxd"`, "/opt/50%/muxd": "/opt/50%%/muxd", "/opt/$x/muxd": "/opt/$$x/muxd",
		`/a"b`: `"/a\"b"`, "muxd": "", "/a\nExecStartPre=/bin/sh": "", "/a;b": `"/a;b"`,
	} {
		got, err := unitWord(path)
		if got != want || (err != nil) != (want == "") {
			t.Errorf("%q: %q, %v", path, got, err)
		}
	}
}

// recorder notes what would have been run.
type recorder struct {
	ran  []string
	fail string
}

func (r *recorder) run(c []string) error {
	r.ran = append(r.ran, strings.Join(c, " "))
	if c[0] == r.fail {
		return errors.New("no")
	}
	return nil
}

func TestServiceInstallAndBack(t *testing.T) {
	config := t.TempDir()
	s, err := systemdUser(config, "/opt/my bin/muxd")
	if err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	var r recorder
	for range 2 { // the second time changes nothing
		if err := s.install(&said, r.run); err != nil {
			t.Fatal(err)
		}
	}
	unit := filepath.Join(config, "systemd/user/muxd.service")
	b, err := os.ReadFile(unit)
	if err != nil || !strings.Contains(string(b), "\nExecStart=\"/opt/my bin/muxd\"\n") {
		t.Errorf("%s, %v", b, err)
	}
	want := "systemctl --user daemon-reload; systemctl --user enable --now muxd.socket"
	if got := strings.Join(r.ran, "; "); got != want+"; "+want {
		t.Errorf("ran %s", got)
	}
	if left, _ := filepath.Glob(config + "/systemd/user/*.before-muxd"); len(left) > 0 || !strings.Contains(said.String(), "is there already") {
		t.Errorf("%v; %s", left, said.String())
	}

	os.WriteFile(unit, append(b, "# mine\n"...), 0o644)
	r = recorder{fail: "systemctl"} // it is not enabled, or there is no manager
	said.Reset()
	if err := s.uninstall(&said, r.run); err == nil {
		t.Error("that the manager was not told should be an error")
	}
	if _, err := os.Stat(unit); err != nil || !strings.Contains(said.String(), unit+" was changed since") {
		t.Errorf("a file of somebody's own: %v; %s", err, said.String())
	}
	if _, err := os.Stat(filepath.Join(config, "systemd/user/muxd.socket")); err == nil {
		t.Error("the socket's unit is still there")
	}
	if err := s.install(&said, (&recorder{}).run); err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(unit + ".before-muxd"); !strings.HasSuffix(string(b), "# mine\n") {
		t.Errorf("the backup is %q", b)
	}
	if err := s.uninstall(&said, (&recorder{}).run); err != nil {
		t.Fatal(err)
	}
	if left, _ := filepath.Glob(config + "/systemd/user/muxd.s*t"); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	r = recorder{}
	if err := s.uninstall(&said, r.run); err != nil || len(r.ran) > 0 {
		t.Errorf("with nothing there: %v, ran %q", err, r.ran)
	}
}

// The units are what systemd takes for units.
func TestUnitsVerify(t *testing.T) {
	sshtest.Require(t, "systemd-analyze")
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	config := t.TempDir()
	s, err := systemdUser(config, exe)
	if err != nil {
		t.Fatal(err)
	}
	s.enable = nil
	if err := s.install(new(strings.Builder), nil); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("systemd-analyze", "verify", "--user", "--man=no", filepath.Join(config, "systemd/user/muxd.socket"), filepath.Join(config, "systemd/user/muxd.service"))
	cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+t.TempDir())
	if out, err := cmd.CombinedOutput(); err != nil || strings.Contains(string(out), "muxd") {
		t.Errorf("%v: %s", err, out)
	}
}

func TestLaunchAgent(t *testing.T) {
	s, err := launchAgent("/Users/me", "/opt/a&b/muxd", 501)
	if err != nil || len(s.files) != 1 || s.files[0].path != "/Users/me/Library/LaunchAgents/muxd.plist" ||
		!strings.Contains(s.files[0].text, "<string>/opt/a&amp;b/muxd</string>") || fmt.Sprint(s.forget) != "[[launchctl bootout gui/501/muxd]]" {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestNotify(t *testing.T) {
	path := filepath.Join(t.TempDir(), "n")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	t.Setenv("NOTIFY_SOCKET", path)
	if got := takeManager(true); got != "" || os.Getenv("NOTIFY_SOCKET") != "" {
		t.Errorf("a muxd of a client's tells %q", got)
	}
	t.Setenv("NOTIFY_SOCKET", path)
	notify(takeManager(false), "READY=1")
	notify("", "READY=1")
	notify(path+"-gone", "READY=1")
	b := make([]byte, 100)
	l.SetReadDeadline(time.Now().Add(time.Minute))
	if n, err := l.Read(b); err != nil || string(b[:n]) != "READY=1" {
		t.Errorf("%q, %v", b[:n], err)
	}
}

func TestRemoveBlock(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config")
	block := "Match final exec \"muxc -O prepare -S /tmp/x/c/%C -l %r -p %p %n\"\n    ControlPath /tmp/x/c/%C\n"
	byPath := strings.Replace(block, "muxc", "/home/u/go/bin/muxc", 1)
	for before, block := range map[string]string{"": block, "Host a\n    User b\n": block, "Host c\n": byPath} {
		os.WriteFile(file, []byte(before), 0o600)
		if _, err := addBlock(file, block); err != nil {
			t.Fatal(err)
		}
		with, _ := os.ReadFile(file)
		if said, err := removeBlock(file, false); err != nil || !strings.Contains(said, "muxc -O prepare") {
			t.Errorf("%q, %v", said, err)
		}
		if now, _ := os.ReadFile(file); string(now) != string(with) {
			t.Error("it was changed without --write")
		}
		if _, err := removeBlock(file, true); err != nil {
			t.Fatal(err)
		}
		if now, _ := os.ReadFile(file); string(now) != before {
			t.Errorf("%q, want %q", now, before)
		}
	}
	if said, err := removeBlock(file, true); err != nil || !strings.Contains(said, "nothing was changed") {
		t.Errorf("%q, %v", said, err)
	}
	os.WriteFile(file, []byte(strings.Replace(block, "Match final exec", "Match host a exec", 1)), 0o600)
	if _, err := removeBlock(file, true); err == nil {
		t.Error("lines of somebody's own were taken for ours")
	}
}
