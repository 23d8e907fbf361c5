package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// program is a command line to be measured, ready to be started.
type program struct {
	path string
	argv []string
	env  []string
}

func (p program) String() string { return strings.Join(p.argv, " ") }

// spawner starts programs with as little around them as a shell has: a vfork,
// an exec and a wait, with stdio on /dev/null and no goroutine switch between.
type spawner struct{ null *os.File }

func newSpawner() (*spawner, error) {
	f, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	runtime.LockOSThread()
	return &spawner{f}, nil
}

func (s *spawner) close() {
	runtime.UnlockOSThread()
	s.null.Close()
}

// run returns the milliseconds from before the fork to after the wait.
func (s *spawner) run(p program) (float64, error) {
	fd := s.null.Fd()
	attr := &syscall.ProcAttr{Env: p.env, Files: []uintptr{fd, fd, fd}}
	start := time.Now()
	pid, err := syscall.ForkExec(p.path, p.argv, attr)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", p, err)
	}
	var ws syscall.WaitStatus
	for {
		if _, err = syscall.Wait4(pid, &ws, 0, nil); err != syscall.EINTR {
			break
		}
	}
	took := time.Since(start)
	switch {
	case err != nil:
		return 0, fmt.Errorf("%s: %w", p, err)
	case ws.ExitStatus() != 0:
		return 0, fmt.Errorf("%s: exit status %d", p, ws.ExitStatus())
	}
	return milliseconds(took), nil
}

// patience is how long a program of the preparations may take.
const patience = time.Minute

// output runs a program of the preparations and returns what it printed, on
// both streams.
func output(p program) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, p.path)
	cmd.Args, cmd.Env, cmd.WaitDelay = p.argv, p.env, time.Second
	b, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s: %w: %s", p, err, strings.TrimSpace(string(b)))
	}
	return string(b), err
}

// milliseconds is the unit of most rows.
func milliseconds(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }
