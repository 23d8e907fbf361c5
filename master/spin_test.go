package master

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"muxd/internal/sshtest"
)

// In no state does a host decide more often than something happens: a deadline
// that lies in the past would be looked at for ever.
func TestNothingSpins(t *testing.T) {
	hours := max(2, int(long(6))) // what is idle is forgotten within two
	span := time.Duration(hours) * time.Hour
	for _, c := range []struct {
		name, conf, state string
		most              int // decisions in that time
		f                 func(t *testing.T, r *rig)
	}{
		{"ready and in use", "ControlPersist 10m", "ready", 10, func(t *testing.T, r *rig) { r.open("host", "sleep", "9999h") }},
		{"ready and pinned", "Pinned yes", "ready", 10, func(t *testing.T, r *rig) { r.run("host", "true") }},
		{"ready for ever", "ControlPersist yes", "ready", 10, func(t *testing.T, r *rig) { r.run("host", "true") }},
		{"idle and forgotten", "", "forgotten", 20, func(t *testing.T, r *rig) { r.run("host", "true") }},
		{"blocked and pinned", "Pinned yes", "blocked", hours*3600/5*2 + 20, func(t *testing.T, r *rig) {
			r.know(sshtest.NewKey().PublicKey())
			r.ask(t.Context(), nil, "host", "true")
		}},
		{"waiting and pinned", "Pinned yes", "waiting", hours * 3600 / 4, func(t *testing.T, r *rig) {
			r.run("host", "true")
			r.down(errDown)
			r.srv.Last().Drop()
		}},
		{"waiting without a route", "Pinned yes", "waiting", hours*120 + 20, func(t *testing.T, r *rig) {
			r.write(".ssh/config", "Host host\n HostName 192.0.2.1\n HostKeyAlias host\n")
			r.run("host", "true")
			r.m.cfg.Routed = func(netip.Addr) bool { return false }
			r.srv.Last().Drop()
		}},
		{"waiting for a client", "WaitForReady yes", "waiting", hours * 3600 * 6, func(t *testing.T, r *rig) {
			r.down(errDown)
			ctx, cancel := context.WithCancel(t.Context())
			go r.ask(ctx, nil, "host", "true")
			time.AfterFunc(span+time.Minute, cancel)
		}},
		{"a client at a question", "WaitForReady 5", "connecting", hours*30*13 + 50, func(t *testing.T, r *rig) {
			r.srv.Update(func(o *sshtest.Options) { o.Password = "secret" })
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				for ctx.Err() == nil { // a question has a limit of its own
					r.ask(ctx, thinks(), "host", "true")
				}
			}()
			time.AfterFunc(span+time.Minute, cancel)
		}},
		{"in line for a place", "", "ready", 100, func(t *testing.T, r *rig) {
			r.srv.Update(func(o *sshtest.Options) { o.MaxSessions, o.Password = 1, "secret" })
			if _, err := r.ask(t.Context(), says("secret"), "host", "sleep", "9999h"); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			go r.ask(ctx, nil, "host", "true")
			time.AfterFunc(span+time.Minute, cancel)
		}},
		{"suspect", "ServerAliveInterval 600\nServerAliveCountMax 9999", "suspect", hours*3600/30*3 + 50, func(t *testing.T, r *rig) {
			r.open("host", "sleep", "9999h")
			r.silent()
			r.down(errDown)
			r.m.NetworkChanged()
		}},
		{"suspect, and a login needs a person", "ServerAliveInterval 600\nServerAliveCountMax 9999", "suspect", hours*3600/5*2 + 50, func(t *testing.T, r *rig) {
			r.srv.Update(func(o *sshtest.Options) { o.Password = "secret" })
			if _, err := r.ask(t.Context(), says("secret"), "host", "sleep", "9999h"); err != nil {
				t.Fatal(err)
			}
			r.silent()
			r.m.NetworkChanged()
		}},
		{"draining alone", "ControlPersist yes", "idle", 12, func(t *testing.T, r *rig) {
			r.open("host", "sleep", "9999h")
			r.manage("stop")
		}},
		{"private and in use", "", "ready", 10, func(t *testing.T, r *rig) { r.open("-S", "none", "host", "sleep", "9999h") }},
		{"dialling for long", "", "connecting", 10, func(t *testing.T, r *rig) {
			r.dial = func(ctx context.Context, _, _ string) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() }
			ctx, cancel := context.WithCancel(t.Context())
			go r.ask(ctx, nil, "-o", "ConnectTimeout=99999", "host", "true")
			time.AfterFunc(span+time.Minute, cancel)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
				r.write(".config/muxd/config", "WaitForReady no\n")
				if c.conf != "" {
					r.write(".config/muxd/config", c.conf+"\n")
				}
				c.f(t, r)
				synctest.Wait()
				h := r.host()
				time.Sleep(span)
				if c.state != "forgotten" {
					r.wantState(c.state)
				} else if n := len(r.m.all()); n != 0 {
					t.Errorf("%d hosts", n)
				}
				if h == nil {
					return
				}
				looks := 0
				h.call(func() { looks = h.decided })
				if looks > c.most || looks == 0 && c.state != "forgotten" {
					t.Errorf("%d decisions, want %d at most", looks, c.most)
				}
				time.Sleep(2 * time.Minute)
			})
		})
	}
}
