package alive

import "time"

// A Prober watches the silence of one connection, from its login to its end;
// like the connection it is never revived. It is not safe for concurrent use:
// the goroutine that owns the connection's state owns it.
//
// The owner sleeps until Deadline or an event. Then it reports the event and
// the newest byte (Received), calls Tick, does what that advises, and begins
// again. Times must not run backwards from call to call, Received's excepted.
//
//	 silence of one Interval or of Warm, Suspect, Resumed
//	quiet ───────────────────────────────────► asked ──short verdict──► doubted
//	  ▲                                          │                        │
//	  └────────── a byte since the question ─────┴────────────────────────┘
//	any ──(CountMax+1) x Interval of silence──► dead
type Prober struct {
	terms // in force

	epoch time.Time // of the beat, see Align; zero: there is none
	last  time.Time // stamp of the newest byte
	since time.Time // begin of the watched silence: last, or the end of a later stall
	floor time.Time // no interval is counted from before it: stall or Configure

	counted int       // complete intervals of silence
	next    time.Time // when the next one is complete; zero: none is counted
	askAt   time.Time // when the timer asks, if no question is open; zero: never

	asked   time.Time // since when a question waits for a byte; zero: none does
	doubted bool      // Doubt was given, and no byte came since
	owed    time.Time // since when a probe is due; zero: none is
	wire    time.Time // when the unanswered probe was sent; zero: there is none

	srtt time.Duration // smoothed round trip of probes; 0: unknown
	dead bool
}

// New returns the Prober of a connection that has just logged in.
func New(cfg Config, now time.Time) *Prober {
	p := &Prober{terms: cfg.terms(), last: now, since: now, floor: now}
	p.arm(now)
	return p
}

// Received reports when the newest byte came: the stamp that the reader made
// before it parsed anything, so that a slow consumer never looks like a dead
// peer. Any byte resets the count. An old stamp is ignored, so it may be
// called at every turn of a loop. A stamp from before Suspect or Resumed
// resets the count but does not answer them.
func (p *Prober) Received(last time.Time) {
	if last.After(p.last) {
		p.heard(last)
	}
}

// Sent reports that a probe is being handed to the transport. Tick has counted
// the probe from the moment it asked for it, because one that cannot be handed
// over is as unanswered as one that was; Sent makes the measured round trip
// exact, and keeps Tick from asking for a second probe when the caller sends
// one of its own accord. It is never a sign of life.
func (p *Prober) Sent(now time.Time) {
	p.wire = now
	if !p.owed.IsZero() && !now.Before(p.owed) {
		p.owed = time.Time{}
		if p.asked.IsZero() { // a byte came while it was owed
			p.question(now)
		}
		p.asked = now
	}
}

// Answered reports the answer to the probe, be it success or failure, but not
// the error of a connection that ended. It is needed beside Received for two
// things that a stamp cannot tell: the wire is free for the next probe, which
// no other byte says, and the round trip's length. As a sign of life it is
// worth a byte received when the probe was sent.
func (p *Prober) Answered(now time.Time) {
	if p.wire.IsZero() {
		return
	}
	p.measure(now.Sub(p.wire))
	if !p.wire.Before(p.last) {
		p.heard(p.wire)
	}
	p.wire = time.Time{}
	if !p.owed.IsZero() {
		p.owed = now // it waited for the wire, not for us: that is no stall
	}
}

// Suspect reports that somebody doubts the connection: a request met a silent
// one, the network changed. A probe is due at once, or when the one on the
// wire is answered, and the short verdict runs from now. It shortens no
// budget, and where a question is open already it changes nothing.
//
// It probes even where ServerAliveInterval is 0, so suspect such a connection
// only for a request, which sends bytes anyway: a probe is unacknowledged data,
// and after a quarter of an hour of outage TCP drops for its sake the idle
// connection that 0 was meant to keep.
func (p *Prober) Suspect(now time.Time) {
	if p.asked.IsZero() {
		p.question(now)
		p.owed = now
	}
}

// Resumed reports that this machine or process was asleep until now (see
// Drift; a late Tick finds out by itself). Every budget starts again and
// a probe is due at once, because what came in meanwhile is still unread and
// what is dead shall be known soon. With ServerAliveInterval 0 and no Warm only
// an open question starts again.
func (p *Prober) Resumed(now time.Time) {
	p.since, p.floor = now, now
	if p.on() || p.terms.ask > 0 || !p.asked.IsZero() {
		p.asked, p.owed = now, now
	}
	p.arm(now)
}

