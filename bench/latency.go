package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"time"
)

// warmUp is how many rounds are thrown away: the first runs pay for page cache
// and branch predictors that every later one finds.
const warmUp = 5

// freshShare is how many rounds of warm commands are measured for one with a
// fresh connection. That takes as long as thirty of them, and its figure is not
// the close one.
const freshShare = 10

// first measures the first command, when neither muxd nor a master runs: what a
// person waits for once.
func first(l *lab, r *section, o options) error {
	if err := l.firstRow(r, "lab", "start, log in, true", true, o.times(12)); err != nil {
		return err
	}
	return l.firstRow(r, x25519, "– with the key exchange that both have", true, o.times(12))
}

func (l *lab) firstRow(r *section, host, name string, chart bool, n int) error {
	s, err := newSpawner()
	if err != nil {
		return err
	}
	defer s.close()
	var ours, theirs, fresh []float64
	for range n {
		a, b, err := l.firstPair(s, host)
		if err != nil {
			return err
		}
		c, err := s.run(l.freshSSH(host, "true"))
		if err != nil {
			return err
		}
		ours, theirs, fresh = append(ours, a), append(theirs, b), append(fresh, c)
	}
	r.add(row{Name: name, Unit: "ms", Chart: chart, Fresh: some(fresh)}, ours, theirs)
	return nil
}

// firstPair runs the first command of each and ends what it started.
func (l *lab) firstPair(s *spawner, host string) (ours, theirs float64, err error) {
	if ours, err = s.run(l.muxc(host, "true")); err != nil {
		return 0, 0, err
	}
	if theirs, err = s.run(l.autoSSH(host, "true")); err != nil {
		return 0, 0, err
	}
	return ours, theirs, errors.Join(l.stopMuxd(), l.stopMaster(host))
}

// warm measures commands that are as short as can be, taking turns in an order
// that changes every round.
func warm(l *lab, r *section, o options) error {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	s, err := newSpawner()
	if err != nil {
		return err
	}
	defer s.close()
	if _, err := l.startMaster("lab"); err != nil {
		return err
	}
	n := o.times(300)
	took, err := rounds(s, []program{l.muxc("lab", "true"), l.muxSSH("lab", "true"),
		l.program(l.path("muxc"), "-V"), l.program(l.ssh, "-V"), l.program("/bin/true")}, n)
	if err != nil {
		return err
	}
	fresh, err := rounds(s, []program{l.muxc("lab", "true"), l.freshSSH("lab", "true"), l.freshSSH(x25519, "true")}, o.times(300/freshShare))
	if err != nil {
		return err
	}
	r.add(row{Name: "true", Unit: "ms", Chart: true, Fresh: some(fresh[1])}, took[0], took[1])
	r.add(row{Name: "– of it, the client's start (-V)", Unit: "ms", Chart: true}, took[2], took[3])
	r.add(row{Name: "– the smallest process there is: /bin/true", Unit: "ms"}, nil, took[4])
	r.add(row{Name: "warm muxc : ssh without a master", Unit: "ms"}, fresh[0], fresh[1])
	r.add(row{Name: "– with the key exchange that both have", Unit: "ms"}, fresh[0], fresh[2])
	return l.inARow(s, r, o)
}

// row200 is how many commands a script gives one after the other.
const row200 = 200

// inARow measures a script's many commands as one thing: what a client or a
// master puts off until a command is over is in it.
func (l *lab) inARow(s *spawner, r *section, o options) error {
	var took [2][]float64
	n := o.upTo(row200)
	for range o.times(6) {
		for k, p := range []program{l.muxc("lab", "true"), l.muxSSH("lab", "true")} {
			start := time.Now()
			for range n {
				if _, err := s.run(p); err != nil {
					return err
				}
			}
			took[k] = append(took[k], milliseconds(time.Since(start)))
		}
	}
	r.add(row{Name: fmt.Sprintf("%d in a row", n), Unit: "ms", Chart: true}, took[0], took[1])
	return nil
}

// rounds runs every program n times, in turn.
func rounds(s *spawner, programs []program, n int) ([][]float64, error) {
	took := make([][]float64, len(programs))
	order := make([]int, len(programs))
	for i := range order {
		order[i] = i
	}
	for round := range n + min(n, warmUp) {
		rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		for _, k := range order {
			t, err := s.run(programs[k])
			if err != nil {
				return nil, err
			}
			if round >= min(n, warmUp) {
				took[k] = append(took[k], t)
			}
		}
	}
	return took, nil
}

// delay measures the same commands where a round trip takes time. What is a
// matter of microseconds nearby is here one of round trips.
func delay(l *lab, r *section, o options) error {
	for i, rtt := range distances {
		if err := l.delayRows(r, rtt, o, i); err != nil {
			return fmt.Errorf("%v: %w", rtt, err)
		}
	}
	return nil
}

func (l *lab) delayRows(r *section, rtt time.Duration, o options, far int) error {
	host := away(rtt)
	if err := l.firstRow(r, host, fmt.Sprintf("%v: the first command", rtt), true, o.times(6-2*far)); err != nil {
		return err
	}
	s, err := newSpawner()
	if err != nil {
		return err
	}
	defer s.close()
	if _, err := l.startMaster(host); err != nil {
		return err
	}
	took, err := rounds(s, []program{l.muxc(host, "true"), l.muxSSH(host, "true")}, o.times(30-10*far))
	if err != nil {
		return err
	}
	r.add(row{Name: fmt.Sprintf("%v: a warm command", rtt), Unit: "ms", Chart: true}, took[0], took[1])
	return errors.Join(l.stopMuxd(), l.stopMaster(host))
}
