package master

import "time"

// leastLifetime bounds MaxLifetime: less would be a login without a pause.
const leastLifetime = time.Minute

// retireOld takes connections out of service that are older than MaxLifetime;
// their sessions go on. The one in service gets a successor first, where it is
// wanted and a login for that needs no person; where none is to be had it goes all
// the same, and the next client makes another.
func (h *host) retireOld(a *agenda) {
	life, _ := h.dest.Conf.MaxLifetime()
	if life <= 0 || h.dest.Alone != "" { // a connection of one's own ends with its client
		return
	}
	life = max(life, leastLifetime)
	for l := range h.links {
		if !l.Usable() || !a.at(l.Since.Add(life)) {
			continue
		}
		if _, why := h.demand(a.now); l == h.current && why != "" && h.succeeded != l {
			if h.dialing == nil { // else its end brings us back here
				h.log.Info("MaxLifetime has passed, replacing the connection", "lifetime", life)
				h.succeeded = l
				h.dial(h.dest, forChange)
			}
			continue
		}
		if l == h.current && h.dialing != nil && h.dialing.purpose == forChange {
			continue
		}
		h.log.Info("MaxLifetime has passed, the connection takes nothing new", "lifetime", life)
		l.Drain()
		h.withdraw(l)
	}
}
