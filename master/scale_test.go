package master

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"

	"muxd/control"
	"muxd/internal/sshtest"
)

// thousand is how many sessions one host has at a time.
var thousand = int(long(1000))

// A thousand commands at once on one host end each with its own exit status, and
// take one login. When the connection is cut under a thousand sessions each of
// them hears of it at that moment, and who comes next makes one connection.
func TestThousandSessions(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		requests := make([]*control.SessionRequest, thousand)
		for i := range requests {
			requests[i] = r.request("host", fmt.Sprintf("exit %d", i%256))
		}
		each := func(f func(i int) error) {
			errs := make([]error, thousand)
			var wg sync.WaitGroup
			for i := range thousand {
				wg.Go(func() { errs[i] = f(i) })
			}
			wg.Wait()
			for i, err := range errs {
				if err != nil {
					t.Errorf("session %d of %d: %v", i, thousand, err)
				}
			}
		}
		each(func(i int) error {
			s, err := r.m.Session(t.Context(), requests[i], nil)
			if err != nil {
				return err
			}
			_, exit, err := finish(s)
			if want := (control.Exit{Code: uint32(i % 256)}); err == nil && exit != want {
				err = fmt.Errorf("exit %+v, want %+v", exit, want)
			}
			return err
		})
		r.wantLogins(1)

		long := r.request("host", "sleep 1h")
		sessions := make([]control.Stream, thousand)
		each(func(i int) (err error) { sessions[i], err = r.m.Session(t.Context(), long, nil); return err })
		took := make([]time.Duration, thousand)
		ended := make(chan struct{})
		start := time.Now()
		go func() {
			defer close(ended)
			each(func(i int) error {
				_, _, err := finish(sessions[i])
				took[i] = time.Since(start)
				wantError(t, err, control.Running, "host")
				return nil
			})
		}()
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := r.host().current.Count(); n != thousand {
			t.Errorf("%d sessions", n)
		}
		r.srv.Last().Drop()
		<-ended
		if last := slices.Max(took) - time.Minute; last > time.Second {
			t.Errorf("the last of them heard of it after %v", last)
		}
		short := r.request("host", "exit 7")
		each(func(i int) error {
			s, err := r.m.Session(t.Context(), short, nil)
			if err == nil {
				_, _, err = finish(s)
			}
			return err
		})
		r.wantLogins(2)
	})
}

// Idle hosts are probed together, however apart they logged in: at the last beat
// within fifteen seconds of silence, and each of them at every such beat.
func TestIdleHostsKeepOneBeat(t *testing.T) {
	const hosts, rounds = 20, 3
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		r.m.cfg.Epoch = time.Now()
		r.write(".ssh/known_hosts", "h* "+string(ssh.MarshalAuthorizedKey(r.srv.HostKey())))
		begin := time.Now()
		for i := range hosts {
			r.run(fmt.Sprintf("h%d", i), "true")
			time.Sleep(37 * time.Millisecond)
		}
		time.Sleep((rounds*15 + 1) * time.Second)
		at := map[time.Duration]int{}
		for _, e := range r.srv.Events() {
			if e.Kind == sshtest.GlobalRequest && e.Name == "keepalive@openssh.com" {
				at[e.At.Sub(begin)]++
			}
		}
		want := map[time.Duration]int{15 * time.Second: hosts, 30 * time.Second: hosts, 45 * time.Second: hosts}
		if !maps.Equal(at, want) {
			t.Errorf("probed at %v, want %v", at, want)
		}
	})
}
