package main

import (
	"fmt"
	"os/exec"
	"slices"
	"time"

	"muxd/internal/sshtest"
)

const (
	// downFor is long enough for every connection to be given up and for
	// pauses between attempts to have grown.
	downFor = 45 * time.Second
	// allBack is how long is waited for the last of many.
	allBack = 5 * time.Minute
	// startWithin is what dial starts are counted in.
	startWithin = 100 * time.Millisecond
)

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
func globalOutage(f *farm, r *section, o options) error {
	names := numbered(back, o.masters)
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
	name := fmt.Sprintf("%d hosts back: ", o.masters)
	one := func(times []float64, q float64) []float64 {
		if len(times) < o.masters {
			return nil
		}
		return []float64{quantile(times, q)}
	}
	if n := len(theirs.times); note == "" && n < o.masters {
		note = fmt.Sprintf(" (autossh: %d came)", n)
	}
	if n := len(ours.times); n < o.masters {
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
