package main

import (
	"errors"
	"fmt"
	"os"

	"muxd/control"
	"muxd/internal/launch"
	"muxd/socket"
)

// lock is muxd lock and unlock. A lock starts a muxd where none runs, or the first
// client would start one that is not locked; and one that is locked does not end
// for want of work.
func lock(command string, args []string) int {
	if len(args) > 0 {
		return misused(command + ": it takes no argument, and is about all hosts")
	}
	connect := func() (*socket.Conn, error) { return launch.Connect(command == "unlock") }
	a, err := asking(connect, func(c *socket.Conn) (reply, error) {
		return ask(c, &control.AdminRequest{Command: command}, nil)
	})
	if errors.Is(err, socket.ErrNoServer) {
		fmt.Println("muxd is not running")
		return 0
	}
	if err != nil {
		return complain(err)
	}
	os.Stdout.WriteString(a.said)
	return a.code
}
