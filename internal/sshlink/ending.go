package sshlink

import (
	"errors"
	"fmt"
	"time"

	"muxd/control"
)

// The SSH library ends the channels of a dead connection as it ends those that
// the server closed. What is here tells the two apart.

// incomplete is the error of a session whose command ended, and whose
// connection was lost before all of its output may have come: sshd tells the
// Status when the command ends, and sends what it left in the pipe after that.
func (s *Session) incomplete(why error) error {
	if why == nil {
		why = errors.New("the server closed the connection")
	}
	end := fmt.Sprintf("ended with status %d", s.exit.Code)
	if s.exit.Signal != "" {
		end = "was killed by signal " + s.exit.Signal
	}
	return &control.Error{Phase: control.Running, Host: s.host, Silence: s.l.Silence(),
		Text: fmt.Sprintf("connection lost (%v); the command %s, some of its output may be missing", why, end)}
}

// torn reports a connection that ended, or is about to: what a failed read
// ends, and what we close ourselves, shows here before the SSH library closes
// the first of its channels, and after it closed those that the server had
// closed: some servers hang up right behind a session's end. In an exchange
// of keys the library meets the end by a write: see tornByWrite. Where the library
// takes longer than wire.LastPackets for these, a whole session passes for one that
// was cut off. A connection that ends by a disconnect message, or one that
// cannot be read, does not show here in time; sshd ends none so once a client
// has logged in.
func (l *Link) torn() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err != nil || l.Wire.ReadOver()
}

// tornByWrite reports, of a session that ended while a write had failed, that the
// failed write was the end of the connection: the library then reads no more, and
// the read that fails never comes. Where it was the answer to a session's end,
// from a server that hung up right behind that, the library reads on to the end.
func (s *Session) tornByWrite() bool {
	return s.unsure && s.l.Died() != nil && !s.l.Wire.ReadOver()
}

// Died waits a moment for the connection's end, whose publication races with
// the end of its channels, and returns the reason, or nil if it lives.
func (l *Link) Died() error { return l.died(nil) }

// died is Died, or nil as soon as stop is closed.
func (l *Link) died(stop <-chan struct{}) error {
	l.mu.Lock()
	err := l.err
	l.mu.Unlock()
	if err != nil {
		return err
	}
	// The library closes every channel before Wait returns, so a dead
	// connection publishes itself within the time of a goroutine switch.
	race := endRace
	if l.Wire.ReadOver() || l.Wire.WriteOver() {
		race = endCertain
	}
	t := time.NewTimer(race)
	defer t.Stop()
	closed := l.Wire.Closed()
	for {
		select {
		case <-l.done:
			return l.Err()
		case <-closed:
			closed = nil
			t.Reset(endCertain)
		case <-t.C:
			return nil
		case <-stop:
			return nil
		}
	}
}

// endedByItself reports an end that nobody here wished for.
func (l *Link) endedByItself() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.byItself
}

// endRace is long against a goroutine switch on a loaded machine, and costs
// only the session whose server closed it without a status.
const endRace = 200 * time.Millisecond

// endCertain is how long it may take where a read or a write has failed, or the
// connection was closed: the end is on its way then, however slow the machine.
const endCertain = 30 * time.Second
