package main

import (
	"fmt"
	"os"
)

// outageParts are measured instead of the others with -outage.
var outageParts = []struct {
	name string
	run  func(*farm, *report, options) error
}{
	{"outages", outages},
	{"idle", idle},
	{"global", globalOutage},
}

// outage measures what happens when the network fails, in one of our own.
func outage(o options) error {
	already, err := inside()
	if !already || err != nil {
		return err
	}
	f, err := newFarm(o)
	if err != nil {
		return err
	}
	defer f.close()
	f.closeOnSignal()
	r := newReport(f.lab)
	for _, p := range outageParts {
		if o.only != "" && o.only != p.name {
			continue
		}
		fmt.Fprintf(os.Stderr, "%s …\n", p.name)
		if err := p.run(f, r, o); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return r.finish(o)
}
