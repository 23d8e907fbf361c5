//go:build !linux

package main

// hosts needs to know what other processes hold and use.
func hosts(_ *lab, r *section, o options) error {
	r.miss("memory of many hosts", "MiB", noPSS)
	r.miss("processor of many idle hosts", "% of one", "only Linux says what a process has used to the nanosecond (schedstat)")
	return nil
}
