package reach

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// rest waits, or less if ctx ends.
func rest(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// track is a race in virtual time: addresses that take so long and end so.
type track struct {
	t     *testing.T
	names []string
	runs  map[string]runner // by address; one that is missing never answers
	began time.Time
	look  time.Duration // that the lookup takes

	mu      sync.Mutex
	lookups int      // guarded by mu
	started []string // guarded by mu; "address@time"
	open    int      // guarded by mu; connections
}

type runner struct {
	after time.Duration
	err   error
	deaf  bool // does not hear that it was called off
}

type trackConn struct {
	net.Conn
	addr string
	once sync.Once
	tr   *track
}

func (c *trackConn) Close() error {
	c.once.Do(func() { c.tr.mu.Lock(); c.tr.open--; c.tr.mu.Unlock() })
	return nil
}

func (tr *track) resolve(ctx context.Context, _, host string) ([]netip.Addr, error) {
	tr.mu.Lock()
	tr.lookups++
	tr.mu.Unlock()
	rest(ctx, tr.look)
	if err := ctx.Err(); err != nil {
		return nil, &net.DNSError{Name: host, Err: "i/o timeout", IsTimeout: true}
	}
	var all []netip.Addr
	for _, n := range tr.names {
		all = append(all, netip.MustParseAddr(n))
	}
	return all, nil
}

func (tr *track) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil || port != "22" {
		tr.t.Errorf("dialled %q", addr)
	}
	tr.mu.Lock()
	tr.started = append(tr.started, fmt.Sprintf("%s@%v", host, time.Since(tr.began)))
	tr.mu.Unlock()
	r, reachable := tr.runs[host]
	if !reachable {
		r.after = time.Hour
	}
	if r.deaf {
		time.Sleep(r.after)
	} else if rest(ctx, r.after); ctx.Err() != nil {
		return nil, &net.OpError{Op: "dial", Err: ctx.Err()}
	}
	if r.err != nil {
		return nil, &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", r.err)}
	}
	tr.mu.Lock()
	tr.open++
	tr.mu.Unlock()
	return &trackConn{addr: host, tr: tr}, nil
}

func (tr *track) run(ctx context.Context, network, host string) (net.Conn, error) {
	tr.began = time.Now()
	r := TCP{Resolve: tr.resolve, Dial: tr.dial, Limit: 10 * time.Second}
	return r.Connect(ctx, network, host, 22)
}

func TestRace(t *testing.T) {
	const ms = time.Millisecond
	refused, unreachable := syscall.ECONNREFUSED, syscall.ENETUNREACH
	for _, c := range []struct {
		name    string
		names   []string
		runs    map[string]runner
		started string // in order, with their times
		took    time.Duration
		want    string // the address that won, else the error
	}{
		{"the first answers", []string{"2001:db8::1", "192.0.2.1"}, map[string]runner{"2001:db8::1": {after: 249 * ms}, "192.0.2.1": {}},
			"2001:db8::1@0s", 249 * ms, "2001:db8::1"},
		{"a family that leads nowhere", []string{"2001:db8::1", "2001:db8::2", "192.0.2.1"}, map[string]runner{"192.0.2.1": {after: 20 * ms}},
			"2001:db8::1@0s 192.0.2.1@250ms", 270 * ms, "192.0.2.1"},
		{"the resolver's first family is first", []string{"192.0.2.1", "192.0.2.2", "2001:db8::1"}, map[string]runner{"192.0.2.2": {}},
			"192.0.2.1@0s 2001:db8::1@250ms 192.0.2.2@500ms", 500 * ms, "192.0.2.2"},
		{"a failure calls the next at once", []string{"2001:db8::1", "192.0.2.1"},
			map[string]runner{"2001:db8::1": {after: 3 * ms, err: unreachable}, "192.0.2.1": {after: ms}},
			"2001:db8::1@0s 192.0.2.1@3ms", 4 * ms, "192.0.2.1"},
		{"the slow one wins after all", []string{"2001:db8::1", "192.0.2.1"},
			map[string]runner{"2001:db8::1": {after: 900 * ms}, "192.0.2.1": {after: 30 * ms, err: refused}},
			"2001:db8::1@0s 192.0.2.1@250ms", 900 * ms, "2001:db8::1"},
		{"the second is called off when the first wins", []string{"192.0.2.1", "192.0.2.2"},
			map[string]runner{"192.0.2.1": {after: 300 * ms}, "192.0.2.2": {after: 400 * ms, deaf: true}},
			"192.0.2.1@0s 192.0.2.2@250ms", 300 * ms, "192.0.2.1"},
		{"each has its own limit", []string{"192.0.2.1", "::1"}, map[string]runner{"::1": {err: refused}},
			"192.0.2.1@0s ::1@250ms", 10 * time.Second, "192.0.2.1: timed out; ::1: connection refused"},
		{"a cause is said once", []string{"192.0.2.1", "192.0.2.2"}, map[string]runner{"192.0.2.1": {err: refused}, "192.0.2.2": {err: refused}},
			"192.0.2.1@0s 192.0.2.2@0s", 0, "192.0.2.1, 192.0.2.2: connection refused"},
		{"each address once", []string{"192.0.2.1", "::ffff:192.0.2.1"}, map[string]runner{"192.0.2.1": {err: refused}},
			"192.0.2.1@0s", 0, "192.0.2.1: connection refused"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tr := &track{t: t, names: c.names, runs: c.runs}
				nc, err := tr.run(t.Context(), "tcp", "host")
				took := time.Since(tr.began)
				got, open := fmt.Sprint(err), 0
				if nc != nil {
					got, open = nc.(*trackConn).addr, 1
				}
				time.Sleep(time.Second) // for the deaf
				synctest.Wait()
				if s := strings.Join(tr.started, " "); s != c.started || got != c.want || took != c.took || tr.open != open {
					t.Errorf("started %s, got %q after %v, %d open;\nwant    %s,     %q after %v, %d", s, got, took, tr.open, c.started, c.want, c.took, open)
				}
			})
		})
	}
}

