package sshlink

import (
	"fmt"
	"time"

	"muxd/control"
	"muxd/internal/dest"
)

// doubtAfter is the silence that makes a new request doubt a link. A link in
// use is never that silent, and one that is probed every 15 s rarely; what is
// left are the links that something just took away.
const doubtAfter = 10 * time.Second

// User is a request, as far as a link that it lives on has to do with it. While
// there is one its keepalive values hold, and it is told what it asked to be told.
type User struct {
	Dest    *dest.Destination // of the request
	P       control.Prompter  // of the request; may be nil
	Client  int               // whose session it is; 0: nobody knows
	Release func()            // ends its hold on the link; may be called more than once
	Closed  func()            // called when its session is closed here, be that long after its end; nil: nobody wants to know
}

// slow tells the request that its channel is slow to open: a person may have
// come to a connection that has gone silent.
func (u *User) slow(l *Link) {
	if u.P != nil {
		u.P.Waiting(control.Waiting{Silence: l.Silence(), Cause: "for the server to answer"})
	}
}

// Add should be called when a request comes to the link. One that meets a silent
// link makes it prove itself at once.
func (l *Link) Add(u *User) {
	override := u.Dest.AliveOverride
	l.mu.Lock()
	if override != nil {
		l.configs[u] = *override
	}
	if u.Dest.Verbose > 0 {
		l.verbose[u] = struct{}{}
	}
	l.mu.Unlock()
	switch {
	case l.Silence() > doubtAfter:
		l.Suspect()
	case override != nil:
		l.Wake()
	}
}

// Drop ends what Add began.
func (l *Link) Drop(u *User) {
	l.mu.Lock()
	_, had := l.configs[u]
	delete(l.configs, u)
	delete(l.verbose, u)
	l.mu.Unlock()
	if had {
		l.Wake()
	}
}

// debugf tells the requests that hold the link.
func (l *Link) debugf(level int, format string, args ...any) {
	l.mu.Lock()
	var told []*User
	for u := range l.verbose {
		told = append(told, u)
	}
	l.mu.Unlock()
	for _, u := range told {
		u.Dest.Debug(u.P, level, fmt.Sprintf(format, args...))
	}
}
