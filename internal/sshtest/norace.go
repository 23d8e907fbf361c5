//go:build !race

package sshtest

// Raced says whether the race detector is built in.
const Raced = false
