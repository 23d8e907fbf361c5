package alive

import "time"

const (
	// shortVerdict is how long a probe may stay unanswered before the
	// connection is doubted. Linux repeats a lost segment after 0.2 s at the
	// soonest and doubles the pause, at 0.2, 0.6 and 1.4 s: within 3 s a fast
	// path carried the probe four times, so that loss alone seldom explains
	// the silence.
	shortVerdict = 3 * time.Second

	// longVerdict is as much as a measured round trip can stretch that: a
	// person who typed a command is looking at the terminal all the while.
	longVerdict = 5 * time.Second

	// maxSlack is how late a tick may be before it is taken for a stall of
	// this process, in which nothing was read either. Timers of a loaded
	// machine are late by milliseconds, at the worst by some hundred; 2 s late
	// was stopped, swapped out or paused with its virtual machine. Against
	// intervals of 15 s a delay below it changes no verdict.
	maxSlack = 2 * time.Second
)

// A Verdict is what Tick advises.
type Verdict int

const (
	// Fine asks for nothing.
	Fine Verdict = iota
	// Probe asks for one keepalive@openssh.com, with a reply wanted. Until
	// Answered none is asked for again.
	Probe
	// Doubt says that a probe is unanswered past the short verdict. It may
	// cost a dial beside this connection, never the connection. It is given
	// once, until a byte comes.
	Doubt
	// Dead says that the whole budget is spent. It is final.
	Dead
)

// String returns the verdict in lower case, for logs.
func (v Verdict) String() string {
	switch v {
	case Fine:
		return "fine"
	case Probe:
		return "probe"
	case Doubt:
		return "doubt"
	case Dead:
		return "dead"
	}
	return "unknown verdict"
}

// verdict is how long the probe may stay unanswered: 3 x SRTT + 1 s within
// its bounds, the lower one while no round trip was measured.
func (p *Prober) verdict() time.Duration {
	return min(max(3*p.srtt+time.Second, shortVerdict), longVerdict)
}

// measure smooths a round trip into srtt with the eighth of RFC 6298. A sample
// counts for at most longVerdict: the one that an outage delayed by a minute
// says little about the path, and cut to 5 s it leaves the verdict where it
// was, while a path that always takes so long still reaches the upper bound.
func (p *Prober) measure(rtt time.Duration) {
	rtt = min(max(rtt, 0), longVerdict)
	if p.srtt == 0 {
		p.srtt = rtt
		return
	}
	p.srtt += (rtt - p.srtt) / 8
}

// slack is how late a tick may be before it is a stall: with short intervals
// half of one, because a stall hides answers. Interval 1 and CountMax 1 leave
// a probe 1 s, and a process that slept through 2 s more would condemn
// a peer whose answer lies in the socket's buffer.
func (p *Prober) slack() time.Duration {
	if !p.on() {
		return maxSlack
	}
	return min(p.interval/2, maxSlack)
}
