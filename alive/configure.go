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
func (p *Prober) Configure(cfg Config, now time.Time) {
	cfg = cfg.effective()
	if cfg == p.cfg {
		return
	}
	if p.late(now) {
		p.Resumed(now) // else the old end would be judged by time we slept
	}
	end := now.Add(cfg.budget())
	if p.cfg.on() && !p.asked.IsZero() {
		end = earliest(end, latest(p.end(), p.since.Add(cfg.budget())))
	}
	p.cfg, p.floor = cfg, now
	p.armUntil(end, now)
}

// end is when the budget in force is spent if no byte comes.
func (p *Prober) end() time.Time {
	return p.next.Add(time.Duration(p.cfg.CountMax-p.count) * p.cfg.Interval)
}

// armUntil lays the intervals backwards from the end, which is at most one
// budget after now.
func (p *Prober) armUntil(end, now time.Time) {
	p.arm(now)
	if !p.cfg.on() {
		return
	}
	i := p.cfg.Interval
	left := max((end.Sub(now)+i-1)/i, 1) // intervals to the end, the begun one included
	p.count = p.cfg.CountMax + 1 - int(left)
	p.next = end.Add(-(left - 1) * i)
}
