package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLogFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state/muxd/muxd.log")
	for range 2 { // the second adds
		w := logFile(path)
		if w == nil {
			t.Fatal("no log")
		}
		w.Write([]byte("line\n"))
	}
	b, err := os.ReadFile(path)
	if err != nil || string(b) != "line\nline\n" {
		t.Errorf("%q, %v", b, err)
	}
	if st, err := os.Stat(filepath.Dir(path)); err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("directory %v, %v", st.Mode(), err)
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("file %v, %v", st.Mode(), err)
	}

	if err := os.WriteFile(path, []byte(strings.Repeat("x", maxLog+1)), 0o600); err != nil {
		t.Fatal(err)
	}
	logFile(path).Write([]byte("fresh\n"))
	if b, _ := os.ReadFile(path); string(b) != "fresh\n" {
		t.Errorf("a log that is too long goes on: %d bytes", len(b))
	}
	if st, err := os.Stat(path + ".1"); err != nil || st.Size() != maxLog+1 {
		t.Errorf("the old log is lost: %v", err)
	}

	if w := logFile("/dev/null/muxd.log"); w != nil {
		t.Error("a log in a place that cannot be")
	}
}
