package sshconf

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestHosts(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config")
	text := "Pinned no\nHost a b* !c d\n\tStickyForward yes\n# Host no\nhost=\"e f\" a\nMatch host g\nHost *\nInclude other\nHost \"unclosed\n HOST h # said"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := Hosts(file); err != nil || !slices.Equal(got, []string{"a", "d", "e f", "h"}) {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := Hosts(file + ".not"); err != nil || got != nil {
		t.Errorf("a file that is not there: %q, %v", got, err)
	}
	os.Chmod(file, 0o622)
	if _, err := Hosts(file); err == nil {
		t.Error("a file that others may write is read")
	}
}