// ctx ends everything at once, the lookup as well.
func TestRaceGivenUp(t *testing.T) {
	for _, look := range []time.Duration{0, 5 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			tr := &track{t: t, names: []string{"192.0.2.1", "192.0.2.2"}, look: look}
			nc, err := tr.run(ctx, "tcp", "host")
			if took := time.Since(tr.began); nc != nil || err == nil || took != time.Second {
				t.Errorf("%v after %v", err, took)
			}
		})
	}
}

func TestRaceLookup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := []string{"192.0.2.1", "2001:db8::1"}
		for _, c := range []struct{ network, host, want string }{
			{"tcp", "host.", "2001:db8::1"}, {"tcp4", "host", "192.0.2.1: connection refused"}, {"tcp6", "host", "2001:db8::1"},
			{"tcp", "2001:db8::1", "2001:db8::1"}, {"tcp", "fe80::1%eth0", "fe80::1%eth0"},
			{"tcp", "192.0.2.1", "dial: connect: connection refused"}, // the line names it already
			{"tcp4", "2001:db8::1", "lookup 2001:db8::1: no address of the family in AddressFamily"},
		} {
			tr := &track{t: t, names: all, runs: map[string]runner{"192.0.2.1": {err: syscall.ECONNREFUSED}, "2001:db8::1": {}, "fe80::1%eth0": {}}}
			nc, err := tr.run(t.Context(), c.network, c.host)
			got := fmt.Sprint(err)
			if nc != nil {
				got = nc.(*trackConn).addr
			}
			wantLookups := 0
			if strings.HasPrefix(c.host, "host") {
				wantLookups = 1
			}
			if got != c.want || tr.lookups != wantLookups {
				t.Errorf("%s %s: %q after %d lookups, want %q", c.network, c.host, got, tr.lookups, c.want)
			}
		}
		slow := &track{t: t, look: time.Hour}
		_, err := slow.run(t.Context(), "tcp", "host")
		if took := time.Since(slow.began); took != 10*time.Second || Cause(err).Error() != "could not resolve hostname host: i/o timeout" {
			t.Errorf("%v after %v", err, took)
		}
	})
}

// A name may have any number of addresses, and a line may not have any length.
func TestTriedIsBounded(t *testing.T) {
	var lost []tried
	for i := range 200 {
		lost = append(lost, tried{addr: fmt.Sprintf("2001:db8::%x", i), err: errors.New(strings.Repeat("long ", 100))})
	}
	got := (&triedError{lost}).Error()
	if len(got) > 300 || !strings.HasSuffix(got, "; and 194 more") {
		t.Errorf("%d bytes: %s", len(got), got)
	}
	for i := range lost {
		lost[i].err = fmt.Errorf("%d %w", i, lost[i].err)
	}
	if got := (&triedError{lost}).Error(); len(got) > 1024 || strings.Contains(got, "\n") {
		t.Errorf("%d bytes: %s", len(got), got)
	}
}
