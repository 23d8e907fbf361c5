package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// pipeSize is the piece in which our end of a pipe or a socket is read and
// written: no larger than a pipe takes at once, as most programs do.
const pipeSize = 64 << 10

// direction is which way the bytes go.
type direction struct {
	name     string
	up, down bool
}

var (
	downwards  = direction{"download", false, true}
	upwards    = direction{"upload", true, false}
	bothWays   = direction{"both ways at once", true, true}
	directions = []direction{downwards, upwards, bothWays}
)

// remote is the command that gives or takes the bytes. The one that takes them
// says how many came.
func (d direction) remote(size int64) string {
	switch {
	case d.up && d.down:
		return "cat"
	case d.up:
		return "wc -c"
	}
	return fmt.Sprintf("head -c %d /dev/zero", size)
}

// stdio is what a client's stdin and stdout are.
type stdio struct {
	name string
	// pair returns the client's end and, except for files, ours.
	pair func(in bool, size int64) (client, ours *os.File, err error)
}

var (
	pipes   = stdio{"pipe", pipePair}
	files   = stdio{"file", fileEnd}
	sockets = stdio{"socket", socketPair}
)

// streams are the ends of one transfer. The client's stdin is /dev/null and its
// stdout a buffer where no bulk passes.
type streams struct {
	size            int64
	d               direction
	in, out         *os.File // the client's ends
	feeding, taking *os.File // ours; nil with files
}

func (k stdio) open(d direction, size int64) (s *streams, err error) {
	s = &streams{size: size, d: d}
	if d.up {
		s.in, s.feeding, err = k.pair(true, size)
	}
	if err == nil && d.down {
		s.out, s.taking, err = k.pair(false, size)
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *streams) close() {
	for _, f := range []*os.File{s.in, s.out, s.feeding, s.taking} {
		if f != nil {
			f.Close()
		}
	}
}

// move runs the client until all bytes have passed, and counts them.
func (s *streams) move(p program) error {
	var said strings.Builder
	cmd := client(p)
	if s.in != nil {
		cmd.Stdin = s.in
	}
	cmd.Stdout = &said
	if s.out != nil {
		cmd.Stdout = s.out
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	// Files outlive the client: the size of one is looked at afterwards.
	if s.feeding != nil {
		s.in.Close()
	}
	if s.taking != nil {
		s.out.Close()
	}
	fed := make(chan error, 1)
	go func() { fed <- s.feed() }()
	n, err := s.take()
	err = errors.Join(err, cmd.Wait())
	if err != nil && s.feeding != nil {
		s.feeding.Close() // who wrote to a client that is gone ends now
	}
	err = errors.Join(err, <-fed)
	if s.d.down && s.taking == nil {
		n, _ = s.out.Seek(0, io.SeekEnd)
	}
	if !s.d.down {
		n, _ = strconv.ParseInt(strings.TrimSpace(said.String()), 10, 64)
	}
	if err == nil && n != s.size {
		err = fmt.Errorf("%d bytes came of %d", n, s.size)
	}
	return err
}

func (s *streams) feed() (err error) {
	if s.feeding == nil {
		return nil
	}
	piece := make([]byte, pipeSize)
	for left := s.size; left > 0 && err == nil; left -= pipeSize {
		_, err = s.feeding.Write(piece[:min(left, pipeSize)])
	}
	return errors.Join(err, s.feeding.Close())
}

func (s *streams) take() (int64, error) {
	if s.taking == nil {
		return 0, nil
	}
	return io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{s.taking}, make([]byte, pipeSize))
}

func pipePair(in bool, _ int64) (client, ours *os.File, err error) {
	r, w, err := os.Pipe()
	if in {
		return r, w, err
	}
	return w, r, err
}

// socketPair is of stream sockets, as a program has that inetd or a shell with
// socketpairs started.
func socketPair(bool, int64) (client, ours *os.File, err error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		return nil, nil, err
	}
	syscall.CloseOnExec(fds[0])
	syscall.CloseOnExec(fds[1])
	return os.NewFile(uintptr(fds[0]), "socket"), os.NewFile(uintptr(fds[1]), "socket"), nil
}

// memoryFiles is where files take no time of a disk, if there is such a place.
const memoryFiles = "/dev/shm"

// fileEnd is a file of that size to read, or an empty one to write. It has no
// name any more.
func fileEnd(in bool, size int64) (client, none *os.File, err error) {
	dir := memoryFiles
	if _, err := os.Stat(dir); err != nil {
		dir = ""
	}
	f, err := os.CreateTemp(dir, "muxd-bench-")
	if err != nil {
		return nil, nil, err
	}
	err = os.Remove(f.Name())
	if in {
		// Written and not only made longer: a hole is read without memory.
		piece := make([]byte, pipeSize)
		for left := size; left > 0 && err == nil; left -= pipeSize {
			_, err = f.Write(piece[:min(left, pipeSize)])
		}
		_, err2 := f.Seek(0, io.SeekStart)
		err = errors.Join(err, err2)
	}
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return f, nil, nil
}

// downPipe is a download to a pipe and how long it took.
func downPipe(p command, size int64) (time.Duration, error) {
	s, err := pipes.open(downwards, size)
	if err != nil {
		return 0, err
	}
	defer s.close()
	start := time.Now()
	err = s.move(p(downwards.remote(size)))
	return time.Since(start), err
}

func client(p program) *exec.Cmd {
	cmd := exec.Command(p.path)
	cmd.Args, cmd.Env = p.argv, p.env
	return cmd
}
