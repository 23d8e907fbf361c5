package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// tunnelled is a part that needs forwards: of muxd's, and of a master's beside
// it, to the same targets in this process.
func tunnelled(rows ...func(*tunnels, *section, options) error) func(*lab, *section, options) error {
	return func(l *lab, s *section, o options) error {
		targets, err := startTargets(o.size())
		if err != nil {
			return err
		}
		defer targets.close()
		t, err := dig(l, targets)
		if err != nil {
			return err
		}
		for _, add := range rows {
			if err := add(t, s, o); err != nil {
				return err
			}
		}
		return nil
	}
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
	sides   []side // ours and theirs
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

// dig makes the forwards.
func dig(l *lab, t *targets) (*tunnels, error) {
	d := &tunnels{lab: l, targets: t}
	master, err := l.startMaster("lab")
	if err != nil {
		return nil, err
	}
	if _, err := output(l.muxc("lab", "true")); err != nil {
		return nil, err
	}
	muxd, err := l.muxdPID()
	if err != nil {
		return nil, err
	}
	d.sides = []side{{true, muxd, map[string]int{}}, {false, master, map[string]int{}}}
	return d, errors.Join(d.open(d.sides[0].ports, l.path("muxc")), d.open(d.sides[1].ports, l.ssh, "-S", l.controlPath("lab")))
}

// open asks for a forward to every target, from a port that was free just now.
func (d *tunnels) open(ports map[string]int, path string, args ...string) error {
	for kind, ln := range d.targets.lns {
		port, err := freePort()
		if err != nil {
			return err
		}
		spec := fmt.Sprintf("127.0.0.1:%d:%s", port, ln.Addr())
		all := append([]string{"-F", d.conf}, args...)
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
