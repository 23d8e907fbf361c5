//go:build race

package sshtest

// Raced says whether the race detector is built in. It makes a program ten times
// slower, and virtual time is the same with it and without: what only repeats
// itself for long, a day of probes say, does so for less under it, and in full
// where it is not.
const Raced = true
