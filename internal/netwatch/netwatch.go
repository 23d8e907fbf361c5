package netwatch

import (
	"context"
	"sync"
	"time"

	"muxd/alive"
)

const (
	// tick is how often the clocks are compared. It bounds how late a wake is
	// noticed where no timer counts through a suspend; half of it would double
	// the wake-ups of an idle muxd, of which this is the only one.
	tick = 5 * time.Second
	// pollEvery is how often to look where the kernel sends no messages: a
	// snapshot costs less than a millisecond.
	pollEvery = 10 * time.Second
)

// Kind says what an event reports.
type Kind int

const (
	// Changed: the addresses, routes, routing rules or links in use are not what
	// they were.
	Changed Kind = iota
	// Woke: the machine was suspended, or this process did not run.
	Woke
)

// Event is one report.
type Event struct {
	Kind Kind
	// Asleep is, of Woke, for how long nothing ran; the sum, if several events
	// were merged.
	Asleep time.Duration
}

// Logger is the part of *slog.Logger that the package uses.
type Logger interface {
	Info(msg string, args ...any)
	Warn(msg string, args ...any)
}

// Start reports until ctx ends, and then closes the channel. What happens after
// Start returned is not missed. A reader that takes its time misses nothing and
// holds up nothing: of each kind one event waits for it, which stands for all
// that happened, Woke before Changed. Where the kernel sends no messages, Start
// says so in the log and looks every 10 s.
func Start(ctx context.Context, log Logger) <-chan Event { return start(ctx, log, tick) }

// start is Start with another tick, for tests.
func start(ctx context.Context, log Logger, tick time.Duration) <-chan Event {
	notices, ticks := make(chan struct{}, 1), make(chan struct{}, 1)
	w := &watcher{log: log, out: make(chan Event), notices: notices, ticks: ticks,
		clocks: clocks, look: look, drift: alive.Drift{Tick: tick}}
	// First the messages, then the snapshot that they change: nothing between.
	src, err := openSource()
	if err != nil {
		log.Warn("no network messages, polling", "every", pollEvery, "err", err)
		src = newPoller(pollEvery)
	}
	w.begin()
	var wg sync.WaitGroup
	wg.Go(func() { listen(ctx, log, src, notices) })
	wg.Go(func() { pace(ctx, tick, ticks) })
	go func() {
		defer close(w.out)
		w.run(ctx)
		wg.Wait()
	}()
	return w.out
}

// A source says when to look at the network.
type source interface {
	// Wait returns when there may be something to see, which it says, or with an
	// error when the source has ended.
	Wait() (bool, error)
	// Close makes Wait return with an error.
	Close() error
}

// listen passes on what the source says, and polls when the source has failed.
func listen(ctx context.Context, log Logger, src source, notices chan<- struct{}) {
	err := follow(ctx, src, notices)
	if ctx.Err() != nil {
		return
	}
	log.Warn("network messages ended, polling", "every", pollEvery, "err", err)
	follow(ctx, newPoller(pollEvery), notices)
}

// follow owns src and closes it.
func follow(ctx context.Context, src source, notices chan<- struct{}) error {
	defer src.Close()
	defer context.AfterFunc(ctx, func() { src.Close() })()
	for {
		some, err := src.Wait()
		if err != nil {
			return err
		}
		if some {
			post(notices)
		}
	}
}

// post never waits: one notice that was not taken says as much as two.
func post(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
