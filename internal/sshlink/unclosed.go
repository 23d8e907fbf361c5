package sshlink

import (
	"io"
	"time"

	"golang.org/x/crypto/ssh"
)

// A channel is gone when both sides have closed it. Until the server does its part
// it costs a goroutine here, what the SSH library knows of it, and often a
// session's place; and so does an open that was given up, until it is answered. A
// server owes that at once, but OpenSSH's too takes its time where what the client
// sent last is not read: until the command ends. One that leaves it at that for
// good must not have muxd grow for as long as the connection lives. So what is
// late is counted, and a link that has too much of it is Worn: its host makes
// another, and the connection ends with whoever still uses it.

const (
	// closeLate is what the server has for it. What is counted is time after which
	// it was heard from: a silent link is another matter, see watch.
	closeLate = 30 * time.Second
	// lateMost is how many late ones a link bears. Each is a goroutine or three.
	lateMost = 64
	// unclosedMost is how many there may be, late or not, for the server to open
	// further channels: it can do that much faster than any client. So many close
	// within a round trip where a thousand connections pass through a forward.
	unclosedMost = 1024
)

// unclosed are the channels of a link that were closed or given up here alone. Its
// fields are guarded by the link's mu.
type unclosed struct {
	all    int
	late   int
	places int // of late ones: sessions
}

// closing is the end of one channel. Its fields are guarded by the link's mu.
type closing struct {
	began  time.Time // zero: it was not closed here
	closed bool      // by the server, or never opened
	late   bool
	place  bool // it is a session's
	timer  *time.Timer
}

// closes notes that a channel is closed here, or its open given up. Late is called
// when the server is late with its part.
func (l *Link) closes(c *closing, late func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.closed || !c.began.IsZero() {
		return
	}
	c.began = time.Now()
	l.unclosed.all++
	c.timer = time.AfterFunc(closeLate, func() { l.waited(c, late) })
}

// closed notes that the server has closed a channel too, or ended with the link.
func (l *Link) closed(c *closing) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.closed {
		return
	}
	c.closed = true
	if c.began.IsZero() {
		return
	}
	c.timer.Stop()
	l.unclosed.all--
	if c.late {
		l.unclosed.count(c, -1)
	}
}

func (u *unclosed) count(c *closing, n int) {
	u.late += n
	if c.place {
		u.places += n
	}
}

// waited looks whether the server is late by now.
func (l *Link) waited(c *closing, late func()) {
	l.mu.Lock()
	switch {
	case c.closed, l.state == Dead:
		l.mu.Unlock()
		return
	case l.Wire.LastRead().Sub(c.began) < closeLate:
		c.timer.Reset(closeLate)
		l.mu.Unlock()
		return
	}
	c.late = true
	l.unclosed.count(c, 1)
	l.mu.Unlock()
	late()
	l.Owner.Wears()
}

// readAway has what comes on a channel that nobody reads any more take no memory.
// It gets no further window: its close was sent.
func readAway(ch ssh.Channel) {
	go io.Copy(io.Discard, ch)
	go io.Copy(io.Discard, ch.Stderr())
}

// Worn reports a link on which the server left so much unclosed that new work is
// to have another: too many channels, or all the places for sessions.
func (l *Link) Worn() bool {
	limit := int(l.Limit.Load())
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.unclosed.late > lateMost || limit > 0 && l.unclosed.places >= limit
}

// Late is how many sessions' places the server keeps of those whose lease was given
// back because it did not close them.
func (l *Link) Late() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.unclosed.places
}

// owed reports that the server closes so little that it is to open nothing.
func (l *Link) owed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.unclosed.all >= unclosedMost
}
