package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// transfers is how often each transfer is made, taking turns.
const transfers = 5

// pipeSize is the piece in which our end of a pipe is read and written: no
// larger than a pipe takes at once, as most programs do.
const pipeSize = 64 << 10

// transfer is a way to move bytes, measured for both clients.
type transfer struct {
	name string
	host string
	run  func(p func(command ...string) program, size int64) (time.Duration, error)
}

var allTransfers = []transfer{
	{"download to a pipe", "lab", downPipe},
	{"download to /dev/null", "lab", downNull},
	{"upload from a pipe", "lab", upPipe},
	{"download to a pipe, AES-GCM both", gcm, downPipe},
	{"upload from a pipe, AES-GCM both", gcm, upPipe},
}

// throughput measures bulk transfers on warm connections, and what they cost:
// a rate alone hides that both clients may use the processor for very
// different times.
func throughput(l *lab, r *report, o options) error {
	size := int64(o.mb) << 20
	masters := map[string]int{}
	for _, host := range []string{"lab", gcm} {
		if _, err := output(l.muxc(host, "true")); err != nil {
			return err
		}
		pid, err := l.startMaster(host)
		if err != nil {
			return err
		}
		masters[host] = pid
		defer l.stopMaster(host)
	}
	defer l.stopMuxd()
	muxd, err := l.muxdPID()
	if err != nil {
		return err
	}
	for _, t := range allTransfers {
		var rates, costs [2][]float64
		for range transfers {
			for k, c := range []struct {
				p   func(string, ...string) program
				pid int
			}{{l.muxc, muxd}, {l.muxSSH, masters[t.host]}} {
				rate, cost, err := t.measure(size, c.pid, func(command ...string) program { return c.p(t.host, command...) })
				if err != nil {
					return fmt.Errorf("%s: %w", t.name, err)
				}
				rates[k], costs[k] = append(rates[k], rate), append(costs[k], cost)
			}
		}
		r.add(row{Name: t.name, Unit: "MB/s", HigherIsBetter: true}, rates[0], rates[1])
		if costs[0][0] > 0 {
			r.add(row{Name: "  processor time of it, client and master", Unit: "s/GB"}, costs[0], costs[1])
		}
	}
	return nil
}

// measure returns the rate, and the processor time per gigabyte of the client
// and of the process that holds the connection, 0 where that is not told.
func (t transfer) measure(size int64, master int, p func(...string) program) (rate, cost float64, err error) {
	before := processorTime(master) + childrenTime()
	took, err := t.run(p, size)
	if err != nil {
		return 0, 0, err
	}
	spent := processorTime(master) + childrenTime() - before
	gb := float64(size) / 1e9
	if processorTime(master) == 0 {
		return gb * 1e3 / took.Seconds(), 0, nil
	}
	return gb * 1e3 / took.Seconds(), spent.Seconds() / gb, nil
}

func downPipe(p func(...string) program, size int64) (time.Duration, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer r.Close()
	cmd := client(p(fmt.Sprintf("head -c %d /dev/zero", size)))
	cmd.Stdout = w
	start := time.Now()
	err = cmd.Start()
	w.Close()
	if err != nil {
		return 0, err
	}
	n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{r}, make([]byte, pipeSize))
	err = errors.Join(err, cmd.Wait())
	took := time.Since(start)
	if err == nil && n != size {
		err = fmt.Errorf("%d bytes came of %d", n, size)
	}
	return took, err
}

func downNull(p func(...string) program, size int64) (time.Duration, error) {
	cmd := client(p(fmt.Sprintf("head -c %d /dev/zero", size)))
	start := time.Now()
	err := cmd.Run()
	return time.Since(start), err
}

func upPipe(p func(...string) program, size int64) (time.Duration, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	var out strings.Builder
	cmd := client(p("wc -c"))
	cmd.Stdin, cmd.Stdout = r, &out
	start := time.Now()
	err = cmd.Start()
	r.Close()
	if err != nil {
		w.Close()
		return 0, err
	}
	piece := make([]byte, pipeSize)
	for left := size; left > 0 && err == nil; left -= pipeSize {
		_, err = w.Write(piece[:min(left, pipeSize)])
	}
	w.Close()
	err = errors.Join(err, cmd.Wait())
	took := time.Since(start)
	if got := strings.TrimSpace(out.String()); err == nil && got != strconv.FormatInt(size, 10) {
		err = fmt.Errorf("%s bytes arrived of %d", got, size)
	}
	return took, err
}

func client(p program) *exec.Cmd {
	cmd := exec.Command(p.path)
	cmd.Args, cmd.Env = p.argv, p.env
	return cmd
}
