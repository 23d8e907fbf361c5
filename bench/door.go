package main

import (
	"fmt"
	"os/exec"
	"runtime"
	"time"
)

// doors are two ControlPaths of one host, muxd's and a master's, and who serves
// them.
type doors struct {
	*lab
	ours, theirs string
	muxd, master int
}

// door measures stock ssh through a ControlPath of muxd's, beside one of its own
// master's: what differs is the master. Its throughput stands with the others'.
func door(l *lab, r *section, o options) error {
	d := &doors{lab: l}
	if err := d.open(many); err != nil {
		return err
	}
	// Memory comes first: what was needed once is not given back.
	if err := d.sessions(r, o); err != nil {
		return err
	}
	if err := d.warm(r, o); err != nil {
		return err
	}
	n := o.upTo(100)
	took, err := crowds([]program{d.through(d.ours, many, "true"), d.through(d.theirs, many, "true")}, n, o.times(8))
	if err != nil {
		return err
	}
	r.add(row{Name: fmt.Sprintf("%d × ssh host true at once", n), Unit: "ms", Chart: true}, took[0], took[1])
	return nil
}

// open has both paths served for a host, by connections that are up.
func (d *doors) open(host string) (err error) {
	d.ours, d.theirs = d.path("door-"+host), d.controlPath(host)
	if d.master, err = d.startMaster(host); err != nil {
		return err
	}
	if err := d.discard(d.program(d.path("muxc"), "-F", d.conf, "-fNM", "-S", d.ours, host)); err != nil {
		return err
	}
	d.muxd, err = d.muxdPID()
	return err
}

// through is ssh by one of the paths.
func (d *doors) through(path, host string, command ...string) program {
	return d.program(d.ssh, append([]string{"-F", d.conf, "-S", path, host}, command...)...)
}

func (d *doors) warm(r *section, o options) error {
	s, err := newSpawner()
	if err != nil {
		return err
	}
	defer s.close()
	took, err := rounds(s, []program{d.through(d.ours, many, "true"), d.through(d.theirs, many, "true"), d.program(d.ssh, "-V"),
		d.through(d.ours, many, "-O", "check"), d.through(d.theirs, many, "-O", "check"),
		d.program(d.path("muxc"), "-F", d.conf, "-O", "prepare", "-S", d.path("c/prepared"), many)}, o.times(200))
	if err != nil {
		return err
	}
	r.add(row{Name: "ssh host true", Unit: "ms", Chart: true}, took[0], took[1])
	r.add(row{Name: "– of it, ssh's start (-V)", Unit: "ms"}, nil, took[2])
	r.add(row{Name: "ssh -O check host", Unit: "ms"}, took[3], took[4])
	r.add(row{Name: "muxc -O prepare, what Match exec costs", Unit: "ms"}, took[5], nil)
	return nil
}

// sitting is how many sessions are open while the holder's memory is measured.
const sitting = 20

func (d *doors) sessions(r *section, o options) error {
	name := fmt.Sprintf("the holder's memory, %d idle sessions (PSS)", o.upTo(sitting))
	if runtime.GOOS != "linux" {
		r.miss(name, "MiB", noPSS)
		return nil
	}
	for _, path := range []string{d.ours, d.theirs} {
		for range o.upTo(sitting) {
			p := d.through(path, many, "sleep 1000")
			cmd := &exec.Cmd{Path: p.path, Args: p.argv, Env: p.env}
			if err := cmd.Start(); err != nil {
				return err
			}
			defer cmd.Wait()
			defer cmd.Process.Kill()
		}
	}
	time.Sleep(o.settle)
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
