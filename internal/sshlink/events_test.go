package sshlink

import (
	"slices"
	"testing"

	"muxd/control"
	"muxd/internal/sshtest"
)

// listening is an owner who notes what it is told.
type listening struct {
	owner
	l    *Link
	told []string
	late bool
}

func (o *listening) Tell(e control.Event) {
	if e.To != "dead" && o.l.mu.TryLock() {
		o.l.mu.Unlock()
		o.late = true
	}
	o.told = append(o.told, e.From, e.To)
}

// What happens to a link is told before the lock is given up under which it
// happens, and so in its order, whoever moves it; and nothing behind its end.
func TestEventsInOrder(t *testing.T) {
	linked(t, sshtest.Options{}, func(t *testing.T, l *Link, srv *sshtest.Server) {
		o := &listening{l: l}
		l.Owner = o
		s := run(t, l, nil, "cat") // an idle link would end by the first doubt
		for range 2 {
			l.doubt()
			l.doubt()
			l.trust()
			l.trust()
		}
		l.doubt()
		l.Drain()
		l.Drain()
		l.trust()
		l.doubt()
		l.Fail(ErrAsked)
		<-l.done
		l.Drain()
		s.Close()
		want := []string{"ready", "suspect", "suspect", "ready", "ready", "suspect", "suspect", "ready", "ready", "suspect", "suspect", "draining", "draining", "dead"}
		if o.late || !slices.Equal(o.told, want) {
			t.Errorf("told %q, some without the lock: %v", o.told, o.late)
		}
	})
}
