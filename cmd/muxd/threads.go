package main

import (
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
)

// Go ends a program that needs one more thread and gets none, which is what
// happens to every program of a user whose processes have reached their limit: by
// the user's compiler, muxd would lose every connection. So it makes the threads
// that it may need while there is room, and Go keeps them.
const (
	// spareThreads is how many beside the one for each processor: those that wait
	// for a disk, or for a child to begin. Fifty commands at once had six; each
	// takes about 15 KiB.
	spareThreads = 12
	// roomyLimit is a limit of processes that somebody set for an ordinary user. In
	// what is smaller the spare ones could be those that find no room.
	roomyLimit = 256
)

// keepThreads makes them. It returns at once: they are for later.
func keepThreads() {
	var r unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NPROC, &r); err != nil || r.Cur < roomyLimit {
		return
	}
	n := spareThreads + min(runtime.GOMAXPROCS(0), spareThreads)
	var all sync.WaitGroup
	all.Add(n)
	for range n {
		go func() {
			runtime.LockOSThread()
			// A goroutine that is locked to a thread keeps it while it waits, so that
			// each of the others needs one more.
			all.Done()
			all.Wait()
			runtime.UnlockOSThread() // else the thread ends with the goroutine
		}()
	}
}
