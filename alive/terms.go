package alive

import "time"

// terms are the numbers to count by, in range and in one form: configurations
// that count alike are equal as terms.
type terms struct {
	count
	ask time.Duration // silence after which a question is asked; 0: by no timer
}

// A count is what a silence is measured with until the connection is given up.
type count struct {
	interval time.Duration // 0: nothing is counted
	countMax int

	// asking: intervals are counted from a question and not from the last
	// byte. An unset ServerAliveInterval is counted so where no timer asks,
	// or asks so late that the peer would have less than half the budget to
	// answer: its connections may be silent for as long as they like, and
	// nobody condemns for a silence in which nothing was asked. A question
	// that a person's request or a wake brought still gives up after 15 min.
	asking bool
}

// terms returns the numbers to count by.
func (c Config) terms() terms {
	warm := min(max(c.Warm, 0), longest) // 0: not said, or none
	if !c.Set {
		t := terms{count{interval: UnsetInterval, countMax: unsetCountMax}, warm}
		if c.Warm == 0 {
			t.ask = UnsetInterval
		}
		t.asking = t.ask == 0 || t.ask > t.budget()/2
		return t
	}
	if c.Interval <= 0 {
		return terms{ask: warm}
	}
	t := terms{count: count{interval: min(c.Interval, longest)}}
	t.countMax = int(min(max(int64(c.CountMax), 0), int64(longest/t.interval)-1))
	t.ask = t.interval
	if warm > 0 {
		t.ask = min(t.ask, warm)
	}
	return t
}

// on reports whether silence is ever counted.
func (c count) on() bool { return c.interval > 0 }

// budget is the silence that is borne.
func (c count) budget() time.Duration {
	return c.interval * time.Duration(c.countMax+1)
}
