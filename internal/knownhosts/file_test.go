package knownhosts

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// within fails the test if f does not return.
func within(t *testing.T, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	select {
	case <-done:
	case <-time.After(5 * time.Minute): // of which a busy machine needs one for 128 MiB of zeros
		t.Fatalf("%s hangs", what)
	}
}

// What is no file must not stop the process that reads for everybody.
func TestPipesAndDevices(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	key := newEd(t).PublicKey()
	q := Query{Host: "h"}
	within(t, "Load", func() {
		if _, notes := Load([]string{pipe}, []string{"/dev/null"}); len(notes) != 1 || notes[0].Line != 0 {
			t.Errorf("%v", notes)
		}
	})
	within(t, "Append", func() {
		if err := Append(pipe, []string{"h"}, key, false); err == nil {
			t.Error("a pipe was appended to")
		}
	})
	within(t, "Replace", func() {
		if err := Replace([]string{pipe}, q, nil, false); err == nil {
			t.Error("a pipe was replaced")
		}
	})
	within(t, "Revoking", func() {
		if _, err := Revoking([]string{pipe}, key); err == nil {
			t.Error("a pipe revokes nobody")
		}
	})
	if err := Append("/dev/null", []string{"h"}, key, false); err != nil {
		t.Error(err)
	}
	within(t, "a file without an end", func() {
		if _, notes := Load([]string{"/dev/zero"}, nil); len(notes) != 1 || !strings.Contains(notes[0].Text, "more than") {
			t.Errorf("%.200v", notes)
		}
		if _, err := Revoking([]string{"/dev/zero"}, key); err == nil {
			t.Error("/dev/zero revokes nobody")
		}
	})
}

// A process that has the lock and does not go on costs its file, and not the
// login.
func TestLockedForGood(t *testing.T) {
	defer func(d time.Duration) { lockTime = d }(lockTime)
	lockTime = 50 * time.Millisecond
	file := writeFile(t, "# mine\n")
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	key := newEd(t).PublicKey()
	within(t, "Append", func() {
		if err := Append(file, []string{"h"}, key, false); !errors.Is(err, errLocked) {
			t.Error(err)
		}
	})
	unix.Flock(int(f.Fd()), unix.LOCK_UN)
	if err := Append(file, []string{"h"}, key, false); err != nil {
		t.Error(err)
	}
}
