package master

import (
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"muxd/control"
	"muxd/internal/sshtest"
)

// Connections come through forwards of both kinds while their link is replaced
// time after time: none is lost.
func TestReplacementsLoseNoConnection(t *testing.T) {
	inBubble(t, sshtest.Options{HoldPorts: time.Minute}, func(t *testing.T, r *rig) {
		s := r.ashore()
		s.echoes("localhost:22")
		release := r.mustForward("-N", "-L", "8080:db:5432", "-R", "2222:localhost:22", "host")
		through := map[string]func() error{
			"-L": func() error {
				c, err := s.connect("localhost:8080")
				if err == nil {
					defer c.Close()
					_, err = exchange(c, "hello")
				}
				return err
			},
			"-R": func() error {
				ch, err := r.srv.Connect("localhost:2222")
				if err != nil {
					return fmt.Errorf("open: %w", err)
				}
				defer ch.Close()
				ch.Write([]byte("x"))
				_, err = io.ReadFull(ch, make([]byte, 1))
				return err
			},
		}
		var clients sync.WaitGroup
		var over atomic.Bool
		for kind, connect := range through {
			for i := range 10 {
				clients.Go(func() {
					for !over.Load() {
						time.Sleep(time.Duration(100+i) * time.Millisecond)
						if err := connect(); err != nil {
							t.Errorf("%s: %v", kind, err)
						}
					}
				})
			}
		}
		for range 10 {
			time.Sleep(time.Second) // with all that comes at that moment
			if _, err := r.m.Admin(t.Context(), &control.AdminRequest{Command: "recycle"}); err != nil {
				t.Error(err)
			}
		}
		over.Store(true)
		clients.Wait()
		time.Sleep(time.Second)
		r.wantLinks("ready")
		r.wantLogins(11)
		for _, st := range r.host().status().Forwards {
			if st.State != control.ForwardActive || st.Open != 0 || st.Waiting != 0 || st.Total < 500 {
				t.Errorf("%s is %s: %d open, %d waiting, %d in all", st.Forward, st.State, st.Open, st.Waiting, st.Total)
			}
		}
		release()
	})
}
