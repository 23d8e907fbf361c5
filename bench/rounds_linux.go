package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

const (
	// roundHosts is how many hosts of each kind meet the same outage. Each has
	// its own moment at which it was last heard of and at which a client comes.
	roundHosts = 5
	// An outage lasts between shortest and twice as long less a little, drawn
	// anew: a fixed one could lie well to somebody's timers.
	shortest, drawn = 15 * time.Second, 10 * time.Second
	// backLimit is how long after the outage is waited for the last one.
	backLimit = 90 * time.Second
	// healthy is how long all is well before the next one: after that neither
	// muxd nor autossh remembers the last.
	healthy = 35 * time.Second
	// arrival is the time behind the cut within which a client comes.
	arrival = 5 * time.Second
)

// outages measures what befalls hosts of every kind in the same outages.
func outages(f *farm, r *section, o options) error {
	t := &told{}
	defer f.stopMuxd()
	keepers, err := f.hold(t)
	defer func() { dismiss(keepers) }()
	if err != nil {
		return err
	}
	c, err := f.follow()
	if err != nil {
		return err
	}
	defer c.stop()
	for n := range o.rounds {
		time.Sleep(healthy + rand.N(5*time.Second))
		fmt.Fprintf(os.Stderr, "  outage %d of %d …\n", n+1, o.rounds)
		if err := f.outage(c, t); err != nil {
			return err
		}
	}
	t.add(r)
	return nil
}

// told is what the rounds found, in seconds.
type told struct {
	readyWait, readyLoop     []float64 // from heal, a client at it
	readyPinned, readyKeeper []float64 // from heal, nobody
	deadIdle, exitIdle       []float64 // from cut
	doubtClient, hungClient  []float64 // from the client's start
	hungPlain                []float64 // from the client's start
	autossh                  bool
}

func (t *told) add(r *section) {
	r.add(row{Name: "cut to given up, nobody there", Unit: "s"}, t.deadIdle, t.exitIdle)
	r.add(row{Name: "a client comes: to the verdict : ssh -S hangs for", Unit: "s"}, t.doubtClient, t.hungClient)
	r.add(row{Name: "  ssh -S without ServerAliveInterval hangs for", Unit: "s"}, nil, t.hungPlain)
	r.add(row{Name: "heal to ready, a client waits : ssh in a loop", Unit: "s"}, t.readyWait, t.readyLoop)
	name := "heal to ready, nobody waits: Pinned : autossh"
	if !t.autossh {
		name += " (not installed)"
	}
	r.add(row{Name: name, Unit: "s"}, t.readyPinned, t.readyKeeper)
}

// hold makes every connection, and returns the autosshes.
func (f *farm) hold(t *told) ([]*exec.Cmd, error) {
	for _, name := range append(numbered(waited, roundHosts), numbered(pinned, roundHosts)...) {
		if _, err := output(f.muxc(name, nothing)); err != nil {
			return nil, err
		}
	}
	for _, name := range append(numbered(mastered, roundHosts), numbered(plain, roundHosts)...) {
		if err := f.discard(f.autoSSH(name, nothing)); err != nil {
			return nil, err
		}
	}
	path, err := exec.LookPath("autossh")
	if t.autossh = err == nil; !t.autossh {
		return nil, nil
	}
	return f.keep(path, numbered(restored, roundHosts))
}

// keep starts an autossh for each name and waits until all have logged in.
func (f *farm) keep(path string, names []string) ([]*exec.Cmd, error) {
	began := time.Now()
	var keepers []*exec.Cmd
	for _, name := range names {
		k, err := started(f.program(path, "-M", "0", "-F", f.conf, "-S", f.controlPath(name), "-o", "ControlMaster=yes", "-N", name), nil)
		if err != nil {
			return keepers, err
		}
		keepers = append(keepers, k)
	}
	for i, at := range await(names, backLimit, func(name string) time.Time { return f.login(name, began) }) {
		if at.IsZero() {
			return keepers, fmt.Errorf("autossh does not reach %s", names[i])
		}
	}
	return keepers, nil
}

