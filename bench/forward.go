package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"time"
)

// forwardPart is one of the measurements with -forward.
type forwardPart struct {
	name string
	run  func(*tunnels, *report, options) error
}

// forwardParts are measured instead of the others with -forward.
var forwardParts = []forwardPart{
	{"idle", idleRows}, // first: what was needed once is not given back
	{"connect", connectRows},
	{"transfer", transferRows},
	{"crowd", crowdRows},
	{"proxy", proxyRows},
}

// forward measures connections through forwards: of muxd's, and of a master's
// beside it, to the same targets in this process.
func forward(o options) error {
	if o.only != "" && !slices.ContainsFunc(forwardParts, func(p forwardPart) bool { return p.name == o.only }) {
		return fmt.Errorf("-forward -only %s: no such part", o.only)
	}
	l, err := newLab()
	if err != nil {
		return err
	}
	defer l.close()
	l.closeOnSignal()
	targets, err := startTargets(int64(o.mb) << 20)
	if err != nil {
		return err
	}
	defer targets.close()
	t, err := dig(l, targets)
	if err != nil {
		return err
	}
	defer l.stopMaster("lab")
	r := newReport(l)
	for _, p := range forwardParts {
		if o.only != "" && o.only != p.name {
			continue
		}
		fmt.Fprintf(os.Stderr, "%s …\n", p.name)
		if err := p.run(t, r, o); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return r.finish(o)
}

// Targets of a forward.
const (
	echoing = "echo"   // sends everything back
	giving  = "source" // sends so many bytes and closes
	taking  = "sink"   // reads to the end, answers with the number of bytes
)

// targets are what the forwards lead to: listeners of this process, so that both
// sides meet the same.
type targets struct {
	size int64
	lns  map[string]net.Listener
}

func startTargets(size int64) (*targets, error) {
	t := &targets{size, map[string]net.Listener{}}
	for kind, serve := range map[string]func(net.Conn){
		echoing: func(c net.Conn) { io.Copy(c, c) },
		giving:  t.give,
		taking:  take,
	} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.close()
			return nil, err
		}
		t.lns[kind] = ln
		go func() {
			for {
				conn, err := ln.Accept()
				if err != nil {
					return
				}
				go func() { defer conn.Close(); serve(conn) }()
			}
		}()
	}
	return t, nil
}

func (t *targets) close() {
	for _, ln := range t.lns {
		ln.Close()
	}
}

func (t *targets) give(c net.Conn) {
	piece := make([]byte, pipeSize)
	for left := t.size; left > 0; left -= pipeSize {
		if _, err := c.Write(piece[:min(left, pipeSize)]); err != nil {
			return
		}
	}
}

func take(c net.Conn) {
	n, _ := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{c}, make([]byte, pipeSize))
	fmt.Fprintf(c, "%d\n", n)
}

// tunnels are the forwards of both sides.
type tunnels struct {
	*lab
	targets *targets
	sides   []side // ours, if muxd forwards at all, and theirs
}

// side is one program's forwards.
type side struct {
	ours   bool
	holder int            // the process that holds the connection
	ports  map[string]int // where it listens, by target
}

func (s side) addr(kind string) string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.ports[kind]))
}

// dig makes the forwards. Of a muxc that cannot it is said why, and ssh is
// measured alone.
func dig(l *lab, t *targets) (*tunnels, error) {
	d := &tunnels{lab: l, targets: t}
	master, err := l.startMaster("lab")
	if err != nil {
		return nil, err
	}
	theirs := side{holder: master, ports: map[string]int{}}
	if err := d.open(theirs.ports, l.ssh, "-S", l.controlPath("lab")); err != nil {
		return nil, err
	}
	if _, err := output(l.muxc("lab", "true")); err != nil {
		return nil, err
	}
	ours := side{ours: true, ports: map[string]int{}}
	if err := d.open(ours.ports, l.path("muxc")); err != nil {
		fmt.Fprintf(os.Stderr, "  muxd's side is left out: %v\n", err)
	} else if ours.holder, err = l.muxdPID(); err != nil {
		return nil, err
	} else {
		d.sides = append(d.sides, ours)
	}
	d.sides = append(d.sides, theirs)
	return d, nil
}

// open asks for a forward to every target, from a port that was free just now.
func (d *tunnels) open(ports map[string]int, path string, args ...string) error {
	for kind, ln := range d.targets.lns {
		port, err := freePort()
		if err != nil {
			return err
		}
		spec := fmt.Sprintf("127.0.0.1:%d:%s", port, ln.Addr())
		all := append([]string{"-F", d.path("config")}, args...)
		if _, err := output(d.program(path, append(all, "-O", "forward", "-L", spec, "lab")...)); err != nil {
			return err
		}
		ports[kind] = port
	}
	return nil
}

// pair is a measurement of each side, in the order of the columns.
type pair struct{ ours, theirs []float64 }

func (p *pair) add(s side, v float64) {
	if s.ours {
		p.ours = append(p.ours, v)
	} else {
		p.theirs = append(p.theirs, v)
	}
}

// echoed connects, sends one byte and returns the connection when it is back.
func echoed(addr string) (net.Conn, error) {
	c, err := net.DialTimeout("tcp", addr, echoLimit)
	if err != nil {
		return nil, err
	}
	c.SetDeadline(time.Now().Add(echoLimit))
	b := []byte{'x'}
	_, err = c.Write(b)
	if err == nil {
		_, err = io.ReadFull(c, b)
	}
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// echoLimit is when a byte that does not come back has the run fail.
const echoLimit = 30 * time.Second
