package master

import (
	"context"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"muxd/control"
	"muxd/internal/sshtest"
)

func TestStop(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		stop := func(force bool) control.Stopped {
			st, err := r.m.Stop(t.Context(), &control.StopRequest{Force: force})
			if err != nil || st.PID == 0 {
				t.Fatalf("%+v, %v", st, err)
			}
			st.PID = 0
			return *st
		}
		s := r.open("host", "cat")
		if st := stop(false); st != (control.Stopped{Hosts: 1, Sessions: 1}) || r.stop != 0 {
			t.Errorf("with a session: %+v, stopped %d", st, r.stop)
		}
		if st := stop(true); st != (control.Stopped{Done: true, Hosts: 1, Sessions: 1}) || r.stop != 1 {
			t.Errorf("by force: %+v, stopped %d", st, r.stop)
		}
		s.CloseWrite()
		finish(s)
		synctest.Wait()
		if st := stop(false); st != (control.Stopped{Done: true, Hosts: 1}) || r.stop != 2 {
			t.Errorf("without a session: %+v, stopped %d", st, r.stop)
		}
	})
}

func TestLinksCountsADial(t *testing.T) {
	inBubble(t, sshtest.Options{DialDelay: time.Second}, func(t *testing.T, r *rig) {
		want := func(links, sessions int) {
			t.Helper()
			synctest.Wait()
			if l, s := r.m.Links(); l != links || s != sessions {
				t.Errorf("%d links, %d sessions", l, s)
			}
		}
		want(0, 0)
		done := make(chan struct{})
		go func() { defer close(done); finish(r.open("host", "sleep", "1s")) }()
		want(1, 0)
		time.Sleep(1500 * time.Millisecond)
		want(1, 1)
		<-done
		want(1, 0)
	})
}

// Close ends a running session, a login under way, a prompt and an idle
// connection; afterwards no goroutine of this package is left.
func TestCloseEndsEverything(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		for _, key := range []string{"a", "b", "c", "d"} {
			r.write(key, "")
		}
		run := r.open("host", "sleep", "9h")
		stuck := r.open("-i", "a", "host", "sleep", "9h")
		r.silent()
		go stuck.Write(make([]byte, 8<<20))
		r.run("-i", "b", "host", "true")
		r.srv.Update(func(o *sshtest.Options) { o.HandshakeDelay = time.Hour })
		got, _ := r.queue(persons(3), "-i", "c", "host", "true")
		r.srv.Update(func(o *sshtest.Options) { o.HandshakeDelay = 0; o.DialDelay = time.Hour })
		more, _ := r.queue(persons(2), "-i", "d", "host", "true")
		start := time.Now()
		r.m.Close()
		for _, ch := range append(got, more...) {
			wantError(t, (<-ch).err, control.Refused, "host: muxd is stopping")
		}
		for _, s := range []control.Stream{run, stuck} {
			_, _, err := finish(s)
			wantError(t, err, control.Running, "host: connection lost (muxd is stopping)")
		}
		if d := time.Since(start); d != 0 {
			t.Errorf("took %v", d)
		}
		if _, err := r.ask(t.Context(), nil, "host", "true"); err == nil {
			t.Error("a session after Close")
		} else {
			wantError(t, err, control.Refused, "muxd is stopping")
		}
		synctest.Wait()
		buf := make([]byte, 1<<20)
		for _, g := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
			if strings.Contains(g, "created by muxd/master.(*") {
				t.Errorf("left behind:\n%s", g)
			}
		}
		r.m.Close() // again
	})
}

func TestStatus(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		r.m.cfg.Build, r.m.cfg.Socket, r.m.cfg.Clients = "1.2", "/s", func() int { return 7 }
		began := time.Now()
		s := r.open("host", "cat")
		r.run("you@host", "true")
		st, err := r.m.Status(context.Background(), new(control.StatusRequest))
		if err != nil || st.Build != "1.2" || st.Socket != "/s" || st.Clients != 7 || st.PID == 0 || !st.Started.Equal(began) || len(st.Hosts) != 2 {
			t.Fatalf("%+v, %v", st, err)
		}
		h := st.Hosts[0]
		if h.Name != "host" || h.User != "me" || h.Addr != "host:22" || h.State != "ready" || h.Logins != 1 || h.Persist != "1h0m0s" || !h.Since.Equal(began) {
			t.Errorf("%+v", h)
		}
		if st.Hosts[1].User != "you" {
			t.Errorf("%+v", st.Hosts[1])
		}
		s.Close()
	})
}
