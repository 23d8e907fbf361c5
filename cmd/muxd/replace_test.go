package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// A reader of the file never meets half of it, and what fails leaves what was
// there, and nothing beside it.
func TestReplaceFile(t *testing.T) {
	defer unix.Umask(unix.Umask(0o077)) // as muxd sets it
	dir := t.TempDir()
	path := filepath.Join(dir, "muxd.prom")
	write := func(text string, err error) error {
		return replaceFile(path, 0o644, func(w io.Writer) error {
			io.WriteString(w, text)
			if b, _ := os.ReadFile(path); string(b) == text {
				t.Error("it is there before it is whole")
			}
			return err
		})
	}
	if err := write("one", nil); err != nil {
		t.Fatal(err)
	}
	if err := write("half", errors.New("disk full")); err == nil {
		t.Error("no error")
	}
	b, _ := os.ReadFile(path)
	info, _ := os.Stat(path)
	files, _ := os.ReadDir(dir)
	if string(b) != "one" || info.Mode() != 0o644 || len(files) != 1 {
		t.Errorf("%q, %v, %v", b, info.Mode(), files)
	}
	if err := replaceText(filepath.Join(dir, "no/such"), nil, 0o644); err == nil {
		t.Error("no error without a directory")
	}
}
