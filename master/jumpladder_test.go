package master

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"muxd/alive"
	"muxd/internal/sshtest"
)

// Twenty destinations behind a bastion that cannot be reached, and a client that
// waits for each: the bastion is tried as often as if one waited for it alone, a
// new request has it tried at once, and when it is back all go on.
func TestManyBehindABastionThatIsDown(t *testing.T) {
	var names []string
	for i := range 20 {
		names = append(names, fmt.Sprint("in", i))
	}
	inNetwork(t, sshtest.Options{}, append([]string{"bastion", "late"}, names...), []string{"bastion"}, func(t *testing.T, r *rig, n *network) {
		r.m.cfg.Rand = func() float64 { return 0.999999 }
		r.write(".ssh/config", "Host in* late\n ProxyJump bastion\n")
		out, back := r.down(errDown), make(chan error, len(names)+1)
		ask := func(name string) {
			q := r.request("-oWaitForReady=yes", name, "true")
			go func() { _, err := r.m.Session(context.Background(), q, says("")); back <- err }()
		}
		for _, name := range names {
			ask(name)
		}
		time.Sleep(time.Minute)
		before := len(out.times())
		time.Sleep(5 * time.Minute)
		if got := len(out.times()) - before; got < 95 || got > 101 {
			t.Errorf("%d attempts in five minutes", got)
		}
		time.Sleep(1500 * time.Millisecond)
		before = len(out.times())
		ask("late")
		time.Sleep(time.Second)
		synctest.Wait()
		if len(out.times()) == before {
			t.Error("a new request had no attempt be made")
		}
		r.through(n.dial)
		time.Sleep(2 * alive.CapWaiting)
		for range len(names) + 1 {
			if err := <-back; err != nil {
				t.Error(err)
			}
		}
		if got := n.logins("bastion"); got != 1 {
			t.Errorf("%d logins at the bastion", got)
		}
	})
}

// A destination that its bastion does not reach: the bastion is logged in to once
// for all the attempts, also where nothing is kept, and not kept for longer.
func TestABastionIsKeptBetweenAttempts(t *testing.T) {
	behindBastion(t, sshtest.Options{}, func(t *testing.T, r *rig, inside *sshtest.Server) {
		r.write(".ssh/config", "Host inside\n ProxyJump bastion\nHost *\n ControlPersist no\n")
		tries := 0
		r.srv.Update(func(o *sshtest.Options) {
			o.Direct = func(context.Context, string) (io.ReadWriteCloser, error) { tries++; return nil, errors.New("no route") }
		})
		ctx, cancel := context.WithCancel(t.Context())
		got := make(chan error, 1)
		q := r.request("-oWaitForReady=yes", "inside", "true")
		go func() { _, err := r.m.Session(ctx, q, says("")); got <- err }()
		time.Sleep(5 * time.Minute)
		if r.srv.Logins() != 1 || tries < 90 {
			t.Errorf("%d logins at the bastion for %d attempts", r.srv.Logins(), tries)
		}
		cancel()
		<-got
		time.Sleep(time.Second)
		synctest.Wait()
		if h := hostNamed(r, "bastion"); len(h.Links) != 0 {
			t.Errorf("the bastion is kept for nobody: %+v", h)
		}
		// The same, and then it is reached.
		go func() { _, err := r.m.Session(t.Context(), q, says("")); got <- err }()
		time.Sleep(10 * time.Second)
		r.srv.Update(func(o *sshtest.Options) {
			o.Direct = func(ctx context.Context, addr string) (io.ReadWriteCloser, error) {
				return inside.DialContext(ctx, "tcp", addr)
			}
		})
		if err := <-got; err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if r.srv.Logins() != 2 {
			t.Errorf("%d logins at the bastion", r.srv.Logins())
		}
	})
	// The bastion goes between two attempts: the next one logs in anew.
	behindBastion(t, sshtest.Options{}, func(t *testing.T, r *rig, inside *sshtest.Server) {
		r.srv.Update(func(o *sshtest.Options) {
			o.Direct = func(context.Context, string) (io.ReadWriteCloser, error) { return nil, errors.New("no route") }
		})
		got := make(chan error, 1)
		q := r.request("-oWaitForReady=yes", "inside", "true")
		go func() { _, err := r.m.Session(context.Background(), q, says("")); got <- err }()
		time.Sleep(10 * time.Second)
		r.srv.Last().Drop()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if h := hostNamed(r, "bastion"); r.srv.Logins() != 2 || h.State != "ready" {
			t.Errorf("%d logins, %s", r.srv.Logins(), h.State)
		}
		r.srv.Update(func(o *sshtest.Options) {
			o.Direct = func(ctx context.Context, addr string) (io.ReadWriteCloser, error) {
				return inside.DialContext(ctx, "tcp", addr)
			}
		})
		if err := <-got; err != nil {
			t.Error(err)
		}
	})
}
