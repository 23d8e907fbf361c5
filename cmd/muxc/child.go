package main

import (
	"context"
	"errors"
	"os"
	"syscall"
	"time"

	"muxd/control"
	"muxd/internal/child"
)

// Run implements control.Handler. A signal that ends this process ends the
// child first, and then this process before any answer is sent: with one, the
// request would go on.
func (u *ui) Run(ctx context.Context, c control.Command) (control.Ran, error) {
	u.asking.Lock()
	defer u.asking.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if !u.mayAsk(cancel) {
		u.die()
	}
	r, err := child.Run(ctx, c)
	if interrupted(r.Status) {
		select {
		case <-ctx.Done():
		case <-time.After(signalRace):
		}
	}
	if u.withdrawn(true) {
		u.die()
	}
	return r, err
}

// signalRace is how long a signal that ended the child may take to be heard
// here. ^C goes to both at once, and which of them comes first is chance; a
// request that goes on would run its command after the ^C, or fail the login of
// everybody who waits for the same connection.
const signalRace = time.Second

// interrupted reports the status of a child that a terminal's signal, or one to
// the whole group, may have ended: as it is, or as a shell has it.
func interrupted(status int) bool {
	switch syscall.Signal(status - 128) {
	case syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM:
		return true
	}
	return false
}

// cause drops the call and the path of an error, which the line names anyway.
func cause(err error) error {
	var pe *os.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}
