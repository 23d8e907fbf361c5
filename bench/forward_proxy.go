package main

import (
	"fmt"
	"os"
	"strings"
	"time"
)

// proxied are the ways to have ssh reach a host through one that is connected.
// The second has no counterpart in ssh, whose multiplexing client stays in the
// path, so it is measured against the first of ssh's.
var proxied = []struct {
	name string
	fd   bool
}{
	{"ssh through muxc -W : ssh -S -W", false},
	{"ssh through FdPass : ssh -S -W", true},
}

// logins is how often ssh logs in through each.
const logins = 20

// proxyRows measures ssh with a ProxyCommand: a login, and a download with what
// it costs the client, its ProxyCommand and the holder together.
func proxyRows(d *tunnels, r *report, o options) error {
	s, err := newSpawner()
	if err != nil {
		return err
	}
	defer s.close()
	adopt()
	theirs := func(command ...string) program {
		return d.through(false, d.ssh+" -F "+d.path("config")+" -S "+d.controlPath("lab")+" -W [%h]:%p lab", command...)
	}
	for _, w := range proxied {
		proxy := d.path("muxc") + " -F " + d.path("config") + " -W [%h]:%p lab"
		if w.fd {
			proxy = strings.Replace(proxy, " -W", " -o FdPass=yes -W", 1)
		}
		ours := func(command ...string) program { return d.through(w.fd, proxy, command...) }
		ways := []proxiedWay{{ours, d.holderOf(true)}, {theirs, d.holderOf(false)}}
		if _, err := output(ours("true")); err != nil {
			fmt.Fprintf(os.Stderr, "  muxd's side is left out: %v\n", err)
			ways[0].p = nil
		} else if ways[0].holder == 0 {
			if ways[0].holder, err = d.muxdPID(); err != nil {
				return err
			}
		}
		if err := proxyRow(s, r, w.name, ways, int64(o.mb)<<20); err != nil {
			return err
		}
	}
	return nil
}

// through is ssh to the lab by a ProxyCommand.
func (d *tunnels) through(fd bool, proxy string, command ...string) program {
	args := []string{"-F", d.path("config"), "-S", "none", "-o", "KexAlgorithms=curve25519-sha256", "-o", "ProxyCommand=" + proxy}
	if fd {
		args = append(args, "-o", "ProxyUseFdpass=yes")
	}
	return d.program(d.ssh, append(append(args, "lab"), command...)...)
}

// holderOf is the process that holds that side's connection, 0 if it has none
// yet.
func (d *tunnels) holderOf(ours bool) int {
	for _, s := range d.sides {
		if s.ours == ours {
			return s.holder
		}
	}
	return 0
}

// proxiedWay is one column of a row; p is nil where there is none.
type proxiedWay struct {
	p      func(command ...string) program
	holder int
}

func proxyRow(s *spawner, r *report, name string, ways []proxiedWay, size int64) error {
	var took, rates, costs [2][]float64
	for round := range logins + 1 {
		for k, w := range ways {
			if w.p == nil {
				continue
			}
			ms, err := s.run(w.p("true"))
			if err != nil {
				return err
			}
			if round > 0 {
				took[k] = append(took[k], ms)
			}
		}
	}
	for range transfers {
		for k, w := range ways {
			if w.p == nil {
				continue
			}
			rate, cost, err := w.measure(size)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			rates[k], costs[k] = append(rates[k], rate), append(costs[k], cost)
		}
	}
	r.add(row{Name: name + ": login", Unit: "ms"}, took[0], took[1])
	r.add(row{Name: "  download", Unit: "MB/s", HigherIsBetter: true}, rates[0], rates[1])
	if costs[1][0] > 0 {
		r.add(row{Name: "  processor time of it, clients and holder", Unit: "s/GB"}, costs[0], costs[1])
	}
	return nil
}

// orphaned is how long a ProxyCommand may take to end once its ssh has: ssh sends
// SIGHUP and does not wait (sshconnect.c, ssh_kill_proxy_command).
const orphaned = 100 * time.Millisecond

// measure downloads once and returns the rate, and the processor time per
// gigabyte of all that took part on this side.
func (w proxiedWay) measure(size int64) (rate, cost float64, err error) {
	before := processorTime(w.holder) + childrenTime()
	took, err := downPipe(w.p, size)
	if err != nil {
		return 0, 0, err
	}
	reap(orphaned)
	gb := float64(size) / 1e9
	rate = gb * 1e3 / took.Seconds()
	if processorTime(w.holder) == 0 {
		return rate, 0, nil
	}
	return rate, (processorTime(w.holder) + childrenTime() - before).Seconds() / gb, nil
}
