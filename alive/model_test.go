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
	cfg                terms
	last, since, floor time.Duration
	end, ask           time.Duration // if counting; if cfg.ask
	asking, doubted    bool
	asked, srtt        time.Duration
	owed, busy, dead   bool
	sent               time.Duration
}

func (m *model) counting() bool { return m.cfg.on() && (!m.cfg.asking || m.asking) }

func (m *model) restart(t time.Duration) {
	m.ask = t + m.cfg.ask
	if m.cfg.asking {
		t = max(t, m.asked)
	}
	m.end = t + m.cfg.budget()
}

// due says whether something is to happen at t: a probe, the end of an
// interval, a question, a doubt.
func (m *model) due(t time.Duration) (probe, interval, ask, doubt bool) {
	verdict := min(max(3*m.srtt+time.Second, 3*time.Second), 5*time.Second)
	return m.owed && !m.busy,
		m.counting() && t > m.end-m.cfg.budget() && (m.end-t)%m.cfg.interval == 0,
		!m.asking && m.cfg.ask > 0 && t >= m.ask,
		m.asking && !m.doubted && t == m.asked+verdict
}

func (m *model) byte(t time.Duration) {
	m.last, m.since = t, max(m.since, t)
	if !m.asking || t >= m.asked {
		m.asking, m.doubted = false, false
	}
	m.restart(max(t, m.floor))
}

func (m *model) question(t time.Duration) {
	m.asking, m.asked = true, t
	if m.cfg.asking {
		m.restart(t)
	}
}

func (m *model) resume(t time.Duration) {
	m.since, m.floor = t, t
	if m.cfg.on() || m.cfg.ask > 0 || m.asking {
		m.asking, m.asked, m.owed = true, t, true
	}
	m.restart(t)
}

func (m *model) configure(cfg Config, t time.Duration) {
	c := cfg.terms()
	if c.count == m.cfg.count {
		if c.ask != m.cfg.ask {
			m.cfg, m.ask = c, max(t, m.since+c.ask, m.floor+c.ask)
		}
		return
	}
	end := t + c.budget()
	if m.asking && m.counting() {
		start := m.since
		if c.asking {
			start = max(start, m.asked)
		}
		end = min(end, max(m.end, start+c.budget()))
	}
	m.cfg, m.floor = c, t
	m.restart(t)
	m.end = end
}

// tick is called at every grain, in order.
func (m *model) tick(t time.Duration) Verdict {
	if m.dead = m.dead || m.counting() && t >= m.end; m.dead {
		return Dead
	}
	if _, _, ask, _ := m.due(t); ask {
		m.question(t)
		m.owed = m.owed || !m.busy
	}
	switch probe, _, _, doubt := m.due(t); {
	case probe:
		if !m.asking {
			m.question(t)
		}
		m.asked, m.owed, m.busy, m.sent = t, false, true, t
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
var configs = []Config{unset, off, every(1, 0), every(1, 3), every(2, 1), every(5, 0), every(5, 1), every(5, 3), every(20, 0), every(15, 3),
	warm(unset, 2), warm(unset, 30), warm(unset, 600), cold(unset), warm(off, 7), cold(off),
	warm(every(1, 3), 0.5), warm(every(5, 0), 2), warm(every(15, 3), 4), warm(every(5, 3), 60), cold(every(5, 3))}

func checkAgainstModel(t *testing.T, r *rand.Rand, seen *[4]int) {
	cfg := configs[r.IntN(len(configs))]
	p, m := New(cfg, epoch), &model{cfg: cfg.terms()}
	m.restart(0)
	rate, length := 8+r.IntN(200), 4*time.Minute // one event in so many grains
	if r.IntN(16) == 0 {
		rate, length = 40*rate, time.Hour // the budgets of 15 min as well
	}
	for now := grain; now < length; now += grain {
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
			t.Errorf("%v from the start, with %+v: %v, want %v", now, p.terms, got, want)
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
			m.question(now)
			m.owed = true
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
		slack = min(slack, m.cfg.interval/2)
	}
	until := now + grain*time.Duration(1+r.IntN(80))
	for t := now; t < until; t += grain {
		probe, interval, ask, doubt := m.due(t)
		if !probe && !interval && !ask && !doubt {
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
