package main

import (
	"fmt"
	"os/exec"
)

// outageParts are measured instead of the others with -outage.
var outageParts = []part{
	{"outages", "When the network fails", farmed(outages)},
	{"global", "When all hosts vanish and come back", farmed(globalOutage)},
}

// farmed is a part that needs a farm.
func farmed(run func(*farm, *section, options) error) func(*lab, *section, options) error {
	return func(l *lab, s *section, o options) error {
		f, err := newFarm(l, o)
		if err != nil {
			return err
		}
		defer f.close()
		return run(f, s, o)
	}
}

// outage measures what happens when the network fails, in one of our own.
func outage(o options) error {
	wanted, err := choose(outageParts, o.only)
	if err != nil {
		return err
	}
	already, err := inside()
	if !already || err != nil {
		return err
	}
	if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		return fmt.Errorf("ip link set lo up: %w: %s", err, out)
	}
	l, err := bareLab()
	if err != nil {
		return err
	}
	defer l.close()
	l.closeOnSignal()
	l.sshd = &sshd{shell: "in this process"}
	if err := l.build(); err != nil {
		return err
	}
	return measure(l, newReport(l), wanted, o, &results{})
}
