package master

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"muxd/alive"
	"muxd/internal/reach"
	"muxd/internal/sshtest"
)

// Two hundred pinned hosts lose their connections at one moment and the network
// stays away for an hour, in which every connect hangs: nobody makes it busy.
// When it is back all are there within a minute, no more than so many logins at
// a time, and their attempts come spread, not as one herd. A client that comes
// with the network goes first.
func TestManyHostsComeBack(t *testing.T) {
	hosts := names("h", int(long(200)))
	inNetwork(t, sshtest.Options{HandshakeDelay: 100 * time.Millisecond}, hosts, hosts, func(t *testing.T, r *rig, n *network) {
		r.write(".config/muxd/config", "Pinned yes\nConnectTimeout 10\n")
		for _, o := range r.askAll(hosts) {
			if o.err != nil {
				t.Fatal(o.err)
			}
			o.s.Close()
		}
		time.Sleep(10 * time.Minute) // idle
		var mu sync.Mutex
		var starts []time.Time
		var now, most int
		back := make(chan struct{})
		r.dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			mu.Lock()
			starts = append(starts, time.Now())
			now++
			most = max(most, now)
			mu.Unlock()
			defer func() { mu.Lock(); now--; mu.Unlock() }()
			select {
			case <-back:
				return n.dial(ctx, network, addr)
			case <-ctx.Done():
				return nil, errors.New("timed out")
			}
		}
		for _, h := range hosts {
			n.servers[h].srv.Last().Drop()
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		mu.Lock()
		if most > 2*reach.Overall { // a connect that nothing answers is begun once more beside the first
			t.Errorf("%d connects at a time", most)
		}
		// Those that hang 10 s each, so many at a time, could not be more.
		if got := len(starts); got > 2*reach.Overall*3600/10 {
			t.Errorf("%d attempts in an hour", got)
		}
		starts = nil
		mu.Unlock()

		close(back)
		healed := time.Now()
		r.run("h7", "echo")
		if took := time.Since(healed); took > alive.CapWaiting {
			t.Errorf("a client had to wait %v", took)
		}
		time.Sleep(time.Minute - time.Since(healed))
		synctest.Wait()
		for _, h := range r.m.all() {
			if got := h.status().State; got != "ready" {
				t.Errorf("%s is %s", h.name(), got)
			}
		}
		mu.Lock()
		defer mu.Unlock()
		buckets := map[time.Duration]int{}
		for _, at := range starts {
			buckets[at.Sub(healed)/(100*time.Millisecond)]++
		}
		var fullest int
		for _, c := range buckets {
			fullest = max(fullest, c)
		}
		if fullest > reach.Overall {
			t.Errorf("%d attempts within 100 ms, of %d", fullest, len(starts))
		}
		if last := slices.MaxFunc(starts, time.Time.Compare).Sub(healed); last > time.Minute {
			t.Errorf("the last attempt came after %v", last)
		}
	})
}