// Tick advances to now. Called before Deadline it does nothing and says Fine.
// Called far behind it (2 s, with intervals below 4 s half of one) it means
// that this process did not run: then nobody is condemned, and it is Resumed.
func (p *Prober) Tick(now time.Time) Verdict {
	switch {
	case p.dead:
		return Dead
	case p.late(now):
		p.Resumed(now)
	default:
		p.timers(now)
	}
	return p.advise(now)
}

// Deadline returns when Tick is next worth calling; zero is never. Every other
// method may move it, so it is read anew after each.
func (p *Prober) Deadline() time.Time {
	if p.dead {
		return time.Time{}
	}
	d := p.next
	if p.asked.IsZero() {
		d = earliest(d, p.askAt)
	}
	if p.wire.IsZero() {
		d = earliest(d, p.owed)
	}
	return earliest(d, p.doubtAt())
}

// timers counts an interval of silence and asks, as either is due. The next
// interval is counted from now and not from when this one was due: a probe
// that a busy machine sent late must not be judged early.
func (p *Prober) timers(now time.Time) {
	if reached(p.next, now) {
		p.counted++
		p.begin(now)
		if p.counted > p.countMax {
			p.dead = true
			return
		}
	}
	if !p.asked.IsZero() || !reached(p.askAt, now) {
		return
	}
	p.question(now)
	// A probe left on the wire from an earlier silence asks as well as
	// a new one would, and longer: the peer answers in order.
	if p.wire.IsZero() {
		p.owed = now
	}
}

// question opens one. Where nothing is counted without one, the whole budget
// starts here.
func (p *Prober) question(now time.Time) {
	p.asked = now
	if p.asking {
		p.arm(now)
	}
}

// advise turns the state into a verdict.
func (p *Prober) advise(now time.Time) Verdict {
	switch {
	case p.dead:
		return Dead
	case !p.owed.IsZero() && p.wire.IsZero():
		p.Sent(now)
		return Probe
	case reached(p.doubtAt(), now):
		p.doubted = true
		return Doubt
	}
	return Fine
}

// heard takes note of a byte that came at the given time, which is not before
// the newest known one. A byte from before the question leaves it open: it
// tells nothing of the network that changed since. A probe that is owed stays
// owed even if the byte came later, because after a sleep it may have lain in
// the socket's buffer all night.
func (p *Prober) heard(at time.Time) {
	p.last = at
	p.since = latest(p.since, at)
	if !at.Before(p.asked) {
		p.asked, p.doubted = time.Time{}, false
	}
	p.arm(latest(p.floor, at))
}

// late reports whether a tick at now shows a stall of our own.
func (p *Prober) late(now time.Time) bool {
	d := p.Deadline()
	return !d.IsZero() && now.Sub(d) > p.slack()
}

// doubtAt is when the open question becomes a doubt; zero is never.
func (p *Prober) doubtAt() time.Time {
	if p.asked.IsZero() || p.doubted {
		return time.Time{}
	}
	return p.asked.Add(p.verdict())
}

// arm starts the whole budget, and the silence after which the timer asks, at
// the given time.
func (p *Prober) arm(from time.Time) {
	p.counted = 0
	p.begin(from)
	p.warm(from)
}

// begin starts one interval at the given time, or at the question that came
// later; without one only where a silence counts by itself.
func (p *Prober) begin(from time.Time) {
	p.next = time.Time{}
	if p.asking {
		if p.asked.IsZero() {
			return
		}
		from = latest(from, p.asked)
	}
	if p.on() {
		p.next = from.Add(p.interval)
	}
}

// warm starts the silence after which the timer asks.
func (p *Prober) warm(from time.Time) {
	p.askAt = time.Time{}
	if p.terms.ask > 0 {
		p.askAt = p.onBeat(from.Add(p.terms.ask))
	}
}

// reached reports whether now is at or past t, where zero is never.
func reached(t, now time.Time) bool { return !t.IsZero() && !now.Before(t) }

// earliest returns the earlier of two times, where zero is never.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// latest returns the later of two times.
func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
