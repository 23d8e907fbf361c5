package sshtest

import (
	"os/exec"
	"runtime"
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

// startBound starts a command that ends, at the latest, with this process,
// even when that panics or is killed, and returns what is closed when it has
// ended. Linux ties the two together by the thread that started the command,
// so that thread does nothing else until then.
func startBound(cmd *exec.Cmd) (ended <-chan struct{}, err error) {
	dieWithParent(cmd)
	started, done := make(chan error), make(chan struct{})
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(done)
		err := cmd.Start()
		started <- err
		if err == nil {
			cmd.Wait()
		}
	}()
	return done, <-started
}
