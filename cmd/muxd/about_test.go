package main

import (
	"path/filepath"
	"testing"
)

// A variable without a value names no host, and certainly not all of them.
func TestAnEmptyWord(t *testing.T) {
	t.Setenv("MUXD_SOCKET", filepath.Join(t.TempDir(), "none", "ctl")) // nobody is to be asked
	for _, words := range [][]string{
		{"reconnect", ""}, {"reconnect", "--forget", "a", ""}, {"recycle", "--", ""}, {"doctor", ""}, {"events", ""}, {"wait", ""}, {"login", ""}, {""},
	} {
		if code := run(words); code != 2 {
			t.Errorf("%q: status %d", words, code)
		}
	}
}
