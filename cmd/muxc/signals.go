package main

import (
	"os"
	"os/signal"
	"syscall"
	"time"

	"muxd/control"
)

// relayed are the signals that end muxc; a session's command is told of them.
// QUIT (^\) is among them because Go would print all its goroutines.
var relayed = [...]struct {
	signal syscall.Signal
	name   string
}{{syscall.SIGINT, "INT"}, {syscall.SIGTERM, "TERM"}, {syscall.SIGHUP, "HUP"}, {syscall.SIGQUIT, "QUIT"}}

// watchEnd takes the signals that end this process. One that our parent had
// ignored (nohup, a background job of a script) stays ignored.
// Called with mu held, once.
func (u *ui) watchEnd() {
	if u.watched {
		return
	}
	u.watched = true
	ch := make(chan os.Signal, 1)
	for _, r := range relayed {
		if !signal.Ignored(r.signal) {
			signal.Notify(ch, r.signal)
		}
	}
	go func() {
		s := <-ch
		u.mu.Lock()
		opened := u.opened
		u.ending, u.signal = true, s.(syscall.Signal)
		if u.withdraw != nil {
			u.withdraw()
		}
		u.mu.Unlock()
		for _, r := range relayed {
			if opened && r.signal == s {
				u.tell(r.name)
			}
		}
		// A question gives its terminal back itself, and then ends this process
		// before we come here; one that comes now is not asked any more.
		u.asking.Lock()
		u.die()
	}()
}

// die ends this process for the signal that it took. With a session open that
// is status 255, as for ssh (clientloop.c); before, it is the signal itself, so
// that a loop in a shell ends with it and does not ask for the next host.
func (u *ui) die() {
	u.mu.Lock()
	opened, s := u.opened, u.signal
	u.mu.Unlock()
	if opened || s == syscall.SIGQUIT { // of which Go prints all its goroutines
		u.leave("", exitFailed)
	}
	u.dieBy(s)
}

// dieBy gives the terminal back and ends this process by a signal.
func (u *ui) dieBy(s syscall.Signal) {
	u.restore()
	signal.Reset(s)
	syscall.Kill(os.Getpid(), s)
	time.Sleep(time.Second) // another thread takes it, a little later
	os.Exit(exitFailed)
}

// isEnding reports that a signal ends this process. How the command ends by
// that signal may come first or not: it is a race, and so counts for nothing.
func (u *ui) isEnding() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.ending
}

// tell passes a signal on. A muxd that is stopped takes nothing, and must not
// keep this process from ending.
func (u *ui) tell(name string) {
	done := make(chan struct{})
	go func() { u.operation().Signal(name); close(done) }()
	select {
	case <-done:
	case <-time.After(time.Second):
	}
}

// watchSize reports changes of the terminal's size, and makes it raw again when
// this process goes on after a stop from outside. Called with mu held.
func (u *ui) watchSize() {
	op, was, again, serves := u.op, u.size, u.sized, u.plan.Serves
	ch := make(chan os.Signal, 1)
	if !again {
		signal.Notify(ch, syscall.SIGWINCH, syscall.SIGCONT)
	}
	u.sized = true
	go func() {
		if now := size(); now != was || serves { // changed while the login took its time
			op.Resize(now)
		}
		if again {
			return // who began with the first session sees to the size
		}
		for s := range ch {
			if s == syscall.SIGCONT {
				u.rawAgain()
			}
			u.operation().Resize(size())
		}
	}()
}

// relaySize passes on what stock ssh says to the process that it takes for the
// master: that the terminal of one of its sessions has another size.
func (u *ui) relaySize(op *control.Op) {
	ch := make(chan os.Signal, 1)
	signal.Notify(ch, syscall.SIGWINCH)
	for {
		op.Resize(size()) // first what was said before anybody listened
		<-ch
	}
}

// rawAgain makes the terminal raw after the shell had it.
func (u *ui) rawAgain() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.state != nil {
		u.state.Again()
	}
}
