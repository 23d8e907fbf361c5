package master

import "time"

// leastLifetime bounds MaxLifetime: less would be a login without a pause.
const leastLifetime = time.Minute

// retireOld takes connections out of service that are older than MaxLifetime, or
// on which the server leaves unclosed what was closed; their sessions go on. The
// one in service gets a successor first, where it is wanted and a login for that
// needs no person; where none is to be had it goes all the same, and the next
// client makes another.
func (h *host) retireOld(a *agenda) {
	if h.dest.Alone != "" { // a connection of one's own ends with its client
		return
	}
	for l := range h.links {
		old := h.old(l, a)
		if old == "" {
			continue
		}
		if _, why := h.demand(a.now); l == h.current && why != "" && h.succeeded != l {
			if h.dialing == nil { // else its end brings us back here
				l.Log.Info("replacing the connection", "why", old)
				h.succeeded = l
				h.dial(h.dest, forChange)
			}
			continue
		}
		if l == h.current && h.dialing != nil && h.dialing.purpose == forChange {
			continue
		}
		l.Log.Info("the connection takes nothing new", "why", old)
		l.Drain()
		h.withdraw(l)
	}
}

// old is why a connection is to be replaced, empty for one that is not.
func (h *host) old(l *link, a *agenda) string {
	life, _ := h.dest.Conf.MaxLifetime()
	switch {
	case !l.Usable():
	case l.Worn():
		return "the server leaves closed channels open"
	case life > 0 && a.at(l.Since.Add(max(life, leastLifetime))):
		return "MaxLifetime has passed"
	}
	return ""
}
