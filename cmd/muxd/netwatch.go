package main

import (
	"context"

	"muxd/internal/netwatch"
)

// watchNetwork tells the master what happens to the network and the machine,
// from now until the function it returns was called; after that, nothing more.
func (d *daemon) watchNetwork(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	events, done := netwatch.Start(ctx, d.log), make(chan struct{})
	go func() {
		defer close(done)
		for e := range events {
			switch e.Kind {
			case netwatch.Woke:
				d.master.Woke(e.Asleep)
			case netwatch.Changed:
				d.master.NetworkChanged()
			}
		}
	}()
	return func() { cancel(); <-done }
}
