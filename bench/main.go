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
	"math"
	"os"
	"slices"
	"strings"
	"time"
)

// options are what the command line says.
type options struct {
	scale float64
	mb    int
	only  string
	json  string
	write bool

	conns   int
	hosts   int
	masters int
	settle  time.Duration
	watch   time.Duration

	outage bool
	rounds int
}

// times is how often something is repeated.
func (o options) times(usual int) int { return max(1, int(math.Round(float64(usual)*o.scale))) }

// upTo is how many there are of what belongs together and makes the row: as many
// as its name says, unless a run is meant to try the program out.
func (o options) upTo(usual int) int { return min(usual, o.times(10*usual)) }

// size is the number of bytes of a transfer.
func (o options) size() int64 { return int64(o.mb) << 20 }

// defaults are what is measured when nothing is said.
var defaults = options{
	scale: 1, mb: 192, conns: 500, hosts: 1000, masters: 200, rounds: 3,
	// settle is how long processes are left alone before their memory is
	// measured, so that what a login needed may be given back. Go's collector
	// returns memory to the system over minutes; nobody waits for that here.
	settle: 3 * time.Second,
	// watch is how long idle hosts are looked at: four probes of each.
	watch: time.Minute,
}

// flags are the options as a command line has them.
func flags(f *flag.FlagSet) *options {
	o := defaults
	f.Float64Var(&o.scale, "n", o.scale, "`factor` by which everything is repeated more or less often")
	f.IntVar(&o.mb, "mb", o.mb, "`MiB` of each transfer")
	f.StringVar(&o.only, "only", "", "comma-separated `parts` of: "+names(parts)+"; with -outage of: "+names(outageParts))
	f.StringVar(&o.json, "json", "", "write the report to this `file` too")
	f.BoolVar(&o.write, "write", false, "write bench/results: the report as JSON, its table and its picture")
	f.IntVar(&o.conns, "conns", o.conns, "connections at once through a forward")
	f.IntVar(&o.hosts, "hosts", o.hosts, "hosts that one muxd holds")
	f.IntVar(&o.masters, "masters", o.masters, "masters beside them, each for one host; with -outage as many hosts of each")
	f.DurationVar(&o.settle, "settle", o.settle, "how long processes are left alone before their memory is measured")
	f.DurationVar(&o.watch, "watch", o.watch, "how long the processor time of idle hosts is counted")
	f.BoolVar(&o.outage, "outage", false, "measure what happens when the network fails, instead of the rest (Linux, root, fifteen minutes)")
	f.IntVar(&o.rounds, "rounds", o.rounds, "outages, each of which five hosts of every kind meet")
	return &o
}

func main() {
	o := flags(flag.CommandLine)
	flag.Parse()
	if err := run(*o); err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
}

func run(o options) error {
	if o.scale <= 0 || min(o.mb, o.conns, o.rounds, o.hosts, o.masters) < 1 || o.hosts < o.masters {
		return fmt.Errorf("-n, -mb, -conns, -rounds, -hosts and -masters must be above zero, and -hosts no less than -masters")
	}
	if flag.NArg() > 0 {
		return fmt.Errorf("%s: there are options only", flag.Arg(0))
	}
	if o.outage {
		return outage(o)
	}
	wanted, err := choose(parts, o.only)
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
	b := &results{}
	if o.write {
		if b, err = openResults(r, o.only == ""); err != nil {
			return err
		}
	}
	return measure(l, r, wanted, o, b)
}

// part is one of the measurements; each adds rows to the report.
type part struct {
	name string
	// title stands above its rows.
	title string
	run   func(*lab, *section, options) error
}

// parts are in the order of the report.
var parts = []part{
	{"first", "The first command: nothing runs yet", first},
	{"warm", "Commands one after the other", warm},
	{"delay", "Commands over a distance", delay},
	{"crowd", "Commands at the same time", crowd},
	{"throughput", "Throughput", throughput},
	{"door", "ssh, unmodified, by a ControlPath of muxd's : of a master's", door},
	{"tty", "A keystroke to its echo on a terminal", tty},
	{"forward", "Connections through a forward", tunnelled(idleRows, connectRows, transferRows, crowdRows)},
	{"proxy", "ssh through -W", tunnelled(proxyRows)},
	{"memory", "Memory (PSS), idle", memory},
	{"hosts", "Many idle hosts, a probe of each in 15 s", hosts},
}

func names(parts []part) string {
	var all []string
	for _, p := range parts {
		all = append(all, p.name)
	}
	return strings.Join(all, ", ")
}

// choose returns the parts that were asked for, all of them by default.
func choose(from []part, only string) ([]part, error) {
	if only == "" {
		return from, nil
	}
	var wanted []part
	for name := range strings.SplitSeq(only, ",") {
		i := slices.IndexFunc(from, func(p part) bool { return p.name == name })
		if i < 0 {
			return nil, fmt.Errorf("-only %s: no such part; there are %s", name, names(from))
		}
		wanted = append(wanted, from[i])
	}
	return wanted, nil
}
