package client

import (
	"context"
	"errors"
	"iter"
	"time"

	"muxd/control"
	"muxd/internal/launch"
	"muxd/socket"
)

// ErrNotRunning is matched by the error of what only asks, where no muxd runs.
var ErrNotRunning = socket.ErrNoServer

// Status tells what muxd is and holds at this moment: every destination with its
// connections, sessions and forwards. The fields, and their units, are those of
// docs/status-json.md. It starts no muxd: where none runs the error matches
// ErrNotRunning. Where ctx ended the error matches ctx.Err(); else it is a
// *control.Error, or says why muxd could not be asked.
func Status(ctx context.Context) (*control.Status, error) {
	sc, err := ask(ctx)
	if err != nil {
		return nil, err
	}
	defer sc.Close()
	defer context.AfterFunc(ctx, func() { sc.Close() })()
	st, err := control.GetStatus(sc, control.StatusRequest{})
	if err != nil {
		return nil, because(ctx, err)
	}
	return st, nil
}

// Events yields what happens to the destinations of muxd, as it happens: those of
// the last since first, as far as muxd remembers them (0: none of them), then the
// state that each destination is in, as an event without From, and then each
// change. It goes on until the loop is left or there is an error, which is the
// last thing yielded: it matches ctx.Err() where ctx ended, ErrNotRunning where no
// muxd runs (Events starts none), and control.ErrGone or a *control.Error where
// muxd ends. The loop may take its time: what it is too far behind for is one
// event of kind control.EventLost, which says how many there were.
func Events(ctx context.Context, since time.Duration) iter.Seq2[control.Event, error] {
	return events(ctx, since, nil)
}

// Events is Events of the client's host alone, by the destination that
// ssh_config makes of it. Events of muxd and of this machine are among them.
func (c *Client) Events(ctx context.Context, since time.Duration) iter.Seq2[control.Event, error] {
	v := c.commandLine()
	v.Args = append(append(c.opts[:len(c.opts):len(c.opts)], "-O", "check"), "--", c.host)
	return events(ctx, since, v)
}

// errLeft ends an operation of which no more is wanted.
var errLeft = errors.New("the loop was left")

func events(ctx context.Context, since time.Duration, v *control.Invocation) iter.Seq2[control.Event, error] {
	return func(yield func(control.Event, error) bool) {
		if err := tell(ctx, since, v, yield); !errors.Is(err, errLeft) {
			yield(control.Event{}, because(ctx, err))
		}
	}
}

func tell(ctx context.Context, since time.Duration, v *control.Invocation, yield func(control.Event, error) bool) error {
	sc, err := ask(ctx)
	if err != nil {
		return err
	}
	defer sc.Close()
	defer context.AfterFunc(ctx, func() { sc.Close() })()
	op, err := control.Events(sc, &control.EventsRequest{Since: since}, v, func(e control.Event) error {
		if !yield(e, nil) {
			return errLeft
		}
		return ctx.Err()
	})
	if err != nil {
		return err
	}
	if _, err = op.Wait(newVerdict()); err == nil {
		err = control.ErrGone // events have no end of their own
	}
	return err
}

// ask is a connection to the muxd that runs.
func ask(ctx context.Context) (*socket.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return launch.Connect(true)
}

// because is the context's error where that has ended, and so caused err.
func because(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}
