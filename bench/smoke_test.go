package main

import (
	"flag"
	"slices"
	"testing"
	"time"

	"muxd/internal/sshtest"
)

// every has TestEveryPart run every part. By default it runs some: all of them take
// minutes beside the tests of other packages.
var every = flag.Bool("every", false, "TestEveryPart runs all parts")

// Parts run with as little of everything as there can be, and have rows. A figure
// says nothing here: go test ./bench -run EveryPart -every runs all of them.
func TestEveryPart(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a few hundred processes")
	}
	if sshtest.Raced {
		t.Skip("measures other processes, in which the race detector sees nothing")
	}
	sshtest.Require(t, "sshd", "ssh")
	l, err := newLab()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.close)
	o := options{scale: 0.01, mb: 1, conns: 3, hosts: 3, masters: 2, settle: time.Millisecond, watch: time.Millisecond}
	for _, p := range parts {
		if !*every && !slices.Contains([]string{"first", "warm", "forward"}, p.name) {
			continue
		}
		t.Run(p.name, func(t *testing.T) {
			defer l.endAll()
			s, _, err := l.bounded(p, o)
			if err != nil {
				t.Fatal(err)
			}
			if len(s.Rows) == 0 {
				t.Error("no row")
			}
			for _, x := range s.Rows {
				if x.Missing != "" {
					t.Logf("%s: %s", x.Name, x.Missing)
				} else if x.Muxc == nil && x.SSH == nil {
					t.Errorf("%s: neither a figure nor a reason", x.Name)
				}
			}
			if left := l.controlPaths(); len(left) > 0 {
				t.Logf("left to the end: %v", left)
			}
		})
	}
}
