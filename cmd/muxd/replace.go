package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
)

// replaceFile puts a new file in the place of path in one step, so that nobody ever
// reads half of it, or leaves what is there: also where the disk is full, or the
// machine loses its power. It has the mode whatever the umask says. Until it is whole
// its name is one that no collector of *.prom files and no service manager reads.
func replaceFile(path string, mode os.FileMode, write func(io.Writer) error) error {
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
