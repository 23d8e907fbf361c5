package main

import (
	"fmt"
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
func proxyRows(d *tunnels, r *section, o options) error {
	s, err := newSpawner()
	if err != nil {
		return err
	}
	defer s.close()
	adopt()
	theirs := func(command ...string) program {
		return d.through(false, d.ssh+" -F "+d.conf+" -S "+d.controlPath("lab")+" -W [%h]:%p lab", command...)
	}
	for _, w := range proxied {
		proxy := d.path("muxc") + " -F " + d.conf + " -W [%h]:%p lab"
		if w.fd {
			proxy = strings.Replace(proxy, " -W", " -o FdPass=yes -W", 1)
		}
		ours := func(command ...string) program { return d.through(w.fd, proxy, command...) }
		ways := []way{{ours, d.sides[0].holder}, {theirs, d.sides[1].holder}}
		if err := proxyRow(s, r, w.name, ways, o); err != nil {
			return err
		}
	}
	return nil
}

// through is ssh to the lab by a ProxyCommand.
func (d *tunnels) through(fd bool, proxy string, command ...string) program {
	args := []string{"-F", d.conf, "-S", "none", "-o", "KexAlgorithms=curve25519-sha256", "-o", "ProxyCommand=" + proxy}
	if fd {
		args = append(args, "-o", "ProxyUseFdpass=yes")
	}
	return d.program(d.ssh, append(append(args, "lab"), command...)...)
}

func proxyRow(s *spawner, r *section, name string, ways []way, o options) error {
	var took, rates, costs [2][]float64
	for round := range o.times(logins) + 1 {
		for k, w := range ways {
			ms, err := s.run(w.p("true"))
			if err != nil {
				return err
			}
			if round > 0 {
				took[k] = append(took[k], ms)
			}
		}
	}
	for range o.times(transfers) {
		for k, w := range ways {
			rate, cost, err := proxiedDownload(w, o.size())
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			rates[k] = append(rates[k], rate)
			if cost > 0 {
				costs[k] = append(costs[k], cost)
			}
		}
	}
	r.add(row{Name: name + ": login", Unit: "ms"}, took[0], took[1])
	r.add(row{Name: "– download", Unit: "MB/s", HigherIsBetter: true}, rates[0], rates[1])
	r.addCost("– processor time, clients and holder", costs[0], costs[1])
	return nil
}

// orphaned is how long a ProxyCommand may take to end once its ssh has: ssh sends
// SIGHUP and does not wait (sshconnect.c, ssh_kill_proxy_command).
const orphaned = 100 * time.Millisecond

// proxiedDownload returns the rate of a download, and the processor time per
// gigabyte of all that took part on this side.
func proxiedDownload(w way, size int64) (rate, cost float64, err error) {
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
