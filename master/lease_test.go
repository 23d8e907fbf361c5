package master

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"muxd/control"
	"muxd/internal/dest"
	"muxd/internal/sshtest"
)

// A request whose client is gone may be given a lease all the same, when both
// come at once. It goes back.
func TestALeaseThatComesTooLateGoesBack(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		r.run("-o", "ControlPersist=10m", "host", "true")
		d := r.request("-o", "ControlPersist=10m", "host", "true").Dest.(*dest.Destination)
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		for range 200 {
			if ls, err := r.m.acquire(gone, d, &control.SessionRequest{}, nil, nil); err == nil {
				ls.release()
				ls.release() // counts once
			}
		}
		synctest.Wait()
		h := r.host()
		h.call(func() {
			if h.leases != 0 || h.current.leases != 0 || len(h.waiters) != 0 {
				t.Errorf("%d leases, %d of them on the link, %d waiters", h.leases, h.current.leases, len(h.waiters))
			}
		})
		time.Sleep(10 * time.Minute)
		r.wantLinks("")
	})
}
