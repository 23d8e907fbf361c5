package main

import (
	"bufio"
	"encoding/json"
	"os/exec"
	"slices"
	"sync"
	"time"
)

// change is a line of muxd events --json.
type change struct {
	Time           time.Time
	Kind, Host, To string
}

// changes are those of a muxd, as they come.
type changes struct {
	cmd *exec.Cmd

	mu  sync.Mutex
	all []change // guarded by mu
}

// follow listens to the muxd that runs.
func (f *farm) follow() (*changes, error) {
	c := &changes{}
	p := f.program(f.path("muxd"), "events", "--json")
	c.cmd = exec.Command(p.path)
	c.cmd.Args, c.cmd.Env = p.argv, p.env
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		for s := bufio.NewScanner(out); s.Scan(); {
			var one change
			if json.Unmarshal(s.Bytes(), &one) == nil {
				c.mu.Lock()
				c.all = append(c.all, one)
				c.mu.Unlock()
			}
		}
	}()
	return c, nil
}

func (c *changes) stop() {
	c.cmd.Process.Kill()
	c.cmd.Wait()
}

// first is when a host, or one of its connections, first came to be so after
// t; zero if it has not.
func (c *changes) first(kind, host, to string, t time.Time) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.IndexFunc(c.all, func(x change) bool { return x.Kind == kind && x.Host == host && x.To == to && x.Time.After(t) })
	if i < 0 {
		return time.Time{}
	}
	return c.all[i].Time
}

// await looks until every host has a time, or the limit is over, and returns
// the times. Those that are missing are zero.
func await(names []string, limit time.Duration, when func(name string) time.Time) []time.Time {
	times := make([]time.Time, len(names))
	for end := time.Now().Add(limit); ; time.Sleep(50 * time.Millisecond) {
		missing := false
		for i, name := range names {
			if times[i].IsZero() {
				times[i] = when(name)
				missing = missing || times[i].IsZero()
			}
		}
		if !missing || time.Now().After(end) {
			return times
		}
	}
}

// since are the seconds from one moment to each of others. A moment that did
// not come is left out.
func since(from time.Time, times []time.Time) []float64 {
	var s []float64
	for _, t := range times {
		if !t.IsZero() {
			s = append(s, t.Sub(from).Seconds())
		}
	}
	return s
}
