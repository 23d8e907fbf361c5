package alive

import "time"

// Configure puts other values in force on a connection that is already up:
// the Tightest of the requests that live now. Values that count as the old
// ones did change nothing, so it may be called for every request.
//
// No interval is counted before somebody asked for it, so the new budget
// starts now, and not at a last byte that may be minutes old. But while
// a question is open the change may not put the end off either: requests that
// come and go with values of their own would keep a dead connection for ever.
// So the end is then the sooner of
//   - the new budget from now, and
//   - the later of the end that was near already and the end that the new
//     values would have set, had they held for the whole silence;
//
// tightening therefore never gains a dead connection time, and loosening gives
// exactly what the looser values promise.
//
// Another Warm alone moves no end. The next question then comes after that
// much silence, of which what passed counts: a keep-warm probe too early costs
// nothing, and one too late the connection.
func (p *Prober) Configure(cfg Config, now time.Time) {
	t := cfg.terms()
	if t == p.terms {
		return
	}
	if p.late(now) {
		p.Resumed(now) // else the old end would be judged by time we slept
	}
	if t.count == p.terms.count {
		p.terms = t
		p.warm(latest(p.since, p.floor))
		if reached(p.askAt, now) {
			p.askAt = now // it was not due before: a tick at now is on time
		}
		return
	}
	end := now.Add(t.budget())
	if !p.next.IsZero() && !p.asked.IsZero() {
		start := p.since
		if t.asking {
			start = latest(start, p.asked)
		}
		end = earliest(end, latest(p.end(), start.Add(t.budget())))
	}
	p.terms, p.floor = t, now
	p.armUntil(end, now)
}

// end is when the budget in force is spent if no byte comes.
func (p *Prober) end() time.Time {
	return p.next.Add(time.Duration(p.countMax-p.counted) * p.interval)
}

// armUntil lays the intervals backwards from the end, which is at most one
// budget after now.
func (p *Prober) armUntil(end, now time.Time) {
	p.arm(now)
	if p.next.IsZero() {
		return
	}
	i := p.interval
	left := max((end.Sub(now)+i-1)/i, 1) // intervals to the end, the begun one included
	p.counted = p.countMax + 1 - int(left)
	p.next = end.Add(-(left - 1) * i)
}
