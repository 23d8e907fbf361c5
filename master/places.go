package master

import (
	"context"
	"errors"
	"time"

	"muxd/control"
	"muxd/internal/dest"
	"muxd/internal/sshlink"
)

// A server lets one connection carry so many sessions (MaxSessions, 10 by
// default) and refuses the next. The number is not announced: it is learned
// from the first refusal, and from then on nobody asks for more. Requests
// beyond it wait in line for a place; if none becomes free shortly, a further
// connection is dialled, when login needs no person. The number is kept for the
// next muxd, and it is asked again and again whether it is more by now.

const (
	// placeSoon is how long a request waits in line before a further connection
	// is dialled for it. Fifty short commands at once pass through ten places
	// faster than a login takes.
	placeSoon = 250 * time.Millisecond
	// placeRetry is the pause after a refusal below the learned number: sshd
	// frees a session's place a moment after it closed the channel.
	placeRetry = 20 * time.Millisecond
	// placePatience is how many such refusals in a row one request puts down to
	// that.
	placePatience = 10
	// placeLinger is how long after a session's end a refusal is put down to that
	// at all: a server that takes no session says so at once.
	placeLinger = 2 * time.Second
	// placeProbe and placeProbeMax bound the pause after which one session more
	// than the learned number is asked for: short sessions may have hidden how
	// many the server really takes. A refusal doubles it.
	placeProbe    = time.Second
	placeProbeMax = time.Minute
	// maxConnections is how many connections a host has at most where
	// MaxConnections says nothing.
	maxConnections = 6
)

// places is what was learned of how many sessions the server takes on one
// connection. Owned by host.run.
type places struct {
	limit   int // 0 while no session was refused
	probeAt time.Time
	pause   time.Duration // from one refused probe to the next
	denied  error         // why the last further connection was not to be had; nil: it was, or none was tried
}

// room reports whether one more may be asked for, with so many places given and
// so many sessions open. A probe waits until all that were given are open, so
// that it cannot take the place of one that was promised it.
func (p *places) room(given, open int, now time.Time) bool {
	return p.limit == 0 || given < p.limit || given == p.limit && open == given && !now.Before(p.probeAt)
}

// beyond reports whether so many are more than are known to fit: the last of them
// may be back in line at once.
func (p *places) beyond(given int) bool { return p.limit > 0 && given > p.limit }

// took should be called when one session more than was known to fit is asked
// for.
func (p *places) took(used int, now time.Time) {
	if p.beyond(used) {
		p.pause = min(max(2*p.pause, placeProbe), placeProbeMax)
		p.probeAt = now.Add(p.pause)
	}
}

// remembered is what an earlier connection taught, this muxd's or another's. The
// server may have changed its mind: the first chance to see that is taken.
func (h *host) remembered() places {
	p := places{limit: h.m.cfg.Learned.SessionLimit(h.key)}
	if p.limit > 0 {
		h.limited.Store(true)
	}
	return p
}

// learnLimit notes how many sessions the server takes on a connection.
func (h *host) learnLimit(n int) {
	h.places.limit = n
	h.limited.Store(true)
	h.m.cfg.Learned.SetSessionLimit(h.key, n)
	h.log.Info("sessions that the server takes on a connection", "learned limit", n)
}

// fitted should be posted when the server took a session, with the number of
// all that are open. Where one more fitted, the next one is tried at once.
func (h *host) fitted(open int) {
	h.lineMoved = time.Now()
	if p := &h.places; p.limit > 0 && open > p.limit {
		h.learnLimit(open)
		p.probeAt, p.pause = time.Time{}, 0
	}
}

// refused should be posted when the server had no place for a session on l. It
// reports whether one may be waited for: with no session open on the link, none
// about to be and none that just ended, the server refuses them altogether, which
// says nothing of how many it takes. full says that there was no reason to expect
// a place: then this refusal is none of those in a row.
func (h *host) refused(l *link, times int) (wait, full bool) {
	open := l.Count()
	p := &h.places
	full = p.limit > 0 && open >= p.limit
	switch {
	case full:
	case open > 0 && (p.limit == 0 || times > placePatience):
		h.learnLimit(open)
	default: // the place of one that just ended, or that was given and is not open yet
		l.paused = true
		time.AfterFunc(placeRetry, func() { h.post(func() { l.paused = false; h.serve() }) })
	}
	return open > 0 || times <= placePatience && (l.given() > 1 || l.EndedWithin(placeLinger)), full
}

// openSession opens one session, waiting in line when the server has no place.
func (m *Master) openSession(ctx context.Context, d *dest.Destination, r *control.SessionRequest, x *sshlink.Display, p control.Prompter, own *local) (*sshlink.Session, error) {
	if !own.ran && runsLocally(d, p) {
		// Without a place on the server: it may take as long as it likes, and
		// others wait for one.
		ls, err := m.acquireBare(ctx, d, p)
		if err != nil {
			return nil, asControl(d.Name, control.Refused, err)
		}
		defer ls.release()
		if err := own.command(ctx, d, p); err != nil {
			return nil, err
		}
	}
	var useless *lease
	for times := 0; ; times++ {
		ls, err := m.acquire(ctx, d, r, p, useless)
		if err != nil {
			return nil, asControl(d.Name, control.Refused, err)
		}
		leave, err := m.enter(d)
		if err != nil {
			ls.release()
			return nil, err
		}
		ls.Closed = leave
		s, err := ls.link.StartSession(ctx, &ls.User, r, x)
		if err == nil {
			return s, nil
		}
		leave()
		if errors.Is(err, sshlink.ErrSpareClosed) {
			useless = ls
			continue
		}
		wait, full := false, false
		if sshlink.RefusesMore(err) {
			ls.host.call(func() { wait, full = ls.host.refused(ls.link, times) })
		}
		if full {
			times = -1
		}
		if useless = ls; !wait {
			ls.release()
			return nil, ls.link.Failure(d.Name, err)
		}
	}
}
