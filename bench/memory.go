package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// noPSS is what a row of memory says where it cannot be had.
const noPSS = "only Linux says what a process holds (smaps_rollup)"

// memory measures what is held for one connection and for twenty, idle, and for
// many sessions on one.
func memory(l *lab, r *section, o options) error {
	if runtime.GOOS != "linux" {
		r.miss("1 connection", "MiB", noPSS)
		r.miss(fmt.Sprintf("%d connections", aliases), "MiB", noPSS)
		r.miss(fmt.Sprintf("%d sessions", seated), "MiB", noPSS)
		return nil
	}
	for _, n := range []int{1, o.upTo(aliases)} {
		if err := l.memoryRow(r, n, o); err != nil {
			return err
		}
	}
	l.endAll()
	return l.seats(r, o)
}

func (l *lab) memoryRow(r *section, n int, o options) error {
	pids, err := l.connectAll(n)
	if err != nil {
		return err
	}
	time.Sleep(o.settle)
	muxd, err := l.muxdPID()
	if err != nil {
		return err
	}
	ours, err := pss(muxd)
	if err != nil {
		return err
	}
	theirs, err := pss(pids...)
	if err != nil {
		return err
	}
	name := "1 connection"
	if n != 1 {
		name = fmt.Sprintf("%d connections", n)
	}
	r.add(row{Name: name, Unit: "MiB", Chart: true}, []float64{ours}, []float64{theirs})
	for i := range n {
		l.stopMaster(alias(i))
	}
	if n == 1 {
		return nil
	}
	name += " : as many of autossh and its ssh"
	path, err := exec.LookPath("autossh")
	if err != nil {
		r.miss(name, "MiB", noAutossh)
		return nil
	}
	theirs, err = l.autosshMemory(path, n, o)
	if err == nil {
		r.add(row{Name: name, Unit: "MiB"}, []float64{ours}, []float64{theirs})
	}
	return err
}

// connectAll makes n connections of each kind and returns the masters' pids.
func (l *lab) connectAll(n int) ([]int, error) {
	var pids []int
	for i := range n {
		if _, err := output(l.muxc(alias(i), "true")); err != nil {
			return nil, err
		}
		pid, err := l.startMaster(alias(i))
		if err != nil {
			return nil, err
		}
		pids = append(pids, pid)
	}
	return pids, nil
}

// autosshMemory is that of autosshes and of the masters that they keep.
func (l *lab) autosshMemory(path string, n int, o options) (float64, error) {
	var keepers []*exec.Cmd
	defer func() { dismiss(keepers) }()
	var pids []int
	for i := range n {
		k, err := started(l.program(path, "-M", "0", "-F", l.conf, "-S", l.controlPath(alias(i)), "-o", "ControlMaster=yes", "-N", alias(i)), nil)
		if err != nil {
			return 0, err
		}
		keepers = append(keepers, k)
		pids = append(pids, k.Process.Pid)
	}
	for i := range n {
		master := 0
		for end := time.Now().Add(patience); master == 0; time.Sleep(20 * time.Millisecond) {
			if time.Now().After(end) {
				return 0, fmt.Errorf("autossh does not reach %s", alias(i))
			}
			master = l.masterAt(l.controlPath(alias(i)))
		}
		pids = append(pids, master)
	}
	time.Sleep(o.settle)
	return pss(pids...)
}

// dismiss ends autosshes and with them their ssh.
func dismiss(keepers []*exec.Cmd) {
	for _, k := range keepers {
		k.Process.Signal(syscall.SIGTERM)
		k.Wait()
	}
}

// seated is how many sessions are open at once on one connection, or on as many
// as their holder thinks right.
const seated = 200

// seats measures many idle sessions, the clients included: which part of a
// session lives in the client and which in the holder is the program's affair.
// The two sides come one after the other, since many processes of one program
// make each of them cheaper.
func (l *lab) seats(r *section, o options) error {
	n := o.upTo(seated)
	var all, holders [2]float64
	master, err := l.startMaster(many)
	if err != nil {
		return err
	}
	for k, p := range []program{l.muxc(many, "echo; exec sleep 1000"), l.muxSSH(many, "echo; exec sleep 1000")} {
		holder, err := l.holder(k == 0, master)
		if err != nil {
			return err
		}
		if all[k], holders[k], err = seat(p, n, holder, o); err != nil {
			return err
		}
	}
	name := fmt.Sprintf("%d sessions, clients and holder", n)
	r.add(row{Name: name, Unit: "MiB", Chart: true}, all[:1], all[1:])
	r.add(row{Name: "– the holder of it", Unit: "MiB"}, holders[:1], holders[1:])
	return nil
}

// holder is the process that holds a side's connection to many.
func (l *lab) holder(ours bool, master int) (int, error) {
	if !ours {
		return master, nil
	}
	if _, err := output(l.muxc(many, "true")); err != nil {
		return 0, err
	}
	return l.muxdPID()
}

// seat opens n sessions and returns what all processes hold, and the holder.
func seat(p program, n, holder int, o options) (all, own float64, err error) {
	pids := []int{holder}
	for range n {
		cmd := client(p)
		said, err := cmd.StdoutPipe()
		if err != nil {
			return 0, 0, err
		}
		if err := cmd.Start(); err != nil {
			return 0, 0, err
		}
		defer cmd.Wait()
		defer cmd.Process.Kill()
		if _, err := said.Read(make([]byte, 1)); err != nil {
			return 0, 0, fmt.Errorf("%s: %w", p, err)
		}
		pids = append(pids, cmd.Process.Pid)
	}
	time.Sleep(o.settle)
	all, err = pss(pids...)
	own, err2 := pss(holder)
	return all, own, errors.Join(err, err2)
}

// pss is the proportional set size of processes in MiB: their own pages, and
// their share of those they have in common with others. The sum over processes
// is what they take together, so many small ones are not charged for one library
// many times.
func pss(pids ...int) (sum float64, err error) {
	for _, pid := range pids {
		one, err := pssOf(pid)
		if err != nil {
			return 0, err
		}
		sum += one
	}
	return sum, nil
}

func pssOf(pid int) (float64, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if value, ok := strings.CutPrefix(s.Text(), "Pss:"); ok {
			kb, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(value), " kB"))
			return float64(kb) / 1024, err
		}
	}
	return 0, fmt.Errorf("no Pss in %s", f.Name())
}

// started is a program with its output thrown away, or given to out.
func started(p program, out io.Writer) (*exec.Cmd, error) {
	cmd := client(p)
	cmd.Stdout = out
	return cmd, cmd.Start()
}
