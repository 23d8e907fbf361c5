package main

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// transfers is how often each transfer is made, taking turns.
const transfers = 5

// command makes a client's command line for the host that is measured.
type command func(command ...string) program

// transfer is a way to move bytes.
type transfer struct {
	name string
	host string
	kind stdio
	dir  direction
}

// allTransfers are those of the table: what each does by itself, and with one
// cipher for both by every kind of stdio.
func allTransfers() []transfer {
	var all []transfer
	for _, d := range directions {
		all = append(all, transfer{d.name + ", " + pipes.name, "lab", pipes, d})
	}
	for _, c := range []struct{ host, name string }{{gcm, "AES-GCM"}, {chacha, "chacha20"}} {
		for _, d := range directions {
			for _, k := range []stdio{pipes, files, sockets} {
				all = append(all, transfer{fmt.Sprintf("%s, %s, %s both", d.name, k.name, c.name), c.host, k, d})
			}
		}
	}
	return all
}

// way is a client and the process that holds its connection.
type way struct {
	p      command
	holder int
}

// throughput measures bulk transfers on warm connections, by muxc and by stock
// ssh through muxd's ControlPath, each beside ssh through its own master. And
// what they cost: a rate alone hides that both may use the processor for very
// different times.
func throughput(l *lab, r *section, o options) error {
	open := map[string]*doors{}
	for _, t := range allTransfers() {
		d := open[t.host]
		if d == nil {
			d = &doors{lab: l}
			if err := d.open(t.host); err != nil {
				return err
			}
			open[t.host] = d
		}
		ways := []way{
			{func(c ...string) program { return l.muxc(t.host, c...) }, d.muxd},
			{func(c ...string) program { return d.through(d.theirs, t.host, c...) }, d.master},
			{func(c ...string) program { return d.through(d.ours, t.host, c...) }, d.muxd},
		}
		rates, costs, err := t.turns(ways, o)
		if err != nil {
			return fmt.Errorf("%s: %w", t.name, err)
		}
		chart := t.kind.name == pipes.name
		r.add(row{Name: t.name, Unit: "MB/s", HigherIsBetter: true, Chart: chart}, rates[0], rates[1])
		r.add(row{Name: "– by stock ssh through muxd", Unit: "MB/s", HigherIsBetter: true, Chart: t.host == "lab"}, rates[2], rates[1])
		if chart {
			r.addCost("– processor time, client and holder", costs[0], costs[1])
			r.addCost("– the same by stock ssh through muxd", costs[2], costs[1])
		}
	}
	return nil
}

// addCost is a row of processor times; without any it says why.
func (s *section) addCost(name string, ours, theirs []float64) {
	if len(theirs) == 0 {
		s.miss(name, "s/GB", "only Linux says what another process has used")
		return
	}
	s.add(row{Name: name, Unit: "s/GB"}, ours, theirs)
}

// turns makes the transfer by each way in turn and returns MB/s and s/GB.
func (t transfer) turns(ways []way, o options) (rates, costs [][]float64, err error) {
	rates, costs = make([][]float64, len(ways)), make([][]float64, len(ways))
	order := rand.Perm(len(ways))
	for range o.times(transfers) {
		rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		for _, k := range order {
			rate, cost, err := t.measure(o.size(), ways[k])
			if err != nil {
				return nil, nil, err
			}
			rates[k] = append(rates[k], rate)
			if cost > 0 {
				costs[k] = append(costs[k], cost)
			}
		}
	}
	return rates, costs, nil
}

// measure returns the rate, and the processor time per gigabyte of the client
// and of the process that holds the connection, 0 where that is not told.
func (t transfer) measure(size int64, w way) (rate, cost float64, err error) {
	s, err := t.kind.open(t.dir, size)
	if err != nil {
		return 0, 0, err
	}
	defer s.close()
	before := processorTime(w.holder) + childrenTime()
	start := time.Now()
	if err := s.move(w.p(t.dir.remote(size))); err != nil {
		return 0, 0, err
	}
	took := time.Since(start)
	gb := float64(size) / 1e9
	rate = gb * 1e3 / took.Seconds()
	if processorTime(w.holder) == 0 {
		return rate, 0, nil
	}
	return rate, (processorTime(w.holder) + childrenTime() - before).Seconds() / gb, nil
}
