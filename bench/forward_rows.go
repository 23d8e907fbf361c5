package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

// turns are the sides in an order that changes every round.
func (d *tunnels) turns() []side {
	order := slices.Clone(d.sides)
	rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	return order
}

// connectRows measures a connection from the dial to the first byte that came
// back through it, and for scale one without a forward.
func connectRows(d *tunnels, r *section, o options) error {
	var p, straight pair
	for round := range o.times(300) + warmUp {
		for _, s := range d.turns() {
			ms, err := connectOnce(s.addr(echoing))
			if err != nil {
				return err
			}
			if round >= warmUp {
				p.add(s, ms)
			}
		}
		ms, err := connectOnce(d.targets.lns[echoing].Addr().String())
		if err != nil {
			return err
		}
		straight.theirs = append(straight.theirs, ms)
	}
	r.add(row{Name: "a connection, to its first byte back", Unit: "ms", Chart: true}, p.ours, p.theirs)
	r.add(row{Name: "– without a forward", Unit: "ms"}, nil, straight.theirs)
	return nil
}

func connectOnce(addr string) (ms float64, err error) {
	start := time.Now()
	c, err := echoed(addr)
	if err != nil {
		return 0, err
	}
	took := time.Since(start)
	return milliseconds(took), c.Close()
}

// transferRows measures bulk through a forward, each way, and what it costs the
// process that holds the connection.
func transferRows(d *tunnels, r *section, o options) error {
	for _, t := range []struct {
		name, target string
		run          func(addr string, size int64) error
	}{
		{"download", giving, download},
		{"upload", taking, upload},
	} {
		var rates, costs pair
		gb := float64(d.targets.size) / 1e9
		for range o.times(transfers) {
			for _, s := range d.turns() {
				before := processorTime(s.holder)
				start := time.Now()
				if err := t.run(s.addr(t.target), d.targets.size); err != nil {
					return fmt.Errorf("%s: %w", t.name, err)
				}
				rates.add(s, gb*1e3/time.Since(start).Seconds())
				if before > 0 {
					costs.add(s, (processorTime(s.holder)-before).Seconds()/gb)
				}
			}
		}
		r.add(row{Name: t.name, Unit: "MB/s", HigherIsBetter: true, Chart: true}, rates.ours, rates.theirs)
		r.addCost("– processor time of the holder", costs.ours, costs.theirs)
	}
	return nil
}

func download(addr string, size int64) error {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{c}, make([]byte, pipeSize))
	if err == nil && n != size {
		err = fmt.Errorf("%d bytes came of %d", n, size)
	}
	return err
}

// upload is over when the target has said how much it got.
func upload(addr string, size int64) error {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	piece := make([]byte, pipeSize)
	for left := size; left > 0; left -= pipeSize {
		if _, err := c.Write(piece[:min(left, pipeSize)]); err != nil {
			return err
		}
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		return err
	}
	said, err := io.ReadAll(c)
	if got := strings.TrimSpace(string(said)); err == nil && got != fmt.Sprint(size) {
		err = fmt.Errorf("%s bytes arrived of %d", got, size)
	}
	return err
}

// stampedes is how often all connections come at once.
const stampedes = 10

// crowdRows measures many connections at the same time, from the first dial to
// the last byte back.
func crowdRows(d *tunnels, r *section, o options) error {
	var p pair
	for round := range o.times(stampedes) + 1 { // the first is for what has to grow once
		for _, s := range d.turns() {
			took, conns, err := dialCrowd(s.addr(echoing), o.conns)
			closeAll(conns)
			if err != nil {
				return err
			}
			if round > 0 {
				p.add(s, milliseconds(took))
			}
		}
	}
	r.add(row{Name: fmt.Sprintf("%d connections at once, to the last byte", o.conns), Unit: "ms", Chart: true}, p.ours, p.theirs)
	return nil
}

// dialCrowd returns n connections, each of which has carried a byte and back.
func dialCrowd(addr string, n int) (time.Duration, []net.Conn, error) {
	var mu sync.Mutex
	var conns []net.Conn
	var errs []error
	var wg sync.WaitGroup
	begin := make(chan struct{})
	for range n {
		wg.Go(func() {
			<-begin
			c, err := echoed(addr)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				errs = append(errs, err)
				return
			}
			conns = append(conns, c)
		})
	}
	start := time.Now()
	close(begin)
	wg.Wait()
	took := time.Since(start)
	if len(errs) > 0 {
		return 0, conns, fmt.Errorf("%d of %d connections failed, the first one: %w", len(errs), n, errs[0])
	}
	return took, conns, nil
}

func closeAll(conns []net.Conn) {
	for _, c := range conns {
		c.Close()
	}
}

// idleRows measures what the holder of the connection grows by for each that is
// open through a forward and carries nothing.
func idleRows(d *tunnels, r *section, o options) error {
	if runtime.GOOS != "linux" {
		r.miss(fmt.Sprintf("memory of each of %d idle connections (PSS)", o.conns), "KiB", noPSS)
		return nil
	}
	var none, each pair
	for _, s := range d.sides {
		time.Sleep(o.settle)
		before, err := pss(s.holder)
		if err != nil {
			return err
		}
		_, conns, err := dialCrowd(s.addr(echoing), o.conns)
		var after float64
		if err == nil {
			time.Sleep(o.settle)
			after, err = pss(s.holder)
		}
		closeAll(conns)
		if err != nil {
			return err
		}
		none.add(s, before)
		each.add(s, (after-before)*1024/float64(o.conns))
	}
	r.add(row{Name: "memory of the holder without one (PSS)", Unit: "MiB"}, none.ours, none.theirs)
	r.add(row{Name: fmt.Sprintf("memory of each of %d idle connections (PSS)", o.conns), Unit: "KiB", Chart: true}, each.ours, each.theirs)
	return nil
}
