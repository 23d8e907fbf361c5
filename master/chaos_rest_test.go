package master

import (
	"testing/synctest"
	"time"

	"muxd/internal/sshlink"
)

// atRest checks what is true whenever nothing moves.
func (c *chaos) atRest() {
	c.t.Helper()
	synctest.Wait()
	c.forwardsAtRest()
	for _, h := range c.r.m.all() {
		h.call(func() {
			for l := range h.links {
				if l.State() == sshlink.Dead {
					c.fail("a dead link is kept")
				}
			}
			if h.current != nil && !h.current.Usable() {
				c.fail("the link in service is %v", h.current.State())
			}
			_, wanted := h.demand(time.Now())
			comes := h.dialing != nil || !h.retry.IsZero()
			switch {
			case h.serving():
			case h.needsPerson && h.has(sshlink.Suspect) && h.client() == nil: // only a request has somebody asked
			case len(h.waiters) > 0 && !comes:
				c.fail("%d wait for nothing", len(h.waiters))
			case wanted != "" && h.blocked == nil && !comes:
				c.fail("it is wanted (%s) and nothing comes", wanted)
			}
		})
	}
}

// calm is the end of the history: everybody is answered, and nothing is left.
func (c *chaos) calm() {
	time.Sleep(20 * time.Minute) // no budget is longer
	synctest.Wait()
	c.atRest()
	c.mu.Lock()
	for _, pl := range c.open {
		c.t.Errorf("%s was not answered in 20 minutes of good weather", pl.what)
		pl.cancel()
	}
	streams := c.streams
	c.mu.Unlock()
	c.calmForwards()
	for _, s := range streams {
		s.Close()
	}
	synctest.Wait()
	for _, h := range c.r.m.all() {
		if looks, took := c.looks(h), time.Since(c.began); looks > 500+5*int(took/time.Second) {
			c.fail("%d decisions in %v", looks, took)
		}
	}
	seen := map[string]int{}
	for _, e := range execs(c.far) {
		seen[e]++
		if seen[e] > 1 {
			c.fail("%q ran %d times", e, seen[e])
		}
	}
	for _, token := range c.never {
		if seen["echo "+token]+seen["sleep 9h "+token] > 0 {
			c.fail("%s ran, and its client was told that it did not", token)
		}
	}
	for range 2 { // what goes through a host holds it
		for _, h := range c.r.m.all() {
			h.call(h.dismiss)
		}
		time.Sleep(time.Second)
		synctest.Wait()
	}
	n := len(c.dials)
	time.Sleep(forgetAfter + time.Second)
	synctest.Wait()
	if hs := c.r.m.all(); len(hs) > 0 {
		c.fail("%d hosts are not forgotten: %v", len(hs), hs[0].State())
	}
	if len(c.dials) != n {
		c.fail("%d dials for nobody", len(c.dials)-n)
	}
}

// looks is how often a host decided.
func (c *chaos) looks(h *host) (n int) {
	h.call(func() { n = h.decided })
	return n
}
