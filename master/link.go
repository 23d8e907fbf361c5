package master

import (
	"net/netip"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"

	"muxd/control"
	"muxd/internal/sshlink"
)

// link is a connection of a host's, and what host.run knows of its use. It is the
// connection's Owner.
type link struct {
	*sshlink.Link
	host  *host
	local netip.Addr // this machine's address, where the connection has one

	// Owned by host.run.
	leases  int             // requests that hold the link
	placed  int             // those of them that have a session's place
	paused  bool            // the server is about to free a place
	classes [classCount]int // of those that placed counts
	used    time.Time       // when a request last gave it back
	lentTo  string          // the agent that sessions on it forward, "" while none does
	lends   int             // how many of the leases forward it

	bulk    atomic.Bool         // written by host.run; it is kept for transfers
	onState func()              // tells the host that the state changed; never blocks
	onEvent func(control.Event) // tells whoever listens; never blocks
}

// Changed implements sshlink.Owner.
func (l *link) Changed() { l.onState() }

// Tell implements sshlink.Owner.
func (l *link) Tell(e control.Event) { l.onEvent(e) }

// Opened implements sshlink.Owner: a lease for what the server opened. It counts
// from the moment that run comes to it; a link that ends before that ends with it.
func (l *link) Opened(c ssh.NewChannel) *sshlink.User {
	h := l.host
	ls := newLease(h, l, sshlink.User{Dest: h.newestDest()})
	ls.bare = true
	h.post(func() { h.leases++; l.leases++ })
	what, from := opening(c)
	h.m.audit(ls.Dest, c.ChannelType(), what, 0, from, nil)
	return &ls.User
}

// Fits implements sshlink.Owner.
func (l *link) Fits(sessions int) {
	if h := l.host; h.limited.Load() {
		h.post(func() { h.fitted(sessions); h.serve() })
	}
}

// Wears implements sshlink.Owner: retireOld looks at it.
func (l *link) Wears() { l.host.post(func() {}) }

// given is how many sessions' places are taken on the link, or promised.
func (l *link) given() int { return l.placed + l.Late() }

// Moved implements sshlink.Owner.
func (l *link) Moved(client int) {
	h := l.host
	h.post(func() { h.moved(client) })
}
