package sshlink

import (
	"sort"
	"time"

	"muxd/control"
)

func (l *Link) Status() (control.LinkStatus, []control.SessionStatus) {
	cfg := l.terms().Learned(l.Warm.now)
	l.mu.Lock()
	defer l.mu.Unlock()
	st := control.LinkStatus{State: l.state.String(), Since: l.Since, Remote: l.Conn.RemoteAddr().String(),
		Auth: l.Auth, Server: string(l.Conn.ServerVersion()), LastByte: l.Wire.LastRead(),
		RTT: time.Duration(l.rtt.Load()), In: l.Wire.Received(), Out: l.Wire.Sent(),
		Interval: cfg.ProbeAfter(), CountMax: cfg.CountMax}
	var ss []control.SessionStatus
	for s := range l.sessions {
		if !s.closing.late { // nobody's any more
			ss = append(ss, s.status())
		}
	}
	st.Sessions = len(ss)
	sort.Slice(ss, func(i, j int) bool { return ss[i].Since.Before(ss[j].Since) })
	return st, ss
}

func (s *Session) status() control.SessionStatus {
	st := control.SessionStatus{PID: s.r.PID, Kind: string(s.r.Kind), TTY: s.r.TTY != nil, Since: s.since, Command: s.r.Command}
	if s.meter != nil {
		st.In, st.Out = s.meter.In.Load(), s.meter.Out.Load()
	}
	return st
}
