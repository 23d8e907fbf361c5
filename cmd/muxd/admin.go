package main

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"muxd/control"
	"muxd/internal/launch"
	"muxd/socket"
)

// connect finds the running muxd.
func connect() (*socket.Conn, error) {
	c, _, err := socket.DialAny(os.Getenv)
	return c, err
}

// asking has f make its request of a muxd, and of the next one where one provably
// took nothing on: it was about to end.
func asking[T any](connect func() (*socket.Conn, error), f func(*socket.Conn) (T, error)) (t T, err error) {
	for range launch.Attempts {
		var c *socket.Conn
		if c, err = connect(); err != nil {
			return t, err
		}
		t, err = f(c)
		if c.Close(); !errors.Is(err, control.ErrNotTaken) {
			break
		}
	}
	return t, err
}

// stop ends the running muxd, after saying what that ends.
func stop(args []string) int {
	a, err := parseAbout(args, map[string]bool{"--force": false, "--drain": false, "--timeout": true})
	var limit time.Duration
	switch {
	case err != nil:
	case a.all || len(a.hosts) > 0:
		err = errors.New("it takes no host: muxc -O exit HOST ends one connection")
	case a.has("--force") && a.has("--drain"):
		err = errors.New("--force cuts what --drain waits for: one of them")
	case a.has("--timeout") && !a.has("--drain"):
		err = errors.New("--timeout is for --drain")
	case a.has("--timeout"):
		limit, err = timeOf("--timeout", a.flags["--timeout"])
	}
	if err != nil {
		return misused("stop: " + err.Error())
	}
	if a.has("--drain") {
		return drain(limit)
	}
	pid := 0
	s, err := asking(connect, func(c *socket.Conn) (*control.Stopped, error) {
		pid = c.PeerPID()
		return control.Stop(c, control.StopRequest{Force: a.has("--force")})
	})
	var other *control.VersionError
	switch {
	case errors.Is(err, socket.ErrNoServer):
		fmt.Println("muxd is not running")
		return 0
	case errors.As(err, &other), errors.Is(err, control.ErrSilent):
		return terminate(pid, err, a.has("--force"))
	case err != nil:
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

// terminated is how long a muxd that was told to end may take for it.
const terminated = 5 * time.Second

// terminate ends a muxd that does not speak our protocol, or not at all: the cure
// that those errors name must work. One that was stopped hears it when it goes on,
// so that is seen to; one that is stuck is killed where force says so.
func terminate(pid int, why error, force bool) int {
	if pid <= 1 {
		return complain(why)
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		return complain(fmt.Errorf("%w; ending it failed: %w", why, err))
	}
	syscall.Kill(pid, syscall.SIGCONT) // it may have ended by now
	if errors.Is(why, control.ErrSilent) {
		why = errors.New("it did not answer")
	}
	for end := time.Now().Add(terminated); force && syscall.Kill(pid, 0) == nil; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				return complain(err)
			}
			fmt.Printf("muxd (pid %d) was killed: %v\n", pid, why)
			return 0
		}
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
