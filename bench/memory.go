package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// settle is how long the processes are left alone before they are measured, so
// that what a login needed may be given back. Go's collector returns memory to
// the system over minutes; nobody waits for that here.
const settle = 3 * time.Second

// memory measures what is held for one connection and for many, idle.
func memory(l *lab, r *report, _ options) error {
	if runtime.GOOS != "linux" {
		fmt.Fprintln(os.Stderr, "  left out: only Linux says what a process holds (smaps_rollup)")
		return nil
	}
	defer l.stopMuxd()
	for _, n := range []int{1, aliases} {
		pids, err := l.connectAll(n)
		if err != nil {
			return err
		}
		time.Sleep(settle)
		muxd, err := l.muxdPID()
		if err != nil {
			return err
		}
		ours, err := pss(muxd)
		if err != nil {
			return err
		}
		var theirs float64
		for _, pid := range pids {
			one, err := pss(pid)
			if err != nil {
				return err
			}
			theirs += one
		}
		name := "memory with 1 connection (PSS)"
		if n > 1 {
			name = fmt.Sprintf("memory with %d connections (PSS)", n)
		}
		r.add(row{Name: name, Unit: "MiB"}, []float64{ours}, []float64{theirs})
		for i := range n {
			l.stopMaster(alias(i))
		}
	}
	return nil
}

// connectAll makes n connections of each kind and returns the masters' pids.
func (l *lab) connectAll(n int) ([]int, error) {
	var pids []int
	for i := range n {
		if _, err := output(l.muxc(alias(i), "true")); err != nil {
			return nil, err
		}
		pid, err := l.startMaster(alias(i))
		if err != nil {
			return nil, err
		}
		pids = append(pids, pid)
	}
	return pids, nil
}

// pss is a process's proportional set size in MiB: its own pages, and its
// share of those it has in common with others. The sum over processes is what
// they take together, so many small ones are not charged for one library many
// times.
func pss(pid int) (float64, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if value, ok := strings.CutPrefix(s.Text(), "Pss:"); ok {
			kb, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(value), " kB"))
			return float64(kb) / 1024, err
		}
	}
	return 0, fmt.Errorf("no Pss in %s", f.Name())
}
