package main

import (
	"fmt"
	"os/exec"
	"slices"
	"sync"
	"time"
)

// crowd measures commands that are given at the same time, on warm connections:
// to a server that allows as many sessions on one as come, and to one that
// allows ten, as OpenSSH's does by itself. There ssh -S logs in anew for each
// that is refused.
func crowd(l *lab, r *section, o options) error {
	for _, c := range []struct {
		host, note string
		n, rounds  int
	}{
		{many, "", 8, 20},
		{many, "", 50, 10},
		{"lab", ", MaxSessions 10", 50, 4},
	} {
		n := o.upTo(c.n)
		name := fmt.Sprintf("%d at once%s", n, c.note)
		if _, err := l.startMaster(c.host); err != nil {
			return err
		}
		ways := []program{l.muxc(c.host, "true"), l.muxSSH(c.host, "true")}
		if c.n == 8 { // 50 at once would be half a minute of logging in
			ways = append(ways, l.freshSSH(c.host, "true"))
		}
		took, err := crowds(ways, n, o.times(c.rounds))
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		w := row{Name: name, Unit: "ms", Chart: true}
		if len(took) > 2 {
			w.Fresh = some(took[2])
		}
		r.add(w, took[0], took[1])
	}
	return nil
}

// crowds has n copies of each program run at once, in turn. The first round is
// for what has to grow once.
func crowds(ways []program, n, rounds int) ([][]float64, error) {
	took := make([][]float64, len(ways))
	for round := range rounds + 1 {
		for k, p := range ways {
			ms, err := atOnce(p, n)
			if err != nil {
				return nil, err
			}
			if round > 0 {
				took[k] = append(took[k], ms)
			}
		}
	}
	return took, nil
}

// atOnce returns the milliseconds from the first start to the last end.
func atOnce(p program, n int) (float64, error) {
	var all sync.WaitGroup
	errs := make([]error, n)
	start := time.Now()
	for i := range n {
		all.Go(func() {
			cmd := &exec.Cmd{Path: p.path, Args: p.argv, Env: p.env}
			if err := cmd.Run(); err != nil {
				errs[i] = fmt.Errorf("%s: %w", p, err)
			}
		})
	}
	all.Wait()
	took := milliseconds(time.Since(start))
	errs = slices.DeleteFunc(errs, func(err error) bool { return err == nil })
	if len(errs) > 0 {
		return 0, fmt.Errorf("%d of %d, the first: %w", len(errs), n, errs[0])
	}
	return took, nil
}
