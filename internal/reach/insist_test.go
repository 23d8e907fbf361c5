package reach

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A connect that nothing answers is begun anew beside the first, which keeps its
// chance until a third one begins.
func TestInsist(t *testing.T) {
	const again, limit = 4 * time.Second, 15 * time.Second
	refused := errors.New("refused")
	for _, c := range []struct {
		name   string
		answer func(n int) (after time.Duration, err error) // of the nth connect, from 0
		want   time.Duration
		err    bool
		dials  int
	}{
		{"at once", func(int) (time.Duration, error) { return time.Second, nil }, time.Second, false, 1},
		{"refused at once", func(int) (time.Duration, error) { return time.Second, refused }, time.Second, true, 1},
		{"the first, late", func(n int) (time.Duration, error) { return []time.Duration{7, 100}[n] * time.Second, nil }, 7 * time.Second, false, 2},
		{"the second", func(n int) (time.Duration, error) { return []time.Duration{100, 1}[n] * time.Second, nil }, 5 * time.Second, false, 2},
		{"the second, refused", func(n int) (time.Duration, error) { return []time.Duration{100, 1}[n] * time.Second, refused }, 5 * time.Second, true, 2},
		{"the first, too late", func(n int) (time.Duration, error) { return []time.Duration{9, 100, 2}[n] * time.Second, nil }, 10 * time.Second, false, 3},
		{"nothing", func(int) (time.Duration, error) { return time.Hour, nil }, limit, true, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var dials, open atomic.Int32
				r := TCP{Again: again, Limit: limit, Resolve: func(context.Context, string, string) ([]netip.Addr, error) {
					return []netip.Addr{netip.MustParseAddr("192.0.2.1")}, nil
				}, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
					after, err := c.answer(int(dials.Add(1)) - 1)
					open.Add(1)
					defer open.Add(-1)
					select {
					case <-time.After(after):
					case <-ctx.Done():
						return nil, ctx.Err()
					}
					if err != nil {
						return nil, err
					}
					return new(net.TCPConn), nil
				}}
				start := time.Now()
				nc, err := r.Connect(t.Context(), "tcp", "host", 22)
				if took := time.Since(start); took != c.want || (err != nil) != c.err || (nc == nil) != c.err {
					t.Errorf("%v, %v after %v, want %v", nc, err, took, c.want)
				}
				synctest.Wait()
				if n := int(dials.Load()); n != c.dials || open.Load() != 0 {
					t.Errorf("%d dials, %d left", n, open.Load())
				}
			})
		})
	}
}
