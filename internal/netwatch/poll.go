package netwatch

import (
	"context"
	"os"
	"sync"
	"time"
)

// poller is the source where the kernel has nothing to say.
type poller struct {
	t    *time.Ticker
	once sync.Once
	done chan struct{}
}

func newPoller(every time.Duration) *poller {
	return &poller{t: time.NewTicker(every), done: make(chan struct{})}
}

func (p *poller) Wait() (bool, error) {
	select {
	case <-p.t.C:
		return true, nil
	case <-p.done:
		return false, os.ErrClosed
	}
}

// Close may be called twice: by follow at its end and by its context's.
func (p *poller) Close() error {
	p.once.Do(func() { p.t.Stop(); close(p.done) })
	return nil
}

// paceByTicker ticks by Go's timer, which stands still during a suspend.
func paceByTicker(ctx context.Context, every time.Duration, ticks chan<- struct{}) {
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			post(ticks)
		case <-ctx.Done():
			return
		}
	}
}
