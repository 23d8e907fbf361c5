package master

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"muxd/control"
	"muxd/internal/sshtest"
)

// A client that goes away in any phase leaves nothing behind: no lease, so
// that the connection expires in its time, and no channel.
func TestCancelledInEveryPhase(t *testing.T) {
	const rtt = time.Second
	for _, c := range []struct {
		name string
		at   time.Duration // after the request
		args []string
	}{
		{"dialling", 5 * time.Second, nil},
		{"handshake", 10*time.Second + rtt/2, nil},
		{"opening", 30*time.Second + rtt/2, nil},
		{"pty", 30*time.Second + rtt + rtt/2, []string{"-tt"}},
		{"exec", 30*time.Second + rtt + rtt/2, nil},
		{"running", 30*time.Second + 5*rtt, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
				warm := c.at >= 30*time.Second
				if warm {
					r.run("-o", "ControlPersist=10m", "host", "true")
					r.srv.Last().Pipe().Slow(rtt / 2)
				} else {
					r.srv.Update(func(o *sshtest.Options) { o.DialDelay, o.HandshakeDelay = 10*time.Second, 10*time.Second })
				}
				at := c.at
				if warm {
					at -= 30 * time.Second
				}
				ctx, cancel := context.WithTimeout(t.Context(), at)
				defer cancel()
				start := time.Now()
				s, err := r.ask(ctx, nil, append(append([]string{"-o", "ControlPersist=10m"}, c.args...), "host", "sleep", "9h")...)
				if c.name == "running" {
					if err != nil {
						t.Fatal(err)
					}
					<-ctx.Done()
					s.Close() // as the door does
				} else if err == nil || time.Since(start) != at {
					t.Fatalf("%v after %v", err, time.Since(start))
				}
				time.Sleep(10 * rtt)
				synctest.Wait()
				h := r.host()
				if n := len(h.status().Sessions); n != 0 {
					t.Errorf("%d sessions left", n)
				}
				opens, ends := r.srv.Count(sshtest.ChannelOpen, ""), r.srv.Count(sshtest.ChannelFinished, "")
				if opens != ends {
					t.Errorf("%d channels opened and %d closed", opens, ends)
				}
				if !warm {
					r.wantState("idle")
					time.Sleep(forgetAfter)
					r.wantState("forgotten")
					return
				}
				h.call(func() {
					if h.leases != 0 || len(h.waiters) != 0 {
						t.Errorf("%d leases, %d waiters", h.leases, len(h.waiters))
					}
				})
				r.wantLinks("ready")
				time.Sleep(10 * time.Minute)
				r.wantLinks("")
			})
		})
	}
}

func TestCancelledPhases(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		r.run("host", "true")
		r.srv.Last().Pipe().Slow(time.Second)
		for at, phase := range map[time.Duration]control.ErrorPhase{time.Second: control.Lost, 3 * time.Second: control.Sent} {
			ctx, cancel := context.WithTimeout(t.Context(), at)
			_, err := r.ask(ctx, nil, "host", "true")
			wantError(t, err, phase)
			cancel()
		}
	})
}
