//go:build unix

package netwatch

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestStoppedProcess: twelve of its ticks is a stop of a minute for muxd.
func TestStoppedProcess(t *testing.T) {
	t.Parallel()
	const tick, stop = 250 * time.Millisecond, 3 * time.Second
	p := startChild(t, tick, exec.Command(os.Args[0]))
	if got := p.next(4 * tick); got != "" {
		t.Errorf("%q before anything happened", got)
	}
	p.signal(syscall.SIGSTOP)
	time.Sleep(stop)
	if len(p.events) > 0 {
		t.Fatal("it goes on")
	}
	p.signal(syscall.SIGCONT)
	begun := time.Now()
	got := p.next(time.Minute)
	lost, err := time.ParseDuration(strings.TrimPrefix(got, "woke "))
	// Of the stop it does not count the tick that was to come.
	if err != nil || lost < stop-2*tick || lost > stop+2*time.Second {
		t.Errorf("%q after a stop of %v", got, stop)
	}
	t.Logf("%q %v after it goes on", got, time.Since(begun).Round(time.Millisecond))
	if got := p.next(6 * tick); got != "" {
		t.Errorf("and then %q", got)
	}
}

// TestStoppedProcessForLess: a stop of less than two ticks is no wake, however
// it falls.
func TestStoppedProcessForLess(t *testing.T) {
	t.Parallel()
	p := startChild(t, 2*time.Second, exec.Command(os.Args[0]))
	p.signal(syscall.SIGSTOP)
	time.Sleep(500 * time.Millisecond)
	p.signal(syscall.SIGCONT)
	if got := p.next(3 * time.Second); got != "" {
		t.Errorf("%q after a stop of a quarter of a tick", got)
	}
}
