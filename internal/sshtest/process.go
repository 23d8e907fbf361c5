package sshtest

import (
	"slices"
	"strings"
	"syscall"
)

// process is one that was alive when the list was made. Its start tells it
// from a later one with the same pid.
type process struct {
	pid, parent int
	name        string
	start       string // as the system writes it; only compared
}

// descendants returns the processes below the roots, parents first. The roots
// themselves are not included.
func descendants(all []process, roots ...int) []process {
	var found []process
	for len(roots) > 0 {
		var next []int
		for _, p := range all {
			if slices.Contains(roots, p.parent) {
				found = append(found, p)
				next = append(next, p.pid)
			}
		}
		roots = next
	}
	return found
}

// ofSSHD says whether a process is one of sshd's own, of any version:
// sshd, sshd-session, sshd-auth.
func (p process) ofSSHD() bool { return strings.HasPrefix(p.name, "sshd") }

// signal sends sig to each; one that has gone meanwhile is no matter.
func signal(list []process, sig syscall.Signal) {
	for _, p := range list {
		syscall.Kill(p.pid, sig)
	}
}
