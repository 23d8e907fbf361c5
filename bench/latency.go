package main

import (
	"errors"
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
	fresh, err := rounds(s, []program{l.muxc("lab", "true"), l.freshSSH("lab", "true"), l.freshSSH(x25519, "true")}, max(5, o.pairs/freshShare))
	if err != nil {
		return err
	}
	r.add(row{Name: "warm command: true", Unit: "ms"}, took[0], took[1])
	r.add(row{Name: "the program's start alone (-V)", Unit: "ms"}, took[2], took[3])
	r.add(row{Name: "the smallest process there is: /bin/true", Unit: "ms"}, nil, took[4])
	r.add(row{Name: "warm muxc : fresh ssh", Unit: "ms"}, fresh[0], fresh[1])
	r.add(row{Name: "warm muxc : fresh ssh with curve25519", Unit: "ms"}, fresh[0], fresh[2])
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
	for _, c := range []struct{ host, name string }{
		{"lab", "first command: start, log in"},
		{x25519, "first command, curve25519 both"},
	} {
		var ours, theirs []float64
		for range coldRuns {
			a, b, err := l.coldPair(s, c.host)
			if err != nil {
				return err
			}
			ours, theirs = append(ours, a), append(theirs, b)
		}
		r.add(row{Name: c.name, Unit: "ms"}, ours, theirs)
	}
	return nil
}

// coldPair runs the first command of each and ends what it started.
func (l *lab) coldPair(s *spawner, host string) (ours, theirs float64, err error) {
	if ours, err = s.run(l.muxc(host, "true")); err != nil {
		return 0, 0, err
	}
	if theirs, err = s.run(l.autoSSH(host, "true")); err != nil {
		return 0, 0, err
	}
	return ours, theirs, errors.Join(l.stopMuxd(), l.stopMaster(host))
}
