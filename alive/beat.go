package alive

import "time"

// longestBeat is how much sooner than it is due a question may be asked for
// company's sake: nobody is the worse for a fifteenth of 15 s.
const longestBeat = time.Second

// beat is the time from one beat to the next for questions that are asked after
// so much silence: a fifteenth of it, as long as that is at most a second.
func beat(ask time.Duration) time.Duration { return min(ask/15, longestBeat) }

// Align has the timer ask at a beat, the last one before the question is due, of
// those that are counted from epoch on. A process that holds many connections
// and gives all of them the same epoch asks in one go what it would else wake up
// for one by one: with a thousand idle hosts at 15 s that is most of what they
// cost. Nothing comes later than without, and what is counted until the end is
// not touched: the budget runs from the last byte, or from the question where
// nothing is counted without one.
//
// Call it at once after New. A zero epoch, and a connection that is given up
// without ever a question (CountMax 0), has none.
func (p *Prober) Align(epoch time.Time) {
	p.epoch = epoch
	p.warm(latest(p.since, p.floor))
}

// onBeat is the beat at which a question is asked that is due at the given time.
func (p *Prober) onBeat(due time.Time) time.Time {
	b, since := beat(p.terms.ask), due.Sub(p.epoch)
	if p.epoch.IsZero() || p.on() && p.countMax == 0 || b <= 0 || since < 0 {
		return due
	}
	return due.Add(-(since % b))
}
