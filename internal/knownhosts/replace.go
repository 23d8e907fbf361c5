package knownhosts

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/crypto/ssh"
)

// replaceTries bounds how often somebody else may write to a file while it is
// being rewritten. Each try takes a millisecond.
const replaceTries = 5

var errBusy = errors.New("somebody else keeps writing to it")

// Replace makes keys the only ones that the user's files have for the host: new
// ones are added to the first file, others go from all of them. Lines with a
// marker, lines about other hosts and lines with patterns stay as they are,
// byte for byte.
//
// The first file is dealt with first, so that a key is in two files for a
// moment and never in none, and an error leaves the rest alone.
func Replace(files []string, q Query, keys []ssh.PublicKey, hash bool) error {
	for i, f := range files {
		if i == 0 { // it may not be there yet
			if err := Append(f, nil, nil, false); err != nil {
				return err
			}
		}
		err := replaceIn(f, q, keys, hash)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("update host keys in %s: %w", f, err)
		}
		keys = nil
	}
	return nil
}

// replaceIn rewrites one file. A link to it stays one: the file that it leads
// to is replaced.
func replaceIn(file string, q Query, keys []ssh.PublicKey, hash bool) error {
	file, err := filepath.EvalSymlinks(file)
	if err != nil {
		return err
	}
	f, err := openLocked(file, os.O_RDONLY)
	if err != nil {
		return err
	}
	defer f.Close() // and gives the lock back
	for range replaceTries {
		if err = rewrite(f, file, q, keys, hash); !errors.Is(err, errBusy) {
			break
		}
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return err
		}
	}
	return err
}

func rewrite(f *os.File, file string, q Query, keys []ssh.PublicKey, hash bool) error {
	before, err := f.Stat()
	if err != nil {
		return err
	}
	if !before.Mode().IsRegular() {
		return errors.New("it is not a plain file")
	}
	data, err := readAll(f)
	if err != nil {
		return err
	}
	text := edit(data, q, keys, hash)
	if bytes.Equal(text, data) {
		return nil
	}
	tmp, err := beside(file, text, before)
	if err != nil {
		return err
	}
	defer os.Remove(tmp) // gone after the rename
	// An ssh knows nothing of the lock.
	after, err := os.Stat(file)
	if err != nil || !os.SameFile(before, after) || after.Size() != int64(len(data)) || after.ModTime() != before.ModTime() {
		return errBusy
	}
	keep(file)
	return os.Rename(tmp, file)
}

// keep leaves what the file was as file.old, as ssh does. Where the file system
// has no links it is done without.
func keep(file string) {
	os.Remove(file + ".old")
	os.Link(file, file+".old")
}

// beside writes text to a new file in the same directory, with the mode and,
// where we may, the owner of the one that it is to replace.
func beside(file string, text []byte, like fs.FileInfo) (name string, err error) {
	tmp, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".")
	if err != nil {
		return "", err
	}
	err = chownLike(tmp, like)
	if err == nil {
		err = tmp.Chmod(like.Mode().Perm())
	}
	if err == nil {
		_, err = tmp.Write(text)
	}
	if err == nil {
		err = tmp.Sync()
	}
	if err = errors.Join(err, tmp.Close()); err != nil {
		os.Remove(tmp.Name())
		return "", err
	}
	return tmp.Name(), nil
}

// chownLike gives f the owner that it must have to replace like.
func chownLike(f *os.File, like fs.FileInfo) error {
	now, err := f.Stat()
	if err != nil {
		return err
	}
	a, ok := like.Sys().(*syscall.Stat_t)
	b, ok2 := now.Sys().(*syscall.Stat_t)
	if !ok || !ok2 || a.Uid == b.Uid && a.Gid == b.Gid {
		return nil
	}
	return f.Chown(int(a.Uid), int(a.Gid))
}

// edit returns the file's text with keys in place of what it has for the host.
func edit(data []byte, q Query, keys []ssh.PublicKey, hash bool) []byte {
	kept := &Store{}
	var out strings.Builder
	for text := range strings.Lines(string(data)) {
		l, err := parseLine(text)
		e := entry{line: l}
		if err == nil && l.marker == plain && !l.hosts.byHand() {
			if host, ip := e.about(q); host || ip {
				if !slices.ContainsFunc(keys, func(k ssh.PublicKey) bool { return sameKey(k, l.key) }) {
					continue
				}
				kept.entries = append(kept.entries, e)
			}
		}
		out.WriteString(text)
	}
	names := []string{q.Name()}
	if a := q.AddressName(); a != "" && a != names[0] {
		names = append(names, a)
	}
	for _, k := range keys {
		add := format(kept.missing(names, k), k, hash)
		if s := out.String(); add != "" && s != "" && s[len(s)-1] != '\n' {
			add = "\n" + add
		}
		out.WriteString(add)
	}
	return []byte(out.String())
}
