package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"muxd/internal/sshtest"
)

const (
	idleFor = 75 * time.Second // five probes of each host
	// downFor is long enough for every connection to be given up and for
	// pauses between attempts to have grown.
	downFor = 45 * time.Second
	// allBack is how long is waited for the last of many.
	allBack = 5 * time.Minute
	// startWithin is what dial starts are counted in.
	startWithin = 100 * time.Millisecond
)

// idle measures what it costs to hold many connections and to ask each of them
// every fifteen seconds whether it lives.
func idle(f *farm, r *report, o options) error {
	defer f.stopMuxd()
	names := numbered(idling, o.hosts)
	if err := f.each(names, func(name string) error { _, err := output(f.muxc(name, nothing)); return err }); err != nil {
		return err
	}
	muxd, err := f.muxdPID()
	if err != nil {
		return err
	}
	var mu sync.Mutex
	var masters []int
	err = f.each(names, func(name string) error {
		err := f.discard(f.autoSSH(name, nothing))
		mu.Lock()
		defer mu.Unlock()
		masters = append(masters, f.master(name))
		return err
	})
	defer f.each(names, f.stopMaster)
	if err != nil {
		return err
	}
	time.Sleep(settle)
	before, theirsBefore := onProcessor(muxd), onProcessor(masters...)
	time.Sleep(idleFor)
	ours, theirs := onProcessor(muxd)-before, onProcessor(masters...)-theirsBefore
	perMinute := func(d time.Duration) []float64 {
		return []float64{d.Seconds() * 1e3 * float64(time.Minute) / float64(idleFor)}
	}
	r.add(row{Name: fmt.Sprintf("%d idle hosts, a probe each 15 s: processor", o.hosts), Unit: "ms/min"}, perMinute(ours), perMinute(theirs))
	our, err := pss(muxd)
	if err != nil {
		return err
	}
	var their float64
	for _, pid := range masters {
		one, err := pss(pid)
		if err != nil {
			return err
		}
		their += one
	}
	r.add(row{Name: fmt.Sprintf("%d idle hosts: memory (PSS)", o.hosts), Unit: "MiB"}, []float64{our}, []float64{their})
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

// each does something for every name, eight at a time.
func (f *farm) each(names []string, do func(string) error) error {
	errs := make(chan error, len(names))
	slots := make(chan struct{}, 8)
	for _, name := range names {
		slots <- struct{}{}
		go func() { errs <- do(name); <-slots }()
	}
	var first error
	for range names {
		if err := <-errs; first == nil {
			first = err
		}
	}
	return first
}

// comeback is how many hosts came back.
type comeback struct {
	times []float64 // from heal, sorted
	peak  int       // handshakes at once
	crowd float64   // the largest share of connections that began within startWithin, in percent
}

// globalOutage measures how many hosts come back together: with muxd, and then
// with as many autosshes.
func globalOutage(f *farm, r *report, o options) error {
	names := numbered(back, o.hosts)
	if err := f.each(names, func(name string) error { _, err := output(f.muxc(name, nothing)); return err }); err != nil {
		return err
	}
	ours, err := f.comeBack(names)
	f.stopMuxd()
	if err != nil {
		return err
	}
	var theirs comeback
	note := " (autossh: not installed)"
	if path, err := exec.LookPath("autossh"); err == nil {
		note = ""
		keepers, err := f.keep(path, names)
		if err == nil {
			theirs, err = f.comeBack(names)
		}
		dismiss(keepers)
		if err != nil {
			return err
		}
	}
	name := fmt.Sprintf("%d hosts back: ", o.hosts)
	one := func(times []float64, q float64) []float64 {
		if len(times) < o.hosts {
			return nil
		}
		return []float64{quantile(times, q)}
	}
	if n := len(theirs.times); note == "" && n < o.hosts {
		note = fmt.Sprintf(" (autossh: %d came)", n)
	}
	if n := len(ours.times); n < o.hosts {
		note += fmt.Sprintf(" (muxd: %d came)", n)
	}
	r.add(row{Name: name + "heal to half ready" + note, Unit: "s"}, one(ours.times, 0.5), one(theirs.times, 0.5))
	r.add(row{Name: name + "heal to all ready" + note, Unit: "s"}, one(ours.times, 1), one(theirs.times, 1))
	single := func(v float64) []float64 {
		if v == 0 {
			return nil
		}
		return []float64{v}
	}
	r.add(row{Name: name + "most handshakes at once", Unit: ""}, single(float64(ours.peak)), single(float64(theirs.peak)))
	r.add(row{Name: name + "most connections begun in 100 ms", Unit: "%"}, single(ours.crowd), single(theirs.crowd))
	return nil
}

// comeBack has everything vanish for a while and looks at how it returns.
func (f *farm) comeBack(names []string) (comeback, error) {
	if _, err := f.cut(); err != nil {
		return comeback{}, err
	}
	time.Sleep(downFor)
	heal, err := f.heal()
	if err != nil {
		return comeback{}, err
	}
	times := since(heal, await(names, allBack, func(name string) time.Time { return f.login(name, heal) }))
	slices.Sort(times)
	c := comeback{times: times}
	c.peak, c.crowd = crowding(f.server.Events(sshtest.Connected, sshtest.LoggedIn, sshtest.Disconnected), heal)
	return c, nil
}

// login is when a host logged in first after t.
func (f *farm) login(name string, t time.Time) time.Time {
	return loginAfter(f.server.Events(sshtest.LoggedIn), name, t)
}

// crowding returns how many connections were between their first packet and
// their login at most, and the largest share of them that began within
// startWithin, in percent.
func crowding(events []sshtest.Event, after time.Time) (peak int, share float64) {
	under := map[int]bool{}
	var starts []time.Time
	for _, e := range events {
		if e.At.Before(after) {
			continue
		}
		if e.Kind == sshtest.Connected {
			under[e.Peer] = true
			starts = append(starts, e.At)
		} else {
			delete(under, e.Peer)
		}
		peak = max(peak, len(under))
	}
	first := 0
	for i, t := range starts {
		for t.Sub(starts[first]) > startWithin {
			first++
		}
		share = max(share, 100*float64(i-first+1)/float64(len(starts)))
	}
	return peak, share
}
