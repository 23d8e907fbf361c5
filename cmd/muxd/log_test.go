package main

import (
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"testing"

	"github.com/adrg/xdg"
)

func TestLogFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state/muxd/muxd.log")
	open := func() *logFile {
		l := &logFile{path: path}
		if err := l.open(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.f.Close() })
		return l
	}
	is := func(path, want string) {
		t.Helper()
		if b, err := os.ReadFile(path); err != nil || string(b) != want {
			t.Errorf("%s: %d bytes, %.100q, want %d; %v", path, len(b), b, len(want), err)
		}
	}
	for range 2 { // the second adds
		open().Write([]byte("line\n"))
	}
	is(path, "line\nline\n")
	if st, err := os.Stat(filepath.Dir(path)); err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("directory %v, %v", st.Mode(), err)
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("file %v, %v", st.Mode(), err)
	}

	// One that was left too long begins anew, and so does one that becomes it.
	long := strings.Repeat("x", maxLog+1)
	if err := os.WriteFile(path, []byte(long), 0o600); err != nil {
		t.Fatal(err)
	}
	l := open()
	l.Write([]byte("fresh\n"))
	is(path, "fresh\n")
	is(path+".1", long)
	l.Write([]byte(long))
	l.Write([]byte("again\n"))
	l.Write([]byte("more\n"))
	is(path, "again\nmore\n")
	is(path+".1", "fresh\n"+long)

	if (&logFile{path: "/dev/null/muxd.log"}).open() == nil {
		t.Error("a log in a place that cannot be")
	}
	l.path, l.size = "/dev/null/muxd.log", maxLog+1
	l.Write([]byte("goes on\n"))
	is(path, "again\nmore\ngoes on\n")
}

// A log that could not be opened when muxd began is written from when it can be.
func TestLogComesLater(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	if err := os.WriteFile(dir, nil, 0o600); err != nil { // in the directory's place
		t.Fatal(err)
	}
	l := &logFile{path: filepath.Join(dir, "muxd", "muxd.log")}
	if l.open() == nil {
		t.Error("opened")
	}
	if n, err := l.Write([]byte("lost\n")); n != 5 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	l.Write([]byte("kept\n"))
	defer l.f.Close()
	if b, err := os.ReadFile(l.path); err != nil || string(b) != "kept\n" {
		t.Errorf("%q, %v", b, err)
	}
}

// Without a HOME the files are where they are with one.
func TestNoHome(t *testing.T) {
	u, err := user.Current()
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(xdg.Reload) // after the variables have come back
	for _, home := range []string{"", "somewhere"} {
		t.Setenv("XDG_STATE_HOME", "")
		t.Setenv("HOME", home)
		xdg.Reload()
		if findHome(); !strings.HasPrefix(learnedPath(), u.HomeDir+"/") {
			t.Errorf("HOME=%s: %s", home, learnedPath())
		}
	}
}
