package sshlink

import (
	"time"

	"muxd/internal/sshconf"
	"muxd/internal/wire"
)

// The sessions of a link: which there are, and how many the server has open.

func (l *Link) addSession(s *Session) {
	l.mu.Lock()
	l.sessions[s] = struct{}{}
	l.numbered++
	s.number = l.numbered
	l.Wire.Settle(true)
	l.mark()
	l.mu.Unlock()
}

// Count is how many sessions the server has open on the link, spares apart.
func (l *Link) Count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.counted()
}

// wanted is count without those that were closed here: their places may be free
// at the server already.
func (l *Link) wanted() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.counted()
	for s := range l.sessions {
		if s.r.Kind != Direct && s.abandoned() {
			n--
		}
	}
	return n
}

// counted is count with mu held.
func (l *Link) counted() int {
	n := 0
	for s := range l.sessions {
		if s.r.Kind != Direct {
			n++
		}
	}
	return n
}

func (l *Link) removeSession(s *Session) {
	l.mu.Lock()
	delete(l.sessions, s)
	if s.r.Kind != Direct {
		l.ended = time.Now()
	}
	l.Wire.Settle(len(l.sessions) > 0)
	l.mark()
	l.mu.Unlock()
	l.drained()
}

// mark puts the connection into the class of what it carries: interactive while
// there are sessions and all of them have a terminal, as in OpenSSH (packet.c,
// ssh_packet_set_interactive). A command on an otherwise idle connection changes
// nothing and costs nothing. Called with mu held.
func (l *Link) mark() {
	interactive := len(l.sessions) > 0
	for s := range l.sessions {
		interactive = interactive && s.r.TTY != nil
	}
	if interactive == l.interactive || l.tcp == nil {
		return
	}
	l.interactive = interactive
	tos := l.QoS[1]
	if interactive {
		tos = l.QoS[0]
	}
	if err := wire.SetTOS(l.tcp, tos); err != nil {
		l.Log.Debug("socket option", "err", err)
	}
}

// heavyBytes and heavyRate, in bytes a second, are what proves a transfer: less is
// over before it could be moved out of anybody's way, or no burden.
const (
	heavyBytes = 16 << 20
	heavyRate  = 128 << 10
)

// Heavy reports a session on the link that has proved to be a transfer: of that
// client, or with 0 anybody's.
func (l *Link) Heavy(client int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for s := range l.sessions {
		if (client == 0 || s.user.Client == client) && s.heavy() {
			return true
		}
	}
	return false
}

func (s *Session) heavy() bool {
	if s.meter == nil || s.r.TTY != nil || s.user.Dest.Conf.Bulk() == sshconf.No {
		return false
	}
	n := s.meter.In.Load() + s.meter.Out.Load()
	return n >= heavyBytes && float64(n) >= heavyRate*time.Since(s.since).Seconds()
}
