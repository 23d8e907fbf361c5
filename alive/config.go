package alive

import "time"

const (
	// UnsetInterval is the silence after which a connection is probed when
	// nobody set ServerAliveInterval. A probe and its answer are about 200
	// bytes on the wire, so 15 s costs an idle connection a megabyte a day,
	// and an outage is noticed before a person has finished typing the next
	// command. Half of it would double the wakeups of a sleeping laptop
	// radio and save nobody: a request probes by itself.
	UnsetInterval = 15 * time.Second

	// unsetCountMax makes the unset budget (59+1) x 15 s = 15 min. OpenSSH
	// would wait for ever; Linux drops unacknowledged data, and with it the
	// connection, after tcp_retries2 = 15 retransmissions, about 924 s. So 15
	// minutes lose nothing that TCP would have kept, and a tunnel through
	// a mountain loses nothing at all.
	unsetCountMax = 59

	// longest bounds an interval and a whole budget: 73 years, so that no sum
	// of two of them overflows a Duration, whatever numbers were configured.
	longest = time.Duration(1) << 61
)

// Config says how long silence is borne. The zero Config is that of a person
// who set nothing.
type Config struct {
	// Interval is ServerAliveInterval of ssh_config(5): the silence after
	// which a probe is sent. Zero or less is off: it never asks for a probe
	// and nothing is ever given up.
	Interval time.Duration

	// CountMax is ServerAliveCountMax. As ssh really counts (clientloop.c,
	// server_alive_check) and unlike what its manual says, the connection is
	// given up (CountMax+1) x Interval after the last byte; with zero or less
	// after one Interval, and then Interval never asked for a probe.
	CountMax int

	// Set says that the person set ServerAliveInterval. If not, Interval and
	// CountMax mean nothing: the connection is probed after 15 s of silence,
	// or as Warm says, and given up after 15 min.
	Set bool

	// Warm is the silence after which an idle connection is probed so that no
	// NAT or firewall on the way forgets it. It is a second number beside the
	// others and moves the end of nothing. Zero is not said: then Interval
	// alone counts, or the 15 s of who set nothing. NoWarm, as any negative
	// value, is said to be none: with Interval unset the timer then sends
	// nothing, and silence counts only from a question on, which Suspect and
	// Resumed still ask. A Warm of Interval or more adds nothing.
	Warm time.Duration
}

// NoWarm is the Warm of a person who wants no probe for the sake of a NAT.
const NoWarm = time.Duration(-1)

// Tightest returns which of the configurations of several living requests
// holds for the connection they share: the one that gives up first and, of
// two that give up together, the one that probes first. One that was set wins
// over any that was not, and one that is on over any that was set to off. Of
// no configuration at all it is the unset one. The order does not matter.
//
// Warm is chosen apart from the rest, because a probe that one request needs
// harms no other: the shortest that is on, else NoWarm where one said that,
// else not said. So ask Learned of the result, and not of each.
func Tightest(cfgs ...Config) Config {
	var best Config
	var warm time.Duration
	for _, c := range cfgs {
		if c.tighter(best) {
			best = c
		}
		switch {
		case c.Warm > 0 && (warm <= 0 || c.Warm < warm):
			warm = c.Warm
		case c.Warm < 0 && warm == 0:
			warm = NoWarm
		}
	}
	best.Warm = warm
	return best
}

// Learned returns c with the keep-warm interval that was learned of the path,
// where the person left both numbers to us: any ServerAliveInterval or
// KeepWarm that was set, off and none included, is kept as it is, and nobody
// asked what was learned.
func (c Config) Learned(of func() Warmth) Config {
	if !c.Set && c.Warm == 0 {
		c.Warm = of().Interval()
	}
	return c
}

// ProbeAfter is the silence after which a connection is probed by the timer;
// zero is never.
func (c Config) ProbeAfter() time.Duration {
	t := c.terms()
	if t.interval > 0 && t.interval <= t.ask && t.countMax == 0 {
		return 0 // the end comes first
	}
	return t.ask
}

// tighter reports whether c wins over d, apart from Warm.
func (c Config) tighter(d Config) bool {
	if !c.Set || !d.Set {
		return c.Set && !d.Set
	}
	s, t := c.terms(), d.terms()
	if !s.on() || !t.on() {
		return s.on() && !t.on()
	}
	if s.budget() != t.budget() {
		return s.budget() < t.budget()
	}
	return s.interval < t.interval
}
