package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// On a full disk, nothing that was asked for ends with 0 as if it had been printed.
func TestShowOnAFullDisk(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer full.Close()
	defer func(old *os.File) { os.Stdout = old }(os.Stdout)
	os.Stdout = full
	t.Setenv("MUXD_SOCKET", filepath.Join(t.TempDir(), "muxd/ctl"))
	t.Setenv("SSH_AUTH_SOCK", "") // which the doctor would complain about
	if err := show(func(w io.Writer) { io.WriteString(w, "no connections\n") }); err == nil {
		t.Error("no error")
	}
	for _, words := range []string{"status", "status --json", "doctor", "doctor --json", "metrics", "install --ssh-config", "install --service", "uninstall --service"} {
		if code := run(strings.Fields(words)); code != 1 {
			t.Errorf("%s: status %d", words, code)
		}
	}
}
