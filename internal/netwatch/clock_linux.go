package netwatch

import (
	"context"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// clocks reads the clock that stands still during a suspend and the one that
// does not.
func clocks() (mono, boot time.Duration) {
	return read(unix.CLOCK_MONOTONIC), read(unix.CLOCK_BOOTTIME)
}

func read(clock int32) time.Duration {
	var ts unix.Timespec
	if unix.ClockGettime(clock, &ts) != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}

// pace ticks until ctx ends, by a timer that counts on through a suspend and so
// has run out at the resume: the tick comes with it. It wakes nothing that
// sleeps.
func pace(ctx context.Context, every time.Duration, ticks chan<- struct{}) {
	f, err := bootTimer(every)
	if err != nil {
		paceByTicker(ctx, every, ticks) // an old kernel, or no descriptor left
		return
	}
	defer f.Close()
	defer context.AfterFunc(ctx, func() { f.Close() })()
	for b := make([]byte, 8); ; {
		if _, err := f.Read(b); ctx.Err() != nil {
			return
		} else if err != nil {
			paceByTicker(ctx, every, ticks)
			return
		}
		post(ticks)
	}
}

func bootTimer(every time.Duration) (*os.File, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_BOOTTIME, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	ts := unix.NsecToTimespec(int64(every))
	if err := unix.TimerfdSettime(fd, 0, &unix.ItimerSpec{Interval: ts, Value: ts}, nil); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), "timer"), nil
}
