//go:build !linux

package main

// tty needs a terminal of its own, which it knows how to make on Linux alone.
func tty(_ *lab, r *section, o options) error {
	r.miss("alone", "ms", "made on Linux only: it needs a pseudo-terminal")
	r.miss("under a download from the same host", "ms", "made on Linux only: it needs a pseudo-terminal")
	return nil
}
