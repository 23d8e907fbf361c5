package master

import "time"

// The sessions of a link: which there are, and how many the server has open.

func (l *link) addSession(s *session) {
	l.mu.Lock()
	l.sessions[s] = struct{}{}
	l.numbered++
	s.number = l.numbered
	l.wire.Settle(true)
	l.mark()
	l.mu.Unlock()
}

// count is how many sessions the server has open on the link, spares apart.
func (l *link) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.counted()
}

// wanted is count without those that were closed here: their places may be free
// at the server already.
func (l *link) wanted() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.counted()
	for s := range l.sessions {
		if s.r.Kind != direct && s.abandoned() {
			n--
		}
	}
	return n
}

// counted is count with mu held.
func (l *link) counted() int {
	n := 0
	for s := range l.sessions {
		if s.r.Kind != direct {
			n++
		}
	}
	return n
}

func (l *link) removeSession(s *session) {
	l.mu.Lock()
	delete(l.sessions, s)
	if s.r.Kind != direct {
		l.ended = time.Now()
	}
	l.wire.Settle(len(l.sessions) > 0)
	l.mark()
	l.mu.Unlock()
	l.drained()
}
