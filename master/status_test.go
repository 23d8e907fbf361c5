package master

import (
	"context"
	"slices"
	"sync"
	"testing"

	"muxd/control"
	"muxd/internal/sshtest"
)

// Those who ask for the status at the same time read one list, which none of them
// may put in order.
func TestStatusOfManyConnectionsAtOnce(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		const many = 8
		for i := range many {
			r.open("host", "cat") // each keeps its connection, which is replaced
			if i == many-1 {
				break
			}
			if _, err := r.m.Admin(context.Background(), &control.AdminRequest{Command: "recycle", Dest: r.request("host").Dest}); err != nil {
				t.Fatal(err)
			}
		}
		h := r.host()
		for range 50 {
			h.call(func() {}) // and run publishes anew
			var askers sync.WaitGroup
			for range 4 {
				askers.Go(func() {
					if n := len(h.status().Links); n != many {
						t.Errorf("%d connections, want %d", n, many)
					}
				})
			}
			askers.Wait()
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		if !slices.IsSortedFunc(h.shown.links, func(a, b *link) int { return a.ID - b.ID }) {
			t.Error("they are not in order")
		}
	})
}
