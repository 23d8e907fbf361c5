// Package netwatch reports that the network of this machine changed or that the
// machine woke, and answers a few questions about the network it is on. It
// exists because a connection that such an event broke looks as it did before:
// nobody tells TCP, and without a word from here a probe would find out after
// a quarter of a minute.
//
// An event is a hint and never proof: whoever takes it probes, and closes
// nothing. So the package may miss one (the next probe finds out) and may
// report one too many (a probe costs one packet), and in doubt does the
// latter. What it must not do is cry at every message of the kernel's: a
// laptop's router announces itself every few seconds, and a container's start
// makes a dozen changes of no meaning to a connection. So messages only start
// a look, and what counts is whether the snapshots before and after differ:
// addresses, routes, rules, and the state of the links in use.
//
//	kernel ──► source ──notice──► debouncer ──1 s──► snapshot, differs? ──► Changed
//	timer  ──────────tick───────► alive.Drift ─────────────────────────────► Woke
//
// One goroutine owns all of that (watcher.run); one reads the source and one
// the timer, and neither ever waits for the first.
//
// How soon: a change is reported 1 s after its first message, 250 ms after the
// last one where more come, and after 3 s at most. A wake is reported at the
// next tick, which on Linux comes at once if the machine slept for longer than
// the rest of 5 s (the timer counts on during a suspend and so has run out at
// the resume), and elsewhere up to 5 s after it; a message of the kernel's,
// which a link coming back up sends, brings the look at the clocks forward. So
// does a process that was stopped, or a virtual machine that was paused, learn
// of it as it goes on; it must have stood still for 15 s, or for 10 s at an
// unlucky moment, and for less nothing is said (alive.Drift).
//
// The package refuses to know what the events are for, to send a packet, and
// to resolve a name.
package netwatch
