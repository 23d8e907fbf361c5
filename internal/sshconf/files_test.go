package sshconf

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"muxd/internal/sshtest"
)

func wantError(t *testing.T, in Input, part string) {
	t.Helper()
	_, err := Resolve(in)
	if err == nil || !strings.Contains(err.Error(), part) {
		t.Errorf("got error %v, want one with %q", err, part)
	}
}

func TestOrderOfFiles(t *testing.T) {
	w := newWorld(t)
	w.in.OwnFile = w.write("own", "Port 1\n")
	w.in.UserFile = w.write("user", "Port 2\nUser user\nIdentityFile u\n")
	w.in.SystemFile = w.write("system", "Port 3\nUser system\nHashKnownHosts yes\nIdentityFile s\n")
	c := must(t, w.in)
	if c.Port() != 1 || c.User() != "user" || !c.HashKnownHosts() {
		t.Errorf("port %d, user %s, hash %v", c.Port(), c.User(), c.HashKnownHosts())
	}
	ids, defaults := c.IdentityFiles()
	if len(ids) != 2 || ids[0] != (File{"u", true}) || ids[1] != (File{"s", false}) || defaults {
		t.Errorf("identities %v, defaults %v", ids, defaults)
	}
}

func TestConfigFileReplacesBoth(t *testing.T) {
	w := newWorld(t)
	w.in.UserFile = w.write("user", "Port 2\n")
	w.in.SystemFile = w.write("system", "User system\n")
	w.in.ConfigFile = w.write("given", "Tag x\n")
	if err := os.Chmod(w.in.ConfigFile, 0o666); err != nil {
		t.Fatal(err)
	}
	if c := must(t, w.in); c.Port() != 22 || c.User() == "system" || c.Tag() != "x" {
		t.Errorf("port %d, user %s, tag %q", c.Port(), c.User(), c.Tag())
	}
	w.in.ConfigFile = "none"
	if c := must(t, w.in); c.Port() != 22 || c.Tag() != "" {
		t.Errorf("-F none: port %d, tag %q", c.Port(), c.Tag())
	}
	w.in.ConfigFile = filepath.Join(w.dir, "absent")
	wantError(t, w.in, "Can't open user config file "+w.in.ConfigFile+": no such file or directory")
}

func TestAbsentFilesAreEmpty(t *testing.T) {
	w := newWorld(t)
	absent := filepath.Join(w.dir, "absent")
	w.in.OwnFile, w.in.UserFile, w.in.SystemFile = absent, absent, absent
	must(t, w.in)
}

func TestPermissions(t *testing.T) {
	for _, mode := range []os.FileMode{0o620, 0o602, 0o666} {
		w := newWorld(t)
		path := w.write("config", "Port 1\n")
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		user, own, system, inc := w.in, w.in, w.in, w.in
		user.UserFile, own.OwnFile, system.SystemFile = path, path, path
		inc.SystemFile = w.write("outer", "Include DIR/config\n")
		wantError(t, user, "Bad owner or permissions on "+path)
		wantError(t, own, "Bad owner or permissions on "+path)
		wantError(t, inc, "Bad owner or permissions on "+path)
		if c := must(t, system); c.Port() != 1 {
			t.Errorf("mode %o: the system's file is not read", mode)
		}
	}
}

func TestOwner(t *testing.T) {
	sshtest.Require(t, "root") // to give a file away
	w := newWorld(t)
	w.in.UserFile = w.write("config", "Port 1\n")
	w.in.UID = 12345
	must(t, w.in) // root's files are everybody's
	w.in.UID = 0
	if err := os.Chown(w.in.UserFile, 12345, 0); err != nil {
		t.Fatal(err)
	}
	wantError(t, w.in, "Bad owner or permissions")
	w.in.UID = 12345
	must(t, w.in)
}

func TestIncludePaths(t *testing.T) {
	w := newWorld(t)
	w.in.Home = w.dir
	w.write(".ssh/a", "Port 1\n")
	w.write(".ssh/b", "User b\n")
	w.in.UserFile = w.write(".ssh/config", "Include a ~/.ssh/b\n")
	if c := must(t, w.in); c.Port() != 1 || c.User() != "b" {
		t.Errorf("port %d, user %s", c.Port(), c.User())
	}
	w.in.UserFile, w.in.SystemFile = "", w.in.UserFile
	wantError(t, w.in, "line 1: bad include path ~/.ssh/b.")
}

// A pipe would keep the daemon waiting for a writer that may never come.
func TestPipeIsRefused(t *testing.T) {
	w := newWorld(t)
	w.in.ConfigFile = filepath.Join(w.dir, "pipe")
	if err := syscall.Mkfifo(w.in.ConfigFile, 0o600); err != nil {
		t.Fatal(err)
	}
	wantError(t, w.in, "is a pipe or socket: name a file")
}

func TestDevices(t *testing.T) {
	w := newWorld(t)
	w.in.ConfigFile = os.DevNull
	must(t, w.in)
	w.in.ConfigFile = "/dev/zero"
	wantError(t, w.in, "not a configuration")
}

// Sixteen levels of ten Includes each are within the limit of depth and would
// be 10^16 reads.
func TestIncludeFanOutIsBounded(t *testing.T) {
	w := newWorld(t)
	w.in.ConfigFile = w.write("f0", strings.Repeat("Include DIR/f1\n", 10))
	for i := 1; i < 16; i++ {
		w.write(fmt.Sprintf("f%d", i), strings.Repeat(fmt.Sprintf("Include DIR/f%d\n", i+1), 10))
	}
	w.write("f16", "Port 1\n")
	start := time.Now()
	wantError(t, w.in, "look for files that include each other")
	if d := time.Since(start); d > 30*time.Second {
		t.Errorf("took %v", d)
	}
}

func TestDepthSixteenIsAllowed(t *testing.T) {
	w := newWorld(t)
	w.in.ConfigFile = w.write("f0", "Include DIR/f1\n")
	for i := 1; i < 16; i++ {
		w.write(fmt.Sprintf("f%d", i), fmt.Sprintf("Include DIR/f%d\n", i+1))
	}
	w.write("f16", "Port 7\n")
	if c := must(t, w.in); c.Port() != 7 {
		t.Errorf("port %d", c.Port())
	}
}
