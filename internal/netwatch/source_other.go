//go:build !linux && !darwin

package netwatch

import (
	"context"
	"time"
)

func openSource() (source, error) { return newPoller(pollEvery), nil }

func defaultRoutes() []string { return nil }

// Network returns "": on this system nobody has found out how to tell.
func Network() string { return "" }

var begun = time.Now()

// clocks has only one to read.
func clocks() (mono, boot time.Duration) {
	d := time.Since(begun)
	return d, d
}

func pace(ctx context.Context, every time.Duration, ticks chan<- struct{}) {
	paceByTicker(ctx, every, ticks)
}
