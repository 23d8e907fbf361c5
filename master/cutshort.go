package master

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"muxd/control"
)

// settle is how long the end of a connection is kept from the SSH library, at
// most, for the sake of commands that ended and whose channel did not: what the
// server said of it may be on its way from one goroutine to another. It is spent
// in the kernel, breath by breath: it waits for no timer of ours, and stops none.
// Both are in milliseconds.
const (
	settle = 100
	breath = 2
)

// cut is called when nothing more can be received, before the SSH library knows.
//
// A server may tell a command's status before the last of its output, and does
// where much of that is under way; so a connection may be cut behind a status
// and in the midst of the output. The library closes the channels of a dead
// connection exactly as if the server had closed them. So what it closes from
// here on was cut; what the server closed before was closed when this returns,
// because the library takes in what it has while it waits for this. Where it meets
// the end by a write, as in an exchange of keys, wire.broken tells. Not seen is
// the end of a connection by SSH_MSG_DISCONNECT in the midst of an output.
func (l *link) cut() {
	open, ended := l.unsettled()
	for waited := 0; open && waited == 0 || ended && waited < settle; waited += breath {
		unix.Poll(nil, breath)
		open, ended = l.unsettled()
	}
	l.isCut.Store(true)
}

// unsettled reports whether sessions are open on a connection that we did not
// end, and whether the command of one has ended.
func (l *link) unsettled() (open, ended bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return false, false
	}
	for s := range l.sessions {
		select {
		case <-s.done:
		default:
			open, ended = true, ended || s.exited.Load()
		}
	}
	return open, ended
}

// cutShort describes a session whose connection died under it.
func (s *session) cutShort(why error) error {
	err := lostError(s.host, control.Running, s.l, why)
	var e *control.Error
	if s.exited.Load() && errors.As(err, &e) {
		how := fmt.Sprintf("with status %d", s.exit.Code)
		if s.exit.Signal != "" {
			how = "by signal " + control.CleanLine(s.exit.Signal)
		}
		e.Text = strings.TrimSuffix(e.Text, "; the command may still be running") +
			"; the command ended " + how + ", and the last of its output may be missing"
	}
	return err
}
