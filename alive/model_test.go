package alive

import (
	"math/rand/v2"
	"testing"
	"time"
)

// grain is the step of the model's time: it divides every interval used.
const grain = 250 * time.Millisecond

// A model says the same as Prober in another way: one absolute end, looked at
// again at every grain, with no deadline and no count of intervals.
type model struct {
	cfg                Config // effective
	last, since, floor time.Duration
	end                time.Duration
	asking, doubted    bool
	asked, srtt        time.Duration
	owed, busy, dead   bool
	sent               time.Duration
}

func (m *model) restart(t time.Duration) { m.end = t + m.cfg.budget() }

// due says whether something is to happen at t: a probe, the end of an
// interval, a doubt.
func (m *model) due(t time.Duration) (probe, interval, doubt bool) {
	verdict := min(max(3*m.srtt+time.Second, 3*time.Second), 5*time.Second)
	return m.owed && !m.busy,
		m.cfg.on() && t > m.end-m.cfg.budget() && (m.end-t)%m.cfg.Interval == 0,
		m.asking && !m.doubted && t == m.asked+verdict
}

func (m *model) byte(t time.Duration) {
	m.last, m.since = t, max(m.since, t)
	m.restart(max(t, m.floor))
	if !m.asking || t >= m.asked {
		m.asking, m.doubted = false, false
	}
}

func (m *model) resume(t time.Duration) {
	m.since, m.floor = t, t
	m.restart(t)
	if m.cfg.on() || m.asking {
		m.asking, m.asked, m.owed = true, t, true
	}
}

func (m *model) configure(c Config, t time.Duration) {
	if c = c.effective(); c == m.cfg {
		return
	}
	end := t + c.budget()
	if m.asking && m.cfg.on() {
		end = min(end, max(m.end, m.since+c.budget()))
	}
	m.cfg, m.floor, m.end = c, t, end
}

// tick is called at every grain, in order.
func (m *model) tick(t time.Duration) Verdict {
	_, interval, _ := m.due(t)
	if m.dead = m.dead || interval && t >= m.end; m.dead {
		return Dead
	}
	if interval && !m.asking {
		m.asking, m.asked, m.owed = true, t, m.owed || !m.busy
	}
	switch probe, _, doubt := m.due(t); {
	case probe:
		m.asking, m.asked, m.owed, m.busy, m.sent = true, t, false, true, t
		return Probe
	case doubt:
		m.doubted = true
		return Doubt
	}
	return Fine
}

// Random events in virtual time: at each grain the Prober, which is asked only
// when its Deadline has come, and the model, which is asked always, agree.
func TestProberAgreesWithModel(t *testing.T) {
	var seen [4]int
	for seed := range uint64(4000) {
		checkAgainstModel(t, rand.New(rand.NewPCG(seed, 1)), &seen)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	for v, n := range seen {
		if n < 1000 {
			t.Errorf("only %d times %v: the events no longer reach it", n, Verdict(v))
		}
	}
}

func FuzzProber(f *testing.F) {
	f.Add(uint64(1), uint64(2))
	f.Add(uint64(3), uint64(1<<63))
	f.Fuzz(func(t *testing.T, a, b uint64) {
		checkAgainstModel(t, rand.New(rand.NewPCG(a, b)), new([4]int))
	})
}

// configs are what requests ask for; two bear the same silence.
var configs = []Config{unset, off, every(1, 0), every(1, 3), every(2, 1), every(5, 0), every(5, 1), every(5, 3), every(20, 0), every(15, 3)}

func checkAgainstModel(t *testing.T, r *rand.Rand, seen *[4]int) {
	cfg := configs[r.IntN(len(configs))]
	p, m := New(cfg, epoch), &model{cfg: cfg.effective()}
	m.restart(0)
	rate := 8 + r.IntN(200) // one event in so many grains
	for now := grain; now < 4*time.Minute; now += grain {
		if r.IntN(rate) == 0 {
			now = event(r, p, m, now)
		}
		got := Fine
		if reached(p.Deadline(), at(now)) || p.dead {
			got = p.Tick(at(now))
		}
		want := m.tick(now)
		seen[want]++
		if got != want {
			t.Errorf("%v from the start, with %v: %v, want %v", now, p.cfg, got, want)
			return
		}
		if got == Dead {
			return
		}
	}
}

// event lets one thing happen to both; it returns now, later after a stall.
func event(r *rand.Rand, p *Prober, m *model, now time.Duration) time.Duration {
	switch r.IntN(7) {
	case 0, 1: // a byte, reported at once or a little later
		stamp := now - grain*time.Duration(r.IntN(3))
		if p.Received(at(stamp)); stamp > m.last {
			m.byte(stamp)
		}
	case 2: // the answer, if one is awaited
		p.Received(at(now))
		p.Answered(at(now))
		if now > m.last {
			m.byte(now)
		}
		if m.busy {
			rtt := min(now-m.sent, 5*time.Second)
			if m.srtt == 0 {
				m.srtt = rtt
			} else {
				m.srtt += (rtt - m.srtt) / 8
			}
			m.srtt = m.srtt.Truncate(grain)
			p.srtt = m.srtt // whole grains, so that the model meets the doubt
			m.busy = false
		}
	case 3:
		if p.Suspect(at(now)); !m.asking {
			m.asking, m.asked, m.owed = true, now, true
		}
	case 4:
		p.Resumed(at(now))
		m.resume(now)
	case 5:
		c := configs[r.IntN(len(configs))]
		p.Configure(c, at(now))
		m.configure(c, now)
	case 6: // nothing runs for a while
		return stall(r, m, now)
	}
	return now
}

// stall lets time pass. A delay that costs something due more than the slack is
// a fresh start; a shorter one is cut short at what is due.
func stall(r *rand.Rand, m *model, now time.Duration) time.Duration {
	slack := 2 * time.Second
	if m.cfg.on() {
		slack = min(slack, m.cfg.Interval/2)
	}
	until := now + grain*time.Duration(1+r.IntN(80))
	for t := now; t < until; t += grain {
		probe, interval, doubt := m.due(t)
		if !probe && !interval && !doubt {
			continue
		}
		if until-t > slack {
			m.resume(until)
			return until
		}
		return t // lateness below the slack is in the tables
	}
	return until
}
