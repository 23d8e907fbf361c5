package master

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"muxd/control"
	"muxd/internal/sshtest"
)

// Who holds the connection ends by -O exit, also while there is none: because of
// an outage, or of a login that waits for a person, for however long it does. Who
// waits with a command is not sent away.
func TestExitEndsWhoHolds(t *testing.T) {
	unreachable := func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("unreachable") }
	for name, c := range map[string]struct {
		serves bool
		lose   func(r *rig)
		after  time.Duration
		state  string
	}{
		"connected":         {false, func(*rig) {}, 0, "ready"},
		"outage":            {false, func(r *rig) { r.through(unreachable); r.srv.Last().Drop() }, time.Minute, "waiting"},
		"outage, serves":    {true, func(r *rig) { r.through(unreachable); r.srv.Last().Drop() }, time.Hour, "waiting"},
		"blocked":           {true, func(r *rig) { r.srv.RotateHostKey(); r.srv.Last().Drop() }, time.Minute, "blocked"},
		"blocked, long ago": {true, func(r *rig) { r.srv.RotateHostKey(); r.srv.Last().Drop() }, 6 * time.Hour, ""},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
				plan, err := r.plan(nil, "-N", "host")
				if err != nil {
					t.Fatal(err)
				}
				plan.Hold.Serves = c.serves
				s, err := r.m.Hold(t.Context(), plan.Hold, nil)
				if err != nil {
					t.Fatal(err)
				}
				c.lose(r)
				time.Sleep(c.after)
				if c.state != "" {
					r.wantState(c.state)
				}
				ended := make(chan error, 1)
				go func() { _, err := s.Wait(); ended <- err }()
				synctest.Wait()
				select {
				case err := <-ended:
					t.Fatalf("it ended before: %v", err)
				default:
				}
				r.wantManaged("exit", "Exit request sent.")
				synctest.Wait()
				select {
				case err := <-ended:
					wantError(t, err, control.Refused, "host: ", "closed by request")
				default:
					t.Fatal("it is left")
				}
				time.Sleep(time.Hour)
				if got := r.state(); got != "idle" && got != "forgotten" {
					t.Errorf("an hour after: %s", got)
				}
			})
		})
	}
}
