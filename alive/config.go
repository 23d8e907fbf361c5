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
	// which a probe is sent. Zero or less is off: the timer probes never and
	// gives up never.
	Interval time.Duration

	// CountMax is ServerAliveCountMax. As ssh really counts (clientloop.c,
	// server_alive_check) and unlike what its manual says, the connection is
	// given up (CountMax+1) x Interval after the last byte; with zero or less
	// after one Interval, and then no probe was ever sent.
	CountMax int

	// Set says that the person set ServerAliveInterval. If not, Interval and
	// CountMax mean nothing: the connection is probed after 15 s of silence
	// and given up after 15 min.
	Set bool
}

// Tightest returns which of the configurations of several living requests
// holds for the connection they share: the one that gives up first and, of
// two that give up together, the one that probes first. One that was set wins
// over any that was not, and one that is on over any that was set to off. Of
// no configuration at all it is the unset one. The order does not matter.
func Tightest(cfgs ...Config) Config {
	var best Config
	for _, c := range cfgs {
		if c.tighter(best) {
			best = c
		}
	}
	return best
}

// tighter reports whether c wins over d.
func (c Config) tighter(d Config) bool {
	if !c.Set || !d.Set {
		return c.Set && !d.Set
	}
	c, d = c.effective(), d.effective()
	if !c.on() || !d.on() {
		return c.on() && !d.on()
	}
	if c.budget() != d.budget() {
		return c.budget() < d.budget()
	}
	return c.Interval < d.Interval
}

// effective returns the numbers to count by, in range and in one form, so that
// two configurations that count alike are equal.
func (c Config) effective() Config {
	if !c.Set {
		return Config{Interval: UnsetInterval, CountMax: unsetCountMax, Set: true}
	}
	if c.Interval <= 0 {
		return Config{Set: true}
	}
	c.Interval = min(c.Interval, longest)
	c.CountMax = int(min(max(int64(c.CountMax), 0), int64(longest/c.Interval)-1))
	return c
}

// on reports whether silence is counted at all.
func (c Config) on() bool { return c.Interval > 0 }

// budget is the silence that an effective configuration bears.
func (c Config) budget() time.Duration {
	return c.Interval * time.Duration(c.CountMax+1)
}
