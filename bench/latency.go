package main

import (
	"fmt"
	"math/rand/v2"
	"runtime/debug"
)

// warmUp is how many rounds are thrown away: the first runs pay for page cache
// and branch predictors that every later one finds.
const warmUp = 5

// freshShare is how many rounds of warm commands are measured for one with a
// fresh connection. That takes as long as thirty of them, and its figure is not
// the close one.
const freshShare = 10

// latency measures commands that are as short as can be, taking turns in an
// order that changes every round.
func latency(l *lab, r *report, o options) error {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	s, err := newSpawner()
	if err != nil {
		return err
	}
	defer s.close()
	if _, err := l.startMaster("lab"); err != nil {
		return err
	}
	defer l.stopMaster("lab")
	defer l.stopMuxd()
	programs := []program{l.muxc("lab", "true"), l.muxSSH("lab", "true"),
		l.program(l.path("muxc"), "-V"), l.program(l.ssh, "-V"), l.program("/bin/true")}
	took, err := rounds(s, programs, o.pairs)
	if err != nil {
		return err
	}
	fresh, err := rounds(s, []program{l.muxc("lab", "true"), l.freshSSH("lab", "true")}, max(5, o.pairs/freshShare))
	if err != nil {
		return err
	}
	r.add(row{Name: "warm command: true", Unit: "ms"}, took[0], took[1])
	r.add(row{Name: "the program's start alone (-V)", Unit: "ms"}, took[2], took[3])
	r.add(row{Name: "the smallest process there is: /bin/true", Unit: "ms"}, nil, took[4])
	r.add(row{Name: "fresh ssh, no master, against warm muxc", Unit: "ms"}, fresh[0], fresh[1])
	return nil
}

// rounds runs every program n times, in turn.
func rounds(s *spawner, programs []program, n int) ([][]float64, error) {
	took := make([][]float64, len(programs))
	order := make([]int, len(programs))
	for i := range order {
		order[i] = i
	}
	for round := range n + warmUp {
		rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		for _, k := range order {
			t, err := s.run(programs[k])
			if err != nil {
				return nil, err
			}
			if round >= warmUp {
				took[k] = append(took[k], t)
			}
		}
	}
	return took, nil
}

// coldRuns is how often everything is started from nothing.
const coldRuns = 15

// cold measures the first command, when neither muxd nor a master runs: what a
// person waits for once.
func cold(l *lab, r *report, _ options) error {
	s, err := newSpawner()
	if err != nil {
		return err
	}
	defer s.close()
	var ours, theirs []float64
	for range coldRuns {
		a, err := s.run(l.muxc("lab", "true"))
		if err != nil {
			return err
		}
		b, err := s.run(l.autoSSH("lab", "true"))
		if err != nil {
			return err
		}
		ours, theirs = append(ours, a), append(theirs, b)
		if err := l.stopMuxd(); err != nil {
			return err
		}
		if err := l.stopMaster("lab"); err != nil {
			return fmt.Errorf("end ssh's master: %w", err)
		}
	}
	r.add(row{Name: "first command: start muxd / a master, log in", Unit: "ms"}, ours, theirs)
	return nil
}
