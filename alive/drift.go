package alive

import "time"

// slept is the difference between the two clocks that means a suspend. They
// run at the same rate, so any would do; shorter ones cost no peer its
// patience, and reading one clock after the other on a machine that is being
// put to sleep must not count.
const slept = 2 * time.Second

// A Drift tells from two clocks, read at a steady pace, whether this machine
// was suspended or this process stopped. Setting the wall clock moves neither.
// The zero value judges suspends only. It is not safe for concurrent use.
type Drift struct {
	// Tick is the pace at which Observe is called. Zero or less: at none,
	// and then only suspends are seen.
	Tick time.Duration

	begun      bool
	mono, boot time.Duration // of the last call
}

// Observe takes both clocks, read together: mono, which stands still while the
// machine is suspended (CLOCK_MONOTONIC), and boot, which does not
// (CLOCK_BOOTTIME; where there is none, give mono twice). It returns for how
// long nothing ran since the last call: the suspend, if it took 2 s or more,
// and the delay of this call, if it is late by two ticks or more (a process
// that was stopped, a virtual machine that was paused). Zero is a quiet
// interval, and so is the first call. Report anything else to every
// Prober.Resumed.
func (d *Drift) Observe(mono, boot time.Duration) time.Duration {
	ran, passed := mono-d.mono, boot-d.boot
	first := !d.begun
	d.begun, d.mono, d.boot = true, mono, boot
	if first {
		return 0
	}
	var lost time.Duration
	if asleep := passed - ran; asleep >= slept {
		lost += asleep
	}
	if late := ran - d.Tick; d.Tick > 0 && late >= 2*d.Tick {
		lost += late
	}
	return lost
}
