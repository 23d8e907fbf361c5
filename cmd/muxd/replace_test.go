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

// What is no file is not replaced by one, and is not read either: a pipe would never end.
func TestReplaceNoFile(t *testing.T) {
	dir := t.TempDir()
	pipe, link, nowhere := filepath.Join(dir, "pipe"), filepath.Join(dir, "link"), filepath.Join(dir, "nowhere")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	os.Symlink(pipe, link) // as /dev/stdout is one, or a configuration that leads to /dev/null
	os.Symlink("disk/config", nowhere)
	t.Setenv("MUXD_SOCKET", filepath.Join(dir, "ctl")) // nobody is there
	for _, path := range []string{pipe, link, nowhere, dir} {
		if code := run([]string{"metrics", "--file", path}); code != 1 {
			t.Errorf("metrics --file %s: status %d", path, code)
		}
		if said, err := addBlock(path, sshMark); err == nil {
			t.Errorf("%s: %s", path, said)
		}
		s := service{files: []serviceFile{{path: path, text: "[Unit]"}}}
		if err := s.install(io.Discard, new(recorder).run); err == nil {
			t.Errorf("a unit is written to %s", path)
		}
	}
	if files, _ := os.ReadDir(dir); len(files) != 3 {
		t.Errorf("left: %v", files)
	}
	for _, path := range []string{link, nowhere} {
		if fi, _ := os.Lstat(path); fi.Mode()&os.ModeSymlink == 0 {
			t.Errorf("%s is %v", path, fi.Mode())
		}
	}
}
