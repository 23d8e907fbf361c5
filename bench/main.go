// Command bench measures muxc and muxd side by side with ssh and its
// ControlMaster: the same sshd, the same configuration, the same harness, the
// two taking turns in one run. It exists because a figure without the other
// one beside it says more about the machine than about either program.
//
// It refuses to be a test: nothing passes or fails by a time. It refuses
// absolute promises: only ratios within one run mean anything, and rows that
// muxd loses are printed like the others. And it leaves its user's files, sshd
// and muxd alone.
package main

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
)

// options are what the command line says.
type options struct {
	pairs int
	mb    int
	json  string
	only  string

	forward bool
	conns   int

	door   bool
	outage bool
	rounds int
	hosts  int
}

// part is one of the measurements; each adds rows to the report.
type part struct {
	name string
	run  func(*lab, *report, options) error
}

var parts = []part{
	{"latency", latency},
	{"cold", cold},
	{"memory", memory},
	{"throughput", throughput},
}

func main() {
	var o options
	flag.IntVar(&o.pairs, "n", 300, "`pairs` of warm commands")
	flag.IntVar(&o.mb, "mb", 400, "`MiB` of each transfer")
	flag.StringVar(&o.json, "json", "", "write the report to this `file` too")
	flag.StringVar(&o.only, "only", "", "comma-separated `parts`: latency, cold, memory, throughput; with -forward one of connect, transfer, crowd, idle, proxy; with -door one of memory, warm, crowd, transfer; with -outage one of outages, idle, global")
	flag.BoolVar(&o.forward, "forward", false, "measure connections through forwards instead of the rest")
	flag.IntVar(&o.conns, "conns", 500, "connections at once through a forward")
	flag.BoolVar(&o.door, "door", false, "measure ssh through a ControlPath of muxd's instead of the rest")
	flag.BoolVar(&o.outage, "outage", false, "measure what happens when the network fails, instead of the rest (root, ten minutes)")
	flag.IntVar(&o.rounds, "rounds", 3, "outages, each of which five hosts of every kind meet")
	flag.IntVar(&o.hosts, "hosts", 200, "hosts to hold and to bring back")
	flag.Parse()
	if err := run(o); err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
}

func run(o options) error {
	if min(o.pairs, o.mb, o.conns, o.rounds, o.hosts) < 1 {
		return fmt.Errorf("-n %d -mb %d -conns %d -rounds %d -hosts %d: all must be above zero", o.pairs, o.mb, o.conns, o.rounds, o.hosts)
	}
	if o.forward {
		return forward(o)
	}
	if o.door {
		return door(o)
	}
	if o.outage {
		return outage(o)
	}
	wanted, err := choose(o.only)
	if err != nil {
		return err
	}
	l, err := newLab()
	if err != nil {
		return err
	}
	defer l.close()
	l.closeOnSignal()
	r := newReport(l)
	for _, p := range wanted {
		fmt.Fprintf(os.Stderr, "%s …\n", p.name)
		if err := p.run(l, r, o); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return r.finish(o)
}

// choose returns the parts that were asked for, all of them by default.
func choose(only string) ([]part, error) {
	if only == "" {
		return parts, nil
	}
	var wanted []part
	for name := range strings.SplitSeq(only, ",") {
		i := slices.IndexFunc(parts, func(p part) bool { return p.name == name })
		if i < 0 {
			return nil, fmt.Errorf("-only %s: no such part", name)
		}
		wanted = append(wanted, parts[i])
	}
	return wanted, nil
}
