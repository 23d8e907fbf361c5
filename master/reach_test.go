package master

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"testing"
	"time"

	"muxd/control"
	"muxd/internal/sshtest"
)

// Every dial asks again, and so does every attempt: a server that moved is
// found where it is now.
func TestResolvedAnew(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		at := "192.0.2.1"
		lookups := 0
		r.m.cfg.Resolve = func(_ context.Context, network, host string) ([]netip.Addr, error) {
			lookups++
			if network != "tcp4" || host != "host" {
				t.Errorf("looked up %s %s", network, host)
			}
			return []netip.Addr{netip.MustParseAddr(at)}, nil
		}
		var dialled []string
		r.dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			dialled = append(dialled, addr)
			if addr == "192.0.2.3:22" {
				at = "192.0.2.4"
				return nil, syscall.EHOSTUNREACH
			}
			return r.srv.DialContext(ctx, network, addr)
		}
		args := []string{"-4", "-oConnectionAttempts=2", "host", "true"}
		r.run(args...)
		at = "192.0.2.2"
		r.hangUp()
		r.run(args...)
		at = "192.0.2.3"
		r.hangUp()
		start := time.Now()
		r.run(args...)
		if took := time.Since(start); took != time.Second {
			t.Errorf("the second attempt came after %v", took)
		}
		if want := []string{"192.0.2.1:22", "192.0.2.2:22", "192.0.2.3:22", "192.0.2.4:22"}; !slices.Equal(dialled, want) || lookups != 4 {
			t.Errorf("dialled %v, %d lookups", dialled, lookups)
		}
		r.dial = func(context.Context, string, string) (net.Conn, error) { return nil, syscall.ECONNREFUSED }
		r.hangUp()
		_, err := r.ask(context.Background(), nil, args...)
		wantError(t, err, control.Refused, "connect to host:22: 192.0.2.4: connection refused")
	})
}

// A name that does not exist is not asked for a second time.
func TestUnknownNameIsFinal(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		lookups := 0
		r.m.cfg.Resolve = func(_ context.Context, _, host string) ([]netip.Addr, error) {
			lookups++
			return nil, &net.DNSError{Name: host, Err: "no such host", IsNotFound: true}
		}
		_, err := r.ask(context.Background(), nil, "-oConnectionAttempts=9", "host", "true")
		wantError(t, err, control.Refused, "could not resolve hostname host: no such host")
		if lookups != 1 {
			t.Errorf("%d lookups", lookups)
		}
	})
}
