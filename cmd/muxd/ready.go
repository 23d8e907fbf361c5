package main

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// ready is the pipe on which a client that started muxd waits: "ok" once
// clients can connect, or the reason why not. Its end without a word means that
// muxd died. Without such a client it is nil, and nothing is said.
type ready struct{ f *os.File }

// takeReady finds the pipe that muxc announced in MUXD_READY_FD.
func takeReady() *ready {
	fd, err := strconv.Atoi(os.Getenv("MUXD_READY_FD"))
	os.Unsetenv("MUXD_READY_FD")
	if err != nil || fd < 3 {
		return nil
	}
	unix.CloseOnExec(fd)
	return &ready{os.NewFile(uintptr(fd), "ready")}
}

func (r *ready) auto() bool { return r != nil }

func (r *ready) is(fd int) bool { return r != nil && int(r.f.Fd()) == fd }

func (r *ready) ok() { r.say("ok") }

func (r *ready) fail(err error) { r.say(err.Error()) }

func (r *ready) say(s string) {
	if r != nil {
		r.f.WriteString(s)
		r.f.Close()
	}
}
