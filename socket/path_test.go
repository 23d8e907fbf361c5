package socket

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// deadSocket leaves at path what a killed master leaves.
func deadSocket(t *testing.T, path string) {
	t.Helper()
	fd, err := newSocket()
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	unix.Close(fd)
}

func TestListenAt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ctl")
	for _, before := range []func(){func() {}, func() { deadSocket(t, path) }} {
		before()
		l, err := ListenAt(path)
		if err != nil {
			t.Fatal(err)
		}
		if fi, err := os.Lstat(path); err != nil || fi.Mode() != os.ModeSocket|0o600 {
			t.Errorf("%v, %v", fi, err)
		}
		var running *RunningError
		if _, err := ListenAt(path); !errors.As(err, &running) || running.PID != os.Getpid() {
			t.Errorf("a second one: %v", err)
		}
		accepted := make(chan error, 1)
		go func() { _, err := l.Accept(); accepted <- err }()
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		if err := <-accepted; err != nil {
			t.Error(err)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if all, _ := os.ReadDir(filepath.Dir(path)); len(all) != 0 {
			t.Errorf("left behind: %v", all)
		}
	}
}

func TestListenAtRefuses(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	os.WriteFile(file, []byte("mine"), 0o600)
	open := filepath.Join(dir, "open")
	os.Mkdir(open, 0o700)
	os.Chmod(open, 0o777)
	link, dangling, pipe := filepath.Join(dir, "link"), filepath.Join(dir, "dangling"), filepath.Join(dir, "pipe")
	os.Symlink(file, link)
	os.Symlink("nowhere", dangling)
	unix.Mkfifo(pipe, 0o600)
	for path, want := range map[string]string{
		file:                                   "not a socket",
		link:                                   "is a symbolic link",
		dangling:                               "is a symbolic link",
		pipe:                                   "is a named pipe",
		filepath.Join(open, "ctl"):             "writable by everyone",
		filepath.Join(dir, "none", "ctl"):      "no such file",
		"/" + strings.Repeat("d", maxPath):     "is longer than",
		"ctl":                                  "not an absolute path",
		filepath.Join(file, "below", "a-file"): "not a directory",
	} {
		if l, err := ListenAt(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v; want %q", path, l, err, want)
		}
	}
	if b, _ := os.ReadFile(file); string(b) != "mine" {
		t.Error("the file was touched")
	}
}

// Of masters that come at once one serves, whatever lay there before, and its
// socket is the one at the path.
func TestListenAtOneServes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ctl")
	for range 50 {
		deadSocket(t, path)
		var mu sync.Mutex
		var won []*Listener
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				if l, err := ListenAt(path); err == nil {
					mu.Lock()
					won = append(won, l)
					mu.Unlock()
				}
			})
		}
		all.Wait()
		if len(won) != 1 {
			t.Fatalf("%d serve", len(won))
		}
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		won[0].Close()
	}
}

func TestListenAtLongPath(t *testing.T) {
	// A long directory, and a short one with a long name in it.
	short, err := os.MkdirTemp("/tmp", "s")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(short)
	for _, dir := range []string{t.TempDir(), short} {
		path := filepath.Join(dir, strings.Repeat("n", maxPath-len(dir)-1))
		l, err := ListenAt(path)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
	}
}

func TestListenAtChecks(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ctl")
	l, err := ListenAt(path)
	if err != nil {
		t.Fatal(err)
	}
	os.Remove(path)
	if err := l.Check(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); err != nil {
		t.Error(err)
	}
	os.Remove(path)
	deadSocket(t, path)
	if err := l.Check(); !errors.Is(err, ErrTakenOver) {
		t.Error(err)
	}
	l.Close()
	if _, err := os.Lstat(path); err != nil {
		t.Error("another's socket was removed")
	}
}
