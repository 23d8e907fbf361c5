package master

import (
	"errors"
	"time"

	"muxd/alive"
	"muxd/internal/login"
	"muxd/internal/sshlink"
)

// Learned is what was learned of destinations and keys, and outlives muxd.
// internal/learned has the real one. Destinations are named by the key of their
// host, networks by Config.Network. Its methods may be called from any goroutine
// and do not wait for a disk.
type Learned interface {
	sshlink.Learned
	login.Touches
	// SessionLimit is how many sessions the server takes on one connection; 0 is
	// unknown.
	SessionLimit(dest string) int
	SetSessionLimit(dest string, n int)
	// Forget drops what was learned of a destination, or everything for "".
	Forget(dest string)
}

// nothing is the Learned of a Master that was given none.
type nothing struct{}

func (nothing) Warmth(string, string) alive.Warmth     { return alive.Warmth{} }
func (nothing) SetWarmth(string, string, alive.Warmth) {}
func (nothing) SessionLimit(string) int                { return 0 }
func (nothing) SetSessionLimit(string, int)            {}
func (nothing) NeedsTouch(string) bool                 { return false }
func (nothing) SetNeedsTouch(string)                   {}
func (nothing) Forget(string)                          {}

// lessonWithin is how soon after a doubt another connection must be there for
// the old one's silence to be put down to the path: a server that restarted, or
// a network that was away, takes longer.
const lessonWithin = 10 * time.Second

// lessonDial is how long that other connection may have taken to log in. One
// whose first packet had to be repeated, after a second, found the path broken
// for others than an idle connection.
const lessonDial = time.Second

// leastIdle is the shortest silence that is put down to a path's forgetting:
// none that people use forgets sooner, and a machine that is overloaded answers
// a question after a second of silence late.
const leastIdle = 5 * time.Second

// silenced is a connection that went silent while it was idle. Owned by
// host.run.
type silenced struct {
	after    time.Duration // of silence before the question that was not answered
	lastByte time.Time
	at       time.Time // of the doubt
	remote   string    // the address that answered
	l        *link     // the connection
}

// lesson is what one silence taught last, to be taken back should that
// connection answer after all. Owned by host.run.
type lesson struct {
	l       *link // nil: nothing to take back
	network string
	was     alive.Warmth // before it
	at      time.Time    // LostAt after it
}

// unlearn takes back what the silence of l taught: it was late, not forgotten.
// Where another loss taught something since then, that stays.
func (h *host) unlearn(l *link) {
	if t := h.lesson; t.l == l && h.m.cfg.Learned.Warmth(h.key, t.network).LostAt.Equal(t.at) {
		h.m.cfg.Learned.SetWarmth(h.key, t.network, t.was)
	}
}

// noteSilence remembers that l does not answer, and after what silence it was
// asked.
func (h *host) noteSilence(l *link) {
	h.silenced = silenced{after: l.AskedAfter(), lastByte: l.Wire.LastRead(), at: time.Now(), remote: l.Conn.RemoteAddr().String(), l: l}
}

// learnIdleLife draws the lesson of a connection that went silent, now that
// another one to the same server was there at once: something on the path had
// forgotten it, so in this network it must be used more often.
func (h *host) learnIdleLife(d *dialing, l *link) {
	s := h.silenced
	h.silenced = silenced{}
	changed := h.m.networkAt.Load()
	switch {
	case s.after < leastIdle, d.began.Before(s.at), time.Since(s.at) > lessonWithin, time.Since(d.began) > lessonDial,
		s.remote != l.Conn.RemoteAddr().String(), h.dest.Via != nil, h.dest.Proxy != "":
		return
	case changed != nil && !changed.Before(s.lastByte): // the cause was here
		return
	}
	network := h.m.network()
	w := h.m.cfg.Learned.Warmth(h.key, network)
	was := w
	if w.Lost(s.after, time.Now()); w == was {
		return
	}
	h.m.cfg.Learned.SetWarmth(h.key, network, w)
	h.lesson = lesson{s.l, network, was, w.LostAt}
	l.Wake() // it has begun with what was known before
	h.log.Info("an idle connection was forgotten on the way", "after", s.after.Round(time.Second), "keep warm", w.Interval())
}

// networkFresh is how long the name of the network is believed. A change says so,
// where changes are seen.
const networkFresh = 5 * time.Second

// network is Config.Network, which asks the system much, not asked for each of
// a hundred hosts.
func (m *Master) network() string {
	if n := m.networkName.Load(); n != nil && time.Since(n.at) < networkFresh {
		return n.name
	}
	n := &named{m.cfg.Network(), time.Now()}
	m.networkName.Store(n)
	return n.name
}

// named is the name of the network at some time.
type named struct {
	name string
	at   time.Time
}

// forgetLearned forgets what was learned of the host with that key, or of all.
func (m *Master) forgetLearned(key string) {
	m.cfg.Learned.Forget(key)
	for _, h := range m.all() {
		if key == "" || key == h.key {
			h.post(func() { h.places = places{} })
		}
	}
}

func unanswering(err error) bool {
	var n sshlink.NoAnswer
	return errors.As(err, &n)
}
