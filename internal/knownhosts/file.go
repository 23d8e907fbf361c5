package knownhosts

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// maxFile bounds a file, in bytes: some hundred thousand keys.
const maxFile = 64 << 20

// readKeys reads a file of keys. It must neither wait nor fill memory, because
// one process reads for everybody: a pipe is refused, and opened without
// blocking so that it can be. A device such as /dev/null is read like a file.
func readKeys(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readAll(f)
}

func readAll(f *os.File) ([]byte, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Mode()&(fs.ModeNamedPipe|fs.ModeSocket) != 0 {
		return nil, fmt.Errorf("%s: it is a pipe: name a file", f.Name())
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("%s: it has more than %d MiB", f.Name(), maxFile>>20)
	}
	if err != nil {
		return nil, err
	}
	return data, nil
}

// errLocked is a lock that does not come.
var errLocked = errors.New("another process keeps it locked")
