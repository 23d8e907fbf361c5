package master

import (
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"muxd/internal/sshtest"
)

// Without a route nothing is dialled for nobody, and a change of the network
// says when to look again.
func TestNoRouteNoDial(t *testing.T) {
	for _, byName := range []bool{false, true} {
		inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
			var off atomic.Bool
			r.m.cfg.Routed = func(netip.Addr) bool { return !off.Load() }
			r.m.cfg.Online = func() bool { return !off.Load() }
			r.write(".config/muxd/config", "Pinned yes\nWaitForReady no\nHostKeyAlias host\n")
			name := "192.0.2.1"
			if byName {
				name = "host"
			}
			r.run(name, "true")
			h := r.host()
			h.call(func() { h.newest.local = netip.MustParseAddr("192.0.2.9") })
			out := r.down(nil)
			off.Store(true)
			r.srv.Last().Drop()
			time.Sleep(time.Hour)
			r.wantState("waiting")
			if n := len(out.times()); n != 0 {
				t.Errorf("%v: %d attempts without a route", byName, n)
			}
			if e := r.host().status(); e.LastErr != "no route to it from here" {
				t.Errorf("%+v", e)
			}
			// A command tries all the same: its person may know better.
			r.run(name, "true")
			r.srv.Last().Drop()
			time.Sleep(time.Second)
			off.Store(false)
			r.m.NetworkChanged()
			time.Sleep(time.Second)
			r.wantState("ready")
		})
	}
}
