// Command demo is the newcomer's first minute: it builds muxc and muxd, starts
// an SSH server in this process behind a network of its own making, and shows
// what a kept connection saves and what happens when it breaks. It needs Go and
// nothing else.
//
// It refuses to touch anything of its user's: no file in ~/.ssh is read or
// written, no muxd that runs already is spoken to, and what it makes lies in
// one temporary directory that is gone when it ends.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	rtt := flag.Duration("rtt", 20*time.Millisecond, "round trip time of the network that is played")
	hold := flag.Bool("hold", false, "play nothing: print the environment for a shell, and stay until stdin ends")
	flag.Parse()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	play := run
	if *hold {
		play = stay
	}
	err := play(ctx, *rtt)
	cancel()
	if err != nil {
		fmt.Fprintf(os.Stderr, "demo: %v\n", err)
		os.Exit(1)
	}
}

// run sets the stage, plays every step on it and clears it away, whatever
// happened.
func run(ctx context.Context, rtt time.Duration) error {
	fmt.Printf("muxd in one minute. The SSH server is a part of this program; the network\n"+
		"to it is played, with a round trip of %v. Nothing of yours is touched.\n\n", rtt)
	s, err := newStage(ctx, rtt)
	if err != nil {
		return err
	}
	defer s.clear()
	for i, step := range steps {
		fmt.Printf("\n%d. %s\n", i+1, step.title)
		if err := step.play(ctx, s); err != nil {
			if ctx.Err() != nil {
				err = context.Cause(ctx)
			}
			return fmt.Errorf("step %d: %w", i+1, err)
		}
	}
	fmt.Print("\nFor your own hosts: go install ./cmd/muxc ./cmd/muxd\n" +
		"and then muxc where you type ssh. README.md says what works today.\n")
	return nil
}

// stay holds the stage for somebody else's play, docs/screens.sh's.
func stay(ctx context.Context, rtt time.Duration) error {
	s, err := newStage(ctx, rtt)
	if err != nil {
		return err
	}
	defer s.clear()
	fmt.Printf("\nstage=%s\n", s.dir)
	ended := make(chan struct{})
	go func() { defer close(ended); io.Copy(io.Discard, os.Stdin) }()
	select {
	case <-ended:
	case <-ctx.Done():
	}
	return nil
}
