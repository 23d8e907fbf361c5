package knownhosts

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/ssh"
	xknownhosts "golang.org/x/crypto/ssh/knownhosts"
)

// Append writes key down under the names: what ssh does by accept-new or a
// "yes". With hash the names are hashed (HashKnownHosts), each in a line of its
// own. Names that the file already has with this key are left out, so a second
// Append writes nothing. The file (mode 0600) and its directory (0700) are made
// where missing; nothing in the file is ever changed.
//
// The write is one O_APPEND write, so an ssh that appends at the same moment
// harms nothing; the lock keeps two of us from adding the same line.
func Append(file string, names []string, key ssh.PublicKey, hash bool) error {
	if _, ok := key.(*ssh.Certificate); ok {
		return errors.New("a certificate is not written to known_hosts: its authority may be")
	}
	if err := os.Mkdir(filepath.Dir(file), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	f, err := openLocked(file, os.O_RDWR|os.O_APPEND|os.O_CREATE)
	if err != nil {
		return err
	}
	// Closing gives the lock back.
	defer f.Close()
	if err := appendTo(f, names, key, hash); err != nil {
		return fmt.Errorf("add a host key to %s: %w", file, err)
	}
	return nil
}

func appendTo(f *os.File, names []string, key ssh.PublicKey, hash bool) error {
	data, err := readAll(f)
	if err != nil {
		return err
	}
	s := &Store{}
	s.read(f.Name(), string(data), User)
	text := format(s.missing(names, key), key, hash)
	if text == "" {
		return nil
	}
	if len(data) > 0 && data[len(data)-1] != '\n' {
		text = "\n" + text
	}
	n, err := f.WriteString(text)
	if err != nil && n > 0 {
		takeBack(f, int64(len(data)), int64(n))
	}
	return err
}

// takeBack removes the half of a line that a full disk took, so that the file is
// as it was. Where somebody else has written meanwhile it stays: half a line is
// skipped by whoever reads it, and theirs would go.
func takeBack(f *os.File, size, n int64) {
	if st, err := f.Stat(); err == nil && st.Size() == size+n {
		_ = f.Truncate(size)
	}
}

// missing lists the names under which s does not hold key.
func (s *Store) missing(names []string, key ssh.PublicKey) []string {
	var missing []string
	for _, n := range names {
		if checkPlain(s.lookup(n), key).Status != Known {
			missing = append(missing, n)
		}
	}
	return missing
}

func format(names []string, key ssh.PublicKey, hash bool) string {
	if len(names) == 0 {
		return ""
	}
	if !hash {
		names = []string{strings.Join(names, ",")}
	}
	var b strings.Builder
	for _, n := range names {
		if hash {
			n = xknownhosts.HashHostname(n)
		}
		b.WriteString(n + " " + formatKey(key) + "\n")
	}
	return b.String()
}
