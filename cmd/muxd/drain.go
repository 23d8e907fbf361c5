package main

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"muxd/control"
	"muxd/internal/term"
	"muxd/socket"
)

// waitLook is how often a process is looked for that is to end.
const waitLook = 100 * time.Millisecond

// errNotDrained is a muxd that drains still: that was said.
var errNotDrained = errors.New("not drained")

// drain has the running muxd end with its last session, and waits for that, for at
// most that long unless limit is 0. The muxd goes on draining when nobody waits any
// more.
func drain(limit time.Duration) int {
	pid := 0
	s, err := asking(connect, func(c *socket.Conn) (*control.Stopped, error) {
		pid = c.PeerPID()
		return drained(c, limit)
	})
	switch {
	case errors.Is(err, socket.ErrNoServer):
		fmt.Println("muxd is not running")
	case err == errNotDrained:
		return 1
	case err != nil:
		return complain(err)
	case s == nil:
		fmt.Printf("muxd (pid %d) of another version has drained\n", pid)
	default:
		fmt.Printf("muxd (pid %d) has drained; it held %s\n", s.PID, count(s.Hosts, "connection"))
	}
	return 0
}

// drained waits for the end of one muxd, and says on a terminal after a second what
// for. Of one of another version it is not known what it held: that is nil.
func drained(c *socket.Conn, limit time.Duration) (*control.Stopped, error) {
	pid := c.PeerPID()
	w := &drainWait{pid: pid, terminal: term.IsTerminal(2)}
	late := time.AfterFunc(time.Second, w.late)
	defer late.Stop()
	done := make(chan error, 1)
	var s *control.Stopped
	go func() {
		var err error
		s, err = control.Stop(c, control.StopRequest{Drain: true, Waits: w.waits})
		var other *control.VersionError
		if errors.As(err, &other) && other.Drains() {
			err = drainBySignal(pid)
		}
		done <- err
	}()
	var over <-chan time.Time
	if limit > 0 {
		over = time.After(limit)
	}
	select {
	case err := <-done:
		return s, err
	case <-over:
		fmt.Fprintf(os.Stderr, "muxd: not drained within %v, it still waits for %s; it goes on (kill %d ends it)\n", limit, w.now(), pid)
		return nil, errNotDrained
	}
}

// drainBySignal is for a muxd whose protocol is not spoken here.
func drainBySignal(pid int) error {
	if err := syscall.Kill(pid, syscall.SIGUSR1); err != nil {
		return err
	}
	for syscall.Kill(pid, 0) == nil {
		time.Sleep(waitLook)
	}
	return nil
}

// drainWait is what a person sees of the wait.
type drainWait struct {
	pid      int
	terminal bool

	mu    sync.Mutex
	cause string // guarded by mu; "" while it is not known
	shown bool   // guarded by mu; it has lasted for a second
}

// waits is told what is waited for.
func (w *drainWait) waits(now control.Waiting) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cause = control.CleanLine(now.Cause)
	w.say()
}

func (w *drainWait) late() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.shown = true
	w.say()
}

// say is called with mu held.
func (w *drainWait) say() {
	if w.shown && w.terminal {
		fmt.Fprintf(os.Stderr, "muxd: waiting for %s (^C leaves it to itself, kill %d ends it)\n", w.text(), w.pid)
	}
}

func (w *drainWait) text() string {
	if w.cause == "" {
		return fmt.Sprintf("muxd (pid %d)", w.pid)
	}
	return w.cause
}

func (w *drainWait) now() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text()
}
