// Package alive decides, given the time, when a silent connection is to be
// probed, when it is to be doubted and when it is to be given up (Prober),
// when the next attempt at a lost one may start (Backoff), how long a path
// lets a connection be silent (Warmth), and whether this machine has been
// asleep (Drift). It exists so that these rules, on which every running
// command depends, are arithmetic that a table can hold to the millisecond: no
// test of them waits for anything.
//
// The package refuses three things. It reads no clock, starts no goroutine and
// takes no lock: time comes in as an argument and leaves as a deadline, and
// one goroutine of the caller owns each value. It sends and closes nothing:
// a verdict is advice. And it condemns nobody for time in which this process
// was not running, or for an interval that nobody was counting.
//
// Instants are time.Time as time.Now returns them, and not offsets: such a
// value carries the monotonic reading, which a step of the wall clock does not
// move and which survives Add and Sub; its zero value says never; and timers
// and testing/synctest speak it. A caller must not strip the reading (Round,
// Truncate, a trip through a file); Warmth.LostAt alone is a date.
package alive
