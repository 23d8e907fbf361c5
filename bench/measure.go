package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

const (
	// partLimit is how long a part may take before it is given up, so that one
	// client that hangs does not cost the report. The longest takes less than
	// three minutes on two processors.
	partLimit = 8 * time.Minute
	// outageLimit is the same for those that wait for a network.
	outageLimit = 40 * time.Minute
	// giveUp is how long a part has to end once what it waits for was killed.
	giveUp = 30 * time.Second
)

// measure runs the parts, each of which begins with no connection of anybody's.
// One that fails has a line that says why, and the others run.
func measure(l *lab, r *report, wanted []part, o options, b *results) error {
	var failed []string
	for _, p := range wanted {
		fmt.Fprintf(os.Stderr, "%s …\n", p.name)
		s, stuck, err := l.bounded(p, o)
		if l.gone.Load() {
			select {} // the process ends in a moment, and what was saved stays
		}
		l.endAll()
		r.end(s, err)
		if err != nil {
			fmt.Fprintf(os.Stderr, "  %v\n", err)
			failed = append(failed, p.name)
		}
		// What is there is written at once: who ends a long run has all that it found.
		if err := b.save(r, o); err != nil {
			return err
		}
		if stuck {
			break
		}
	}
	if err := r.print(os.Stdout); err != nil {
		return err
	}
	if len(failed) > 0 {
		return fmt.Errorf("failed: %s; the table says why", strings.Join(failed, ", "))
	}
	return nil
}

// bounded runs one part. It is stuck if even the death of what it waits for did
// not end it: its goroutine goes on with a section that nobody reads.
func (l *lab) bounded(p part, o options) (_ *section, stuck bool, err error) {
	limit := time.Duration(float64(partLimit) * max(1, o.scale))
	if o.outage {
		limit = outageLimit
	}
	s := newSection(p, l.commit)
	done := make(chan error, 1)
	go func() { done <- p.run(l, s, o) }()
	select {
	case err = <-done:
		return s, false, err
	case <-time.After(limit):
	}
	l.endAll()
	err = fmt.Errorf("not finished after %v", limit)
	select {
	case why := <-done:
		return s, false, errors.Join(err, why)
	case <-time.After(giveUp):
		return newSection(p, l.commit), true, err
	}
}
