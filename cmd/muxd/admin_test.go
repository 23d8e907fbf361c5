package main

import (
	"os/exec"
	"syscall"
	"testing"

	"muxd/control"
)

// A muxd that was stopped (SIGSTOP) hears that it is to end.
func TestTerminateStopped(t *testing.T) {
	p := exec.Command("sleep", "600")
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	var stopped syscall.WaitStatus
	p.Process.Signal(syscall.SIGSTOP)
	if _, err := syscall.Wait4(p.Process.Pid, &stopped, syscall.WUNTRACED, nil); err != nil || !stopped.Stopped() {
		t.Fatalf("%v, %v", stopped, err)
	}
	ended := make(chan syscall.WaitStatus, 1)
	go func() {
		p.Wait()
		ended <- p.ProcessState.Sys().(syscall.WaitStatus)
	}()
	defer p.Process.Kill()
	if code := terminate(p.Process.Pid, control.ErrSilent, true); code != 0 {
		t.Errorf("status %d", code)
	}
	if st := <-ended; st.Signal() != syscall.SIGTERM {
		t.Errorf("ended by %v", st.Signal())
	}
}
