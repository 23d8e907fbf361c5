package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// replaceFile puts a new file in the place of path in one step, so that nobody ever
// reads half of it, or leaves what is there: also where the disk is full, or the
// machine loses its power. It has the mode whatever the umask says. Until it is whole
// its name is one that no collector of *.prom files and no service manager reads.
// What is no file stays: root that says /dev/stdout must not put a file into /dev.
func replaceFile(path string, mode os.FileMode, write func(io.Writer) error) error {
	if err := replaceable(path); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".muxd-new-*")
	if err != nil {
		return err
	}
	err = write(f)
	if err == nil {
		err = errors.Join(f.Chmod(mode), f.Sync())
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

// replaceText is replaceFile where all of it is known.
func replaceText(path string, text []byte, mode os.FileMode) error {
	return replaceFile(path, mode, func(w io.Writer) error { _, err := w.Write(text); return err })
}

// replaceable fails for a link, a device, a pipe, a directory.
func replaceable(path string) error {
	switch fi, err := os.Lstat(path); {
	case err != nil || fi.Mode().IsRegular():
		return nil // what is wrong with the path is said when the file is made
	case fi.Mode()&fs.ModeSymlink != 0:
		return fmt.Errorf("%s is a link, and stays as it is", path)
	}
	return fmt.Errorf("%s is no regular file, and stays as it is", path)
}

// oldText reads what is to be replaced, and returns the path that it has: where links
// lead. One into nowhere, such as to a disk that is not mounted, is none to write by.
// The error matches os.ErrNotExist where there is no file yet.
func oldText(path string) (file string, text []byte, err error) {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	if err := replaceable(path); err != nil {
		return "", nil, err
	}
	text, err = os.ReadFile(path)
	return path, text, err
}
