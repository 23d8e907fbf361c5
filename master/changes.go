package master

import (
	"errors"
	"net"
	"net/netip"
	"time"

	"muxd/control"
)

const (
	// spreadEach and spreadMax spread the attempts of many hosts over a little
	// time when all of them may try again at the same moment.
	spreadEach = 20 * time.Millisecond
	spreadMax  = 5 * time.Second
	// orphanAfter is how long a connection whose local address is gone is left
	// once another one serves in its place: an interface that flaps takes its
	// address away and gives it back.
	orphanAfter = 5 * time.Second
)

var errOrphan = errors.New("the local address of the connection is gone")

// NetworkChanged tells that the machine's addresses or routes changed: every
// connection has to prove itself, and whoever waits for a next attempt makes it
// now.
func (m *Master) NetworkChanged() {
	m.netChanged()
	m.networkName.Store(nil)
	m.cfg.Log.Info("the network changed")
	m.events.tell(control.Event{Time: time.Now(), Kind: control.EventNetwork}, "")
	m.stir((*link).suspicious)
	time.AfterFunc(orphanAfter, func() {
		for _, h := range m.all() {
			h.post(h.dropOrphans)
		}
	})
}

// Woke tells that nothing ran for so long: the machine was suspended, or muxd
// was stopped. The time counts for nobody's patience.
func (m *Master) Woke(asleep time.Duration) {
	m.netChanged()
	m.cfg.Log.Info("nothing ran here", "for", asleep.Round(time.Millisecond))
	m.events.tell(control.Event{Time: time.Now(), Kind: control.EventWake, Silence: asleep}, "")
	m.stir((*link).resumed)
}

// netChanged notes that a silence from before this moment may have had its cause
// here.
func (m *Master) netChanged() {
	now := time.Now()
	m.networkAt.Store(&now)
}

// stir has every link do something, and every host that waits try again.
func (m *Master) stir(each func(*link)) {
	hs := m.all()
	spread := min(spreadMax, time.Duration(len(hs))*spreadEach)
	for _, h := range hs {
		h.post(func() {
			h.backoff.Reset(time.Now(), spread, false)
			h.replaced = time.Time{}
			h.redial(hurryAfter)
			for l := range h.links {
				each(l)
			}
		})
	}
}

// dropOrphans closes connections whose local address is gone, where another one
// serves. Called in run.
func (h *host) dropOrphans() {
	if h.m.cfg.HasAddress == nil || h.current == nil {
		return
	}
	for l := range h.links {
		if l.local.IsValid() && l != h.current && !h.m.cfg.HasAddress(l.local) {
			l.fail(errOrphan)
		}
	}
}

// localAddr is the address of this machine at its end of a connection, the zero
// Addr where it has none.
func localAddr(c *net.TCPConn) netip.Addr {
	if c == nil {
		return netip.Addr{}
	}
	ap, _ := netip.ParseAddrPort(c.LocalAddr().String()) // the zero value too says none
	return ap.Addr().Unmap().WithZone("")
}
