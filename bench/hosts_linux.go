package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// hosts measures what it costs to hold many connections and to ask each of them
// every fifteen seconds whether it lives. There are fewer masters than hosts of
// muxd's; what as many would hold and use is computed from theirs.
func hosts(l *lab, r *section, o options) error {
	f, err := newFarm(l, o)
	if err != nil {
		return err
	}
	defer f.close()
	var mu sync.Mutex
	var masters []int
	names := numbered(idling, o.hosts)
	beside := names[:o.masters]
	defer f.each(beside, f.stopMaster)
	if err := f.each(beside, func(name string) error {
		err := f.discard(f.autoSSH(name, nothing))
		mu.Lock()
		defer mu.Unlock()
		masters = append(masters, f.master(name))
		return err
	}); err != nil {
		return err
	}
	held := []float64{}
	for _, n := range slices.Compact([]int{o.masters, o.hosts}) {
		ours, err := f.holdRow(r, names[:n], masters, o)
		if err != nil {
			return err
		}
		held = append(held, ours)
	}
	if more := o.hosts - o.masters; more > 0 {
		r.add(row{Name: "– each further host", Unit: "KiB"}, []float64{(held[1] - held[0]) * 1024 / float64(more)}, nil)
	}
	return f.probing(r, masters, o)
}

// holdRow has muxd hold these hosts, and measures the memory.
func (f *farm) holdRow(r *section, names []string, masters []int, o options) (float64, error) {
	if err := f.each(names, func(name string) error { _, err := output(f.muxc(name, nothing)); return err }); err != nil {
		return 0, err
	}
	muxd, err := f.muxdPID()
	if err != nil {
		return 0, err
	}
	time.Sleep(o.settle)
	ours, err := pss(muxd)
	if err != nil {
		return 0, err
	}
	theirs, err := pss(masters...)
	if err != nil {
		return 0, err
	}
	name := fmt.Sprintf("%d hosts, memory (PSS)%s", len(names), computed(len(names), len(masters)))
	theirs *= float64(len(names)) / float64(len(masters))
	r.add(row{Name: name, Unit: "MiB", Chart: true}, []float64{ours}, []float64{theirs})
	return ours, nil
}

// computed says of how many masters a figure was measured, where there were
// fewer.
func computed(hosts, masters int) string {
	if hosts == masters {
		return ""
	}
	return fmt.Sprintf(" (ssh: %d masters × %.3g)", masters, float64(hosts)/float64(masters))
}

// probing measures the processor time of all that are idle.
func (f *farm) probing(r *section, masters []int, o options) error {
	muxd, err := f.muxdPID()
	if err != nil {
		return err
	}
	before, theirsBefore := onProcessor(muxd), onProcessor(masters...)
	time.Sleep(o.watch)
	ours, theirs := onProcessor(muxd)-before, onProcessor(masters...)-theirsBefore
	percent := func(d time.Duration, times float64) []float64 {
		return []float64{100 * d.Seconds() * times / o.watch.Seconds()}
	}
	name := fmt.Sprintf("%d hosts, processor%s", o.hosts, computed(o.hosts, len(masters)))
	r.add(row{Name: name, Unit: "% of one", Chart: true}, percent(ours, 1), percent(theirs, float64(o.hosts)/float64(len(masters))))
	return nil
}

// onProcessor is how long processes have run, to the nanosecond: each of many
// masters runs for less than the unit of /proc/PID/stat. A thread that has ended
// is not counted; Go keeps its own.
func onProcessor(pids ...int) (sum time.Duration) {
	for _, pid := range pids {
		paths, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
		for _, path := range paths {
			b, _ := os.ReadFile(path)
			text, _, _ := strings.Cut(string(b), " ")
			ns, _ := strconv.ParseInt(text, 10, 64)
			sum += time.Duration(ns)
		}
	}
	return sum
}
