package alive

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// epoch has a monotonic reading, as the times of the daemon have.
var epoch = time.Now()

// at is the instant that lies d after the epoch.
func at(d time.Duration) time.Time { return epoch.Add(d) }

// sec is a number of seconds.
func sec(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// An input is what happens to a Prober at a given second.
type input struct {
	s  float64
	do func(*Prober, time.Time)
}

func byteAt(s float64) input    { return input{s, (*Prober).Received} }
func sentAt(s float64) input    { return input{s, (*Prober).Sent} }
func answerAt(s float64) input  { return input{s, (*Prober).Answered} }
func suspectAt(s float64) input { return input{s, (*Prober).Suspect} }
func resumedAt(s float64) input { return input{s, (*Prober).Resumed} }

// lateByteAt reports at s a byte that was stamped earlier.
func lateByteAt(s, stamp float64) input {
	return input{s, func(p *Prober, _ time.Time) { p.Received(at(sec(stamp))) }}
}

func configureAt(s float64, c Config) input {
	return input{s, func(p *Prober, now time.Time) { p.Configure(c, now) }}
}

// stallAt keeps the owner from running between two seconds.
func stallAt(s, until float64) input {
	return input{s: s, do: func(p *Prober, _ time.Time) { panic(sec(until)) }}
}

// stalls returns until when the input stops the owner, or 0.
func (i input) stalls(p *Prober) (until time.Duration) {
	defer func() {
		if r := recover(); r != nil {
			until = r.(time.Duration)
		}
	}()
	i.do(p, at(sec(i.s)))
	return 0
}

// play owns a Prober as the daemon does: it sleeps until Deadline or an input,
// ticks, and notes every verdict but Fine with its second. It stops at Dead or
// when nothing is due before the given second. On the way it holds Deadline to
// its word: a nanosecond before it Tick does nothing.
func play(t *testing.T, p *Prober, inputs []input, until float64) string {
	t.Helper()
	var trace []string
	var running time.Duration // nothing runs before it
	for turn := 0; turn < 10000; turn++ {
		now, due := sec(until), p.Deadline()
		if !due.IsZero() {
			now = min(now, max(due.Sub(epoch), running))
		}
		if len(inputs) > 0 && sec(inputs[0].s) <= now {
			now = max(sec(inputs[0].s), running)
			running = max(running, inputs[0].stalls(p))
			inputs = inputs[1:]
			if due = p.Deadline(); due.IsZero() || now < due.Sub(epoch) || now < running {
				continue
			}
		}
		if now >= sec(until) && (due.IsZero() || due.After(at(now))) {
			return strings.Join(trace, ", ")
		}
		if early := due.Add(-1); !p.late(early) && early.After(at(now-1)) {
			before := *p
			if v := p.Tick(early); v != Fine || *p != before {
				t.Fatalf("tick 1 ns before the deadline %v: %v", due.Sub(epoch), v)
			}
		}
		if v := p.Tick(at(now)); v != Fine {
			trace = append(trace, fmt.Sprintf("%v %v", now, v))
			if v == Dead {
				return strings.Join(trace, ", ")
			}
		}
	}
	t.Fatalf("the deadline does not move: %v", trace)
	return ""
}

// A story is a run and its verdicts.
type story struct {
	name   string
	cfg    Config
	inputs []input
	until  float64
	want   string
}

func tell(t *testing.T, stories []story) {
	for _, s := range stories {
		t.Run(s.name, func(t *testing.T) {
			if got := play(t, New(s.cfg, epoch), s.inputs, s.until); got != s.want {
				t.Errorf("got  %s\nwant %s", got, s.want)
			}
		})
	}
}

// every is ServerAliveInterval s with ServerAliveCountMax n.
func every(s float64, n int) Config { return Config{Interval: sec(s), CountMax: n, Set: true} }

// warm is c with a keep-warm probe after s seconds, cold is c with none.
func warm(c Config, s float64) Config {
	c.Warm = time.Duration(min(s*float64(time.Second), 1<<62))
	return c
}

func cold(c Config) Config {
	c.Warm = NoWarm
	return c
}

var (
	unset = Config{}
	off   = Config{Set: true}
)
