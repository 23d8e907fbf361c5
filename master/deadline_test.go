package master

import (
	"context"
	"net"
	"testing"
	"time"

	"muxd/control"
	"muxd/internal/sshtest"
)

func TestHandshakeDeadline(t *testing.T) {
	for _, c := range []struct {
		name string
		opts sshtest.Options
		args []string
		want time.Duration
	}{
		{"silent from the first byte", sshtest.Options{HandshakeDelay: time.Hour}, nil, 30 * time.Second},
		{"ConnectTimeout", sshtest.Options{HandshakeDelay: time.Hour}, []string{"-o", "ConnectTimeout=7"}, 7 * time.Second},
		{"a long one", sshtest.Options{HandshakeDelay: time.Hour}, []string{"-o", "ConnectTimeout=300"}, 300 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, c.opts, func(t *testing.T, r *rig) {
				start := time.Now()
				_, err := r.ask(t.Context(), nil, append(c.args, "host", "true")...)
				wantError(t, err, control.Refused, "host: the server did not finish the SSH handshake in time")
				if d := time.Since(start); d != c.want {
					t.Errorf("after %v, want %v", d, c.want)
				}
				r.wantState("idle")
			})
		})
	}
}

// A server that stops in the midst of the handshake, and a server that takes
// nothing any more.
func TestHandshakeDeadlineInTheMidst(t *testing.T) {
	for name, stop := range map[string]func(c *sshtest.Conn){
		"silent":        func(c *sshtest.Conn) { c.In().CutAfter(1 << 40); c.In().Stall() },
		"takes nothing": func(c *sshtest.Conn) { c.Out().Stall() },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, sshtest.Options{Buffer: 512}, func(t *testing.T, r *rig) {
				r.dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
					c, err := r.srv.DialContext(ctx, network, addr)
					if err == nil {
						stop(c.(*sshtest.Conn))
					}
					return c, err
				}
				start := time.Now()
				_, err := r.ask(t.Context(), nil, "host", "true")
				wantError(t, err, control.Refused, "the server did not finish the SSH handshake in time")
				if d := time.Since(start); d != 30*time.Second {
					t.Errorf("after %v", d)
				}
			})
		})
	}
}

// A person thinks for 90 s; the clock stands still meanwhile, and goes on with
// what was left of it.
func TestHandshakeDeadlineWaitsForThePerson(t *testing.T) {
	slow := func(d time.Duration) *person {
		return &person{OnPrompt: func(ctx context.Context, _ control.Prompt) (control.Answer, error) {
			time.Sleep(d)
			return control.Answer{Text: "yes"}, nil
		}}
	}
	inBubble(t, sshtest.Options{HandshakeDelay: 25 * time.Second}, func(t *testing.T, r *rig) {
		r.know()
		if _, err := r.ask(t.Context(), slow(90*time.Second), "host", "true"); err != nil {
			t.Errorf("%v", err)
		}
	})
	inBubble(t, sshtest.Options{HandshakeDelay: 25 * time.Second}, func(t *testing.T, r *rig) {
		r.know()
		start := time.Now()
		p := slow(90 * time.Second)
		p2 := &person{OnPrompt: func(ctx context.Context, q control.Prompt) (control.Answer, error) {
			r.srv.Last().Pipe().Stall() // what follows the answer comes to nothing
			return p.OnPrompt(ctx, q)
		}}
		_, err := r.ask(t.Context(), p2, "host", "true")
		wantError(t, err, control.Refused, "the server did not finish the SSH handshake in time")
		if d := time.Since(start); d != 120*time.Second {
			t.Errorf("after %v, want 25 s, 90 s of thought, and the 5 s that were left", d)
		}
	})
}

func TestConnectTimeout(t *testing.T) {
	for _, c := range []struct {
		args []string
		want time.Duration
	}{
		{nil, 15 * time.Second}, {[]string{"-o", "ConnectTimeout=3"}, 3 * time.Second},
	} {
		inBubble(t, sshtest.Options{DialDelay: time.Hour}, func(t *testing.T, r *rig) {
			start := time.Now()
			_, err := r.ask(t.Context(), nil, append(c.args, "host", "true")...)
			wantError(t, err, control.Refused, "host: connect to host:22: timed out")
			if d := time.Since(start); d != c.want {
				t.Errorf("after %v, want %v", d, c.want)
			}
		})
	}
}

// A deadline that is stopped stays so, whatever was asked meanwhile.
func TestDeadlineStops(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		r.know()
		p := &person{OnPrompt: func(context.Context, control.Prompt) (control.Answer, error) {
			time.Sleep(100 * time.Second)
			return control.Answer{Text: "yes"}, nil
		}}
		s, err := r.ask(t.Context(), p, "host", "sleep", "10m")
		if err != nil {
			t.Fatal(err)
		}
		if _, exit, err := finish(s); err != nil || exit.Code != 0 {
			t.Errorf("%v %v", exit, err)
		}
	})
}
