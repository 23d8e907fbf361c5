package netwatch

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// routing is the source of macOS: route(4). Written by its manual and the
// compiler; nobody has run it yet.
type routing struct {
	f   *os.File
	buf []byte
}

func openSource() (source, error) {
	fd, err := unix.Socket(unix.AF_ROUTE, unix.SOCK_RAW, unix.AF_UNSPEC)
	if err != nil {
		return nil, fmt.Errorf("routing socket: %w", err)
	}
	unix.CloseOnExec(fd)
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("routing socket: %w", err)
	}
	return &routing{f: os.NewFile(uintptr(fd), "routing"), buf: make([]byte, 16<<10)}, nil
}

func (r *routing) Wait() (bool, error) {
	n, err := r.f.Read(r.buf)
	if errors.Is(err, unix.ENOBUFS) {
		return true, nil // messages were dropped: look
	}
	if err != nil {
		return false, err
	}
	return noteworthy(r.buf[:n]), nil
}

func (r *routing) Close() error { return r.f.Close() }

// noteworthy reports whether a message may say something that a snapshot shows.
// A read returns one message: length, version, type and, of a route, its link
// and flags.
func noteworthy(b []byte) bool {
	if len(b) < 4 {
		return true
	}
	switch b[3] {
	case unix.RTM_NEWADDR, unix.RTM_DELADDR, unix.RTM_IFINFO:
		return true
	case unix.RTM_ADD, unix.RTM_DELETE, unix.RTM_CHANGE:
		// A neighbour is a route here, made from its network's and gone in a while.
		const neighbour = unix.RTF_LLINFO | unix.RTF_WASCLONED
		return len(b) < 12 || binary.NativeEndian.Uint32(b[8:])&neighbour == 0
	}
	return false
}

// clocks reads the clock that stands still during sleep and the one that does
// not.
func clocks() (mono, boot time.Duration) {
	return read(unix.CLOCK_UPTIME_RAW), read(unix.CLOCK_MONOTONIC)
}

func read(clock int32) time.Duration {
	var ts unix.Timespec
	if unix.ClockGettime(clock, &ts) != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}

func pace(ctx context.Context, every time.Duration, ticks chan<- struct{}) {
	paceByTicker(ctx, every, ticks)
}
