package main

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"muxd/control"
	"muxd/socket"
)

// connect finds the running muxd.
func connect() (*socket.Conn, error) {
	c, _, err := socket.DialAny(os.Getenv)
	return c, err
}

// stop ends the running muxd, after saying what that ends.
func stop(force bool) int {
	c, err := connect()
	if errors.Is(err, socket.ErrNoServer) {
		fmt.Println("muxd is not running")
		return 0
	}
	if err != nil {
		return complain(err)
	}
	defer c.Close()
	s, err := control.Stop(c, control.StopRequest{Force: force})
	var other *control.VersionError
	if errors.As(err, &other) || errors.Is(err, control.ErrSilent) {
		return terminate(c.PeerPID(), err)
	}
	if err != nil {
		return complain(err)
	}
	what := fmt.Sprintf("%s and %s", count(s.Hosts, "connection"), count(s.Sessions, "session"))
	if !s.Done {
		fmt.Fprintf(os.Stderr, "muxd: still carries %s: use \"muxd stop --force\" to end them too\n", what)
		return 1
	}
	fmt.Printf("muxd (pid %d) stopped; it held %s\n", s.PID, what)
	return 0
}

// terminate ends a muxd that does not speak our protocol: the cure that its
// version error names must work.
func terminate(pid int, why error) int {
	if pid <= 1 {
		return complain(why)
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		return complain(fmt.Errorf("%w; ending it failed: %w", why, err))
	}
	fmt.Printf("muxd (pid %d) was told to end: %v\n", pid, why)
	return 0
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
