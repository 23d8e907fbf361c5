package main

import (
	"net"
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

// takeManager returns the socket of the service manager that started this muxd,
// and keeps it from its children. One that a client started may have inherited
// another program's, whose state is not ours to tell.
func takeManager(auto bool) string {
	socket := os.Getenv("NOTIFY_SOCKET")
	os.Unsetenv("NOTIFY_SOCKET")
	if auto {
		return ""
	}
	return socket
}

// notify tells the service manager that started muxd what it is at, if one did:
// READY=1 or STOPPING=1 (sd_notify(3)). That nobody listens there harms nobody.
func notify(socket, state string) {
	if socket == "" {
		return
	}
	if socket[0] == '@' { // an abstract one
		socket = "\x00" + socket[1:]
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		return
	}
	defer c.Close()
	c.Write([]byte(state))
}
