package sshconf

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
)

const (
	// maxDepth is ssh's READCONF_MAX_DEPTH: Include within Include.
	maxDepth = 16
	// maxReads bounds a tree of Includes that is shallow and yet explodes: ten
	// Includes in each of sixteen files, all different, are 10^16 reads. The
	// largest real configurations have some hundreds of files.
	maxReads = 8192
	// maxSize keeps /dev/zero and a mistaken disk image out of memory. A
	// configuration of 100,000 hosts has some 10 MiB.
	maxSize = 32 << 20
)

// scope is what a line may do because of the file it stands in. An included
// file inherits it.
type scope struct {
	user  bool // the user's, not the system's: ~ may be used
	own   bool // muxd's: its keywords are known
	check bool // owner and mode must be safe
	never bool // included from a block that does not apply: check, do not apply
}

// readFile evaluates one file; active carries the state of the block it is
// included from, and back. An *openError means that it cannot be opened.
func (e *evaluator) readFile(path string, s scope, active *bool, depth int) error {
	if depth > maxDepth {
		return fatalf("Too many recursive configuration includes")
	}
	if e.files++; e.files > maxReads {
		return fatalf("%s: more than %d configuration files included; look for files that include each other", path, maxReads)
	}
	data, err := e.slurp(path, s.check)
	if err != nil {
		return err
	}
	return e.lines(path, data, s, active, depth)
}

func (e *evaluator) lines(path, data string, s scope, active *bool, depth int) error {
	var bad []string
	faults := 0
	l := line{file: path, user: s.user, env: e.env}
	for data != "" {
		text, rest, _ := strings.Cut(data, "\n")
		data = rest
		l.num++
		l.keyword, l.rest = cutKeyword(text)
		if l.keyword == "" {
			continue
		}
		err := e.apply(&l, s, active, depth)
		if err == nil {
			continue
		}
		var fault *badLine
		if !errors.As(err, &fault) {
			return e.merge(bad, err)
		}
		faults++
		bad = append(bad, fault.msgs...)
	}
	if faults > 0 {
		return &Error{Lines: append(bad, fmt.Sprintf("%s: terminating, %d bad configuration options", path, faults))}
	}
	return nil
}

// slurp reads a file. It must neither wait nor fill memory, because muxd reads
// on behalf of whoever asks: a pipe is refused, and opened without blocking so
// that it can be.
func (e *evaluator) slurp(path string, check bool) (string, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		e.stamps.missing(path, errors.Unwrap(err))
		return "", &openError{errors.Unwrap(err)}
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", fatalf("fstat %s: %v", path, err)
	}
	e.stamps.add(path, info)
	if check && !e.trusted(info) {
		return "", fatalf("Bad owner or permissions on %s", path)
	}
	switch {
	case info.IsDir():
		return "", nil // as in ssh, where every read of it fails
	case info.Mode()&(os.ModeNamedPipe|os.ModeSocket) != 0:
		return "", fatalf("%s: is a pipe or socket: name a file", path)
	}
	var buf bytes.Buffer
	if n := info.Size(); n > 0 && n < maxSize {
		buf.Grow(int(n) + bytes.MinRead)
	}
	if _, err := buf.ReadFrom(io.LimitReader(f, maxSize+1)); err != nil {
		return "", fatalf("%s: %v", path, err)
	}
	if buf.Len() > maxSize {
		return "", fatalf("%s: more than %d MiB: not a configuration", path, maxSize>>20)
	}
	return buf.String(), nil
}

// trusted reports whether nobody but root and the user can have written the
// file.
func (e *evaluator) trusted(info os.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && (st.Uid == 0 || int(st.Uid) == e.in.UID) && info.Mode().Perm()&0o022 == 0
}
