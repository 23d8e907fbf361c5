package main

import "golang.org/x/sys/unix"

// fdDir lists this process's descriptors.
const fdDir = "/proc/self/fd"

func undumpable() { unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0) }
