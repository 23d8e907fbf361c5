package main

import (
	"context"
	"errors"
	"os"

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
		return control.Ran{}, control.ErrInterrupted
	}
	r, err := child.Run(ctx, c)
	if u.withdrawn() {
		u.leave("", exitFailed)
	}
	return r, err
}

// cause drops the call and the path of an error, which the line names anyway.
func cause(err error) error {
	var pe *os.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}