// outage is one round: packets vanish, clients come, packets pass again, and
// everything comes back.
func (f *farm) outage(c *changes, t *told) error {
	masters := map[string]int{}
	for _, name := range numbered(restored, roundHosts) {
		masters[name] = f.master(name)
	}
	f.scatter(t)
	cut, err := f.cut()
	if err != nil {
		return err
	}
	v := &visits{farm: f, healed: make(chan struct{})}
	v.all()
	exits := make(chan []time.Time)
	go func() { exits <- awaitExit(masters, cut.Add(shortest)) }()
	time.Sleep(shortest + rand.N(drawn))
	heal, err := f.heal()
	if err != nil {
		return err
	}
	v.heal = heal
	close(v.healed)
	t.exitIdle = append(t.exitIdle, since(cut, <-exits)...)
	idle := numbered(pinned, roundHosts)
	back := await(idle, backLimit, func(name string) time.Time { return c.first("host", name, "ready", heal) })
	t.readyPinned = append(t.readyPinned, since(heal, back)...)
	if t.autossh {
		back = await(numbered(restored, roundHosts), backLimit, func(name string) time.Time { return f.login(name, heal) })
		t.readyKeeper = append(t.readyKeeper, since(heal, back)...)
	}
	dead := await(idle, 0, func(name string) time.Time { return c.first("link", name, "dead", cut) })
	t.deadIdle = append(t.deadIdle, since(cut, dead)...)
	if err := v.wait(); err != nil {
		return err
	}
	t.readyWait = append(t.readyWait, v.waited...)
	t.readyLoop = append(t.readyLoop, v.looped...)
	t.hungClient = append(t.hungClient, v.hung...)
	t.hungPlain = append(t.hungPlain, v.plain...)
	for name, came := range v.came {
		t.doubtClient = append(t.doubtClient, since(came, []time.Time{c.first("link", name, "suspect", cut)})...)
	}
	return nil
}

// scatter has each host heard of at a moment of its own within the last
// interval of probes. Those that came back from the same outage would otherwise
// have their timers in step.
func (f *farm) scatter(t *told) {
	const interval = 5 * time.Second
	var wg sync.WaitGroup
	for i := range roundHosts {
		for _, kind := range []string{waited, pinned, mastered, plain, restored} {
			p := f.muxSSH
			if kind == waited || kind == pinned {
				p = f.muxc
			} else if kind == restored && !t.autossh {
				continue
			}
			wg.Go(func() {
				time.Sleep(rand.N(interval))
				f.discard(p(numbered(kind, roundHosts)[i], nothing))
			})
		}
	}
	wg.Wait()
}

// visits are the clients of one outage.
type visits struct {
	*farm
	healed chan struct{} // closed once heal is set
	heal   time.Time

	wg                          sync.WaitGroup
	mu                          sync.Mutex
	errs                        []error              // guarded by mu
	came                        map[string]time.Time // guarded by mu
	waited, looped, hung, plain []float64            // guarded by mu
}

// all sends a client to each host, at a moment of its own.
func (v *visits) all() {
	v.came = map[string]time.Time{}
	for i := range roundHosts {
		at := rand.N(arrival) // the same for each kind
		name := func(kind string) string { return numbered(kind, roundHosts)[i] }
		v.wg.Go(func() { time.Sleep(at); v.patient(name(waited)) })
		v.wg.Go(func() { time.Sleep(at); v.loop(name(mastered)) })
		v.wg.Go(func() { time.Sleep(at); v.hangs(name(plain)) })
	}
}

func (v *visits) wait() error {
	v.wg.Wait()
	return errors.Join(v.errs...)
}

func (v *visits) note(list *[]float64, d time.Duration, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if err != nil {
		v.errs = append(v.errs, err)
		return
	}
	*list = append(*list, d.Seconds())
}

// patient is a muxc that waits for its connection.
func (v *visits) patient(name string) {
	v.mu.Lock()
	v.came[name] = time.Now()
	v.mu.Unlock()
	_, err := output(v.muxc(name, nothing))
	end := time.Now()
	<-v.healed
	v.note(&v.waited, end.Sub(v.heal), err)
}

// loop is what a script does that must get through with ssh: try until it
// works, and make a new master if there is none.
func (v *visits) loop(name string) {
	came := time.Now()
	err := v.discard(v.muxSSH(name, nothing))
	end := time.Now()
	v.note(&v.hung, end.Sub(came), nil)
	for err != nil {
		time.Sleep(time.Second)
		err = v.discard(v.autoSSH(name, nothing))
		end = time.Now()
	}
	// The connection that ssh -S makes by itself in the end may outlast the
	// outage, too.
	if <-v.healed; end.Before(v.heal) {
		err = fmt.Errorf("ssh to %s worked in an outage", name)
	}
	v.note(&v.looped, end.Sub(v.heal), err)
}

// hangs is ssh -S to a master that never asks whether its server lives.
func (v *visits) hangs(name string) {
	came := time.Now()
	v.discard(v.muxSSH(name, nothing)) // whatever it says
	v.note(&v.plain, time.Since(came), nil)
}

// master is the process that serves a host's control path, 0 for none.
func (f *farm) master(name string) int { return f.masterAt(f.controlPath(name)) }

// awaitExit returns when each process ended, of those that ended in time.
func awaitExit(pids map[string]int, limit time.Time) []time.Time {
	var ended []time.Time
	for ; len(pids) > 0 && time.Now().Before(limit); time.Sleep(20 * time.Millisecond) {
		for name, pid := range pids {
			if !alive(pid) {
				ended = append(ended, time.Now())
				delete(pids, name)
			}
		}
	}
	return ended
}

// alive reports a process that runs; one that only waits for its parent does
// not.
func alive(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(b), ") Z ")
}
