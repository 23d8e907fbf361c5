package term

import (
	"os"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"
)

// stopGrace is how long stop waits for a stop that may not come: nobody stops a
// process group that no shell could continue (a container's, a session
// leader's). The signal needs microseconds to reach us, so half a second is
// never too short, and it is spent only where suspending is impossible anyway.
const stopGrace = 500 * time.Millisecond

// Suspend is what ~^Z does: it gives the terminal back, stops the process as ^Z
// at a shell would, and once it runs in the foreground again takes the terminal
// and returns its size, which may have changed. Where nobody could continue
// the process it is not stopped. The terminal must be raw, and nothing may be
// reading it, or the shell's next line goes to the reader.
func (s *State) Suspend() (Window, error) {
	if err := s.Restore(); err != nil {
		return Window{}, err
	}
	stop(unix.SIGTSTP)
	if err := s.Again(); err != nil {
		return Window{}, err
	}
	return Size(s.fd)
}

// stop stops our whole process group: stopping only ourselves would leave a
// script that called us running and its terminal dead. It returns after
// SIGCONT, or false when nothing stopped us. The kernel may run this thread a
// little further before another one takes the signal, and the terminal must
// not be touched then, so the return of kill alone says nothing.
func stop(s unix.Signal) bool {
	continued := make(chan os.Signal, 1)
	signal.Notify(continued, unix.SIGCONT)
	defer signal.Stop(continued)
	_ = unix.Kill(0, s)
	grace := time.NewTimer(stopGrace)
	defer grace.Stop()
	select {
	case <-continued:
		return true
	case <-grace.C:
		return false
	}
}

// comeForward stops us while a shell has the terminal. The modes of that moment
// are those in which it edits its line: who keeps them as the ones to give back
// takes the echo from whatever runs next. Where nobody could continue us, or
// SIGTTOU is ignored, we stay in the background, and the kernel decides what may
// be done there.
func comeForward(fd int) {
	for inBackground(fd) && stop(unix.SIGTTOU) {
	}
}
