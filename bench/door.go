package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"sync"
	"time"
)

// doorPart is one of the measurements with -door.
type doorPart struct {
	name string
	run  func(*doors, *report, options) error
}

// doorParts are measured with -door: stock ssh through a ControlPath of muxd's,
// and through one of its own master's, beside it.
var doorParts = []doorPart{
	{"memory", doorMemory}, // first: what was needed once is not given back
	{"warm", doorWarm},
	{"crowd", doorCrowd},
	{"transfer", doorTransfer},
}

// doors are the two ControlPaths and who serves them.
type doors struct {
	*lab
	ours, theirs string
	muxd, master int
}

// door measures the second door. The client is the same ssh on both sides, so
// what differs is the master's.
func door(o options) error {
	if o.only != "" && !slices.ContainsFunc(doorParts, func(p doorPart) bool { return p.name == o.only }) {
		return fmt.Errorf("-door -only %s: no such part", o.only)
	}
	l, err := newLab()
	if err != nil {
		return err
	}
	defer l.close()
	l.closeOnSignal()
	r := newReport(l)
	d := &doors{lab: l}
	for _, p := range doorParts {
		if o.only != "" && o.only != p.name {
			continue
		}
		fmt.Fprintf(os.Stderr, "%s …\n", p.name)
		if err := p.run(d, r, o); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return r.finish(o)
}

// open has both paths served for a host, by connections that are up.
func (d *doors) open(host string) (err error) {
	d.ours, d.theirs = d.path("door-"+host), d.controlPath(host)
	if d.master, err = d.startMaster(host); err != nil {
		return err
	}
	if err := d.discard(d.program(d.path("muxc"), "-F", d.path("config"), "-fNM", "-S", d.ours, host)); err != nil {
		return err
	}
	d.muxd, err = d.muxdPID()
	return err
}

func (d *doors) shut(host string) {
	d.stopMaster(host)
	d.stopMuxd()
}

// through is ssh by one of the paths.
func (d *doors) through(path, host string, command ...string) program {
	return d.program(d.ssh, append([]string{"-F", d.path("config"), "-S", path, host}, command...)...)
}

func doorWarm(d *doors, r *report, o options) error {
	s, err := newSpawner()
	if err != nil {
		return err
	}
	defer s.close()
	if err := d.open("lab"); err != nil {
		return err
	}
	defer d.shut("lab")
	took, err := rounds(s, []program{d.through(d.ours, "lab", "true"), d.through(d.theirs, "lab", "true"), d.program(d.ssh, "-V"),
		d.through(d.ours, "lab", "-O", "check"), d.through(d.theirs, "lab", "-O", "check"),
		d.program(d.path("muxc"), "-F", d.path("config"), "-O", "prepare", "-S", d.path("c/prepared"), "lab")}, o.pairs)
	if err != nil {
		return err
	}
	r.add(row{Name: "ssh -S … true", Unit: "ms"}, took[0], took[1])
	r.add(row{Name: "ssh -S … -O check", Unit: "ms"}, took[3], took[4])
	r.add(row{Name: "ssh's start alone (-V)", Unit: "ms"}, nil, took[2])
	r.add(row{Name: "muxc -O prepare, warm", Unit: "ms"}, took[5], nil)
	return nil
}

// atATime is how many commands come at once. The server's MaxSessions is above.
const atATime = 100

func doorCrowd(d *doors, r *report, _ options) error {
	if err := d.open("lab"); err != nil {
		return err
	}
	defer d.shut("lab")
	var took [2][]float64
	for round := range transfers + 1 {
		for i, path := range []string{d.ours, d.theirs} {
			ms, err := d.atOnce(path)
			if err != nil {
				return err
			}
			if round > 0 {
				took[i] = append(took[i], ms)
			}
		}
	}
	r.add(row{Name: fmt.Sprintf("%d × ssh -S … true at once", atATime), Unit: "ms"}, took[0], took[1])
	return nil
}

func (d *doors) atOnce(path string) (ms float64, err error) {
	var all sync.WaitGroup
	errs := make([]error, atATime)
	start := time.Now()
	for i := range atATime {
		all.Go(func() {
			p := d.through(path, "lab", "true")
			cmd := &exec.Cmd{Path: p.path, Args: p.argv, Env: p.env}
			if err := cmd.Run(); err != nil {
				errs[i] = fmt.Errorf("%s: %w", p, err)
			}
		})
	}
	all.Wait()
	return float64(time.Since(start).Nanoseconds()) / 1e6, errors.Join(errs...)
}

func doorTransfer(d *doors, r *report, o options) error {
	size := int64(o.mb) << 20
	for _, t := range allTransfers {
		if err := d.open(t.host); err != nil {
			return err
		}
		var rates, costs [2][]float64
		for range transfers {
			for i, side := range []struct {
				path string
				pid  int
			}{{d.ours, d.muxd}, {d.theirs, d.master}} {
				rate, cost, err := t.measure(size, side.pid, func(command ...string) program { return d.through(side.path, t.host, command...) })
				if err != nil {
					return fmt.Errorf("%s: %w", t.name, err)
				}
				rates[i], costs[i] = append(rates[i], rate), append(costs[i], cost)
			}
		}
		r.add(row{Name: t.name, Unit: "MB/s", HigherIsBetter: true}, rates[0], rates[1])
		if costs[0][0] > 0 {
			r.add(row{Name: "  processor time of it, client and master", Unit: "s/GB"}, costs[0], costs[1])
		}
		d.shut(t.host)
	}
	return nil
}

// sitting is how many sessions are open while memory is measured.
const sitting = 20

func doorMemory(d *doors, r *report, _ options) error {
	if err := d.open("lab"); err != nil {
		return err
	}
	defer d.shut("lab")
	measure := func(name string) error {
		time.Sleep(settle)
		ours, err := pss(d.muxd)
		if err != nil {
			return err
		}
		theirs, err := pss(d.master)
		if err == nil {
			r.add(row{Name: name, Unit: "MiB"}, []float64{ours}, []float64{theirs})
		}
		return err
	}
	if err := measure("master's memory, no session (PSS)"); err != nil {
		return err
	}
	for _, path := range []string{d.ours, d.theirs} {
		for range sitting {
			p := d.through(path, "lab", "sleep 1000")
			cmd := &exec.Cmd{Path: p.path, Args: p.argv, Env: p.env}
			if err := cmd.Start(); err != nil {
				return err
			}
			defer cmd.Wait()
			defer cmd.Process.Kill()
		}
	}
	return measure(fmt.Sprintf("master's memory, %d idle sessions (PSS)", sitting))
}
