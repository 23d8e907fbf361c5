package master

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"muxd/alive"
	"muxd/control"
	"muxd/internal/sshtest"
	"muxd/internal/wire"
)

// Fifty short commands at once, and a server that takes ten sessions on a
// connection as sshd does: nobody is refused, and one login serves them all.
func TestShortCommandsWaitForAPlace(t *testing.T) {
	inBubble(t, sshtest.Options{MaxSessions: 10}, func(t *testing.T, r *rig) {
		done := make(chan error, 50)
		for i := range 50 {
			req := r.request("host", "echo", fmt.Sprint(i))
			go func() {
				s, err := r.m.Session(context.Background(), req, nil)
				if err == nil {
					_, _, err = finish(s)
				}
				done <- err
			}()
		}
		for range 50 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		r.wantLogins(1)
		r.wantLinks("ready")
	})
}

// Commands that stay: after placeSoon a further connection is dialled for those
// in line, one after the other, and the learned number is kept to on each.
func TestLongCommandsGetFurtherConnections(t *testing.T) {
	inBubble(t, sshtest.Options{MaxSessions: 4}, func(t *testing.T, r *rig) {
		start := time.Now()
		for _, o := range r.many(persons(10), "host", "sleep", "1h") {
			if o.err != nil {
				t.Fatal(o.err)
			}
			go finish(o.s)
		}
		if took := time.Since(start); took < placeSoon || took > 3*placeSoon {
			t.Errorf("all ten ran after %v", took)
		}
		r.wantLinks("ready ready ready")
		r.open("host", "sleep", "1h") // the last one's connection has places left
		r.wantLogins(3)
	})
}

// A place that becomes free goes to the first in line.
func TestPlaceGoesToTheFirstInLine(t *testing.T) {
	inBubble(t, sshtest.Options{MaxSessions: 1}, func(t *testing.T, r *rig) {
		r.patient()
		opts := []string{"-o", "MaxConnections=1", "host"}
		first := r.open(append(opts, "sleep", "10s")...)
		go finish(first)
		for _, name := range []string{"a", "b", "c"} {
			req := r.request(append(opts, "echo", name)...)
			go func() {
				s, err := r.m.Session(context.Background(), req, nil)
				if err != nil {
					t.Error(err)
					return
				}
				finish(s)
			}()
			synctest.Wait()
			time.Sleep(2 * placeRetry) // its refusal is over; it stands in line
			synctest.Wait()
		}
		time.Sleep(11 * time.Second)
		synctest.Wait()
		if got := r.execs(); !slices.Equal(got, []string{"sleep 10s", "echo a", "echo b", "echo c"}) {
			t.Errorf("served %q", got)
		}
		r.wantLogins(1)
	})
}

// A login that needs a person is not repeated for a further connection: those
// in line wait, and nobody is asked.
func TestFurtherConnectionAsksNobody(t *testing.T) {
	opts := sshtest.Options{MaxSessions: 1, Password: "secret"}
	inBubble(t, opts, func(t *testing.T, r *rig) {
		r.patient()
		p := says("secret")
		first, err := r.ask(context.Background(), p, "host", "sleep", "10s")
		if err != nil {
			t.Fatal(err)
		}
		go finish(first)
		start := time.Now()
		second, err := r.ask(context.Background(), p, "host", "true")
		if err != nil {
			t.Fatal(err)
		}
		finish(second)
		if took := time.Since(start); took < 9*time.Second {
			t.Errorf("ran after %v, beside a session that had the only place", took)
		}
		if n := p.Times(); n != 1 {
			t.Errorf("asked %d times", n)
		}
		r.wantLogins(1)
	})
}

// A server that takes no session at all says so.
func TestNoPlaceAtAll(t *testing.T) {
	inBubble(t, sshtest.Options{MaxSessions: -1}, func(t *testing.T, r *rig) {
		_, err := r.ask(context.Background(), nil, "host", "true")
		wantError(t, err, control.Refused, "refused a session", "MaxSessions")
	})
}

// Whoever gives up leaves the line, and its place is nobody's.
func TestLeaveTheLine(t *testing.T) {
	inBubble(t, sshtest.Options{MaxSessions: 1}, func(t *testing.T, r *rig) {
		first := r.open("-o", "MaxConnections=1", "host", "sleep", "10s")
		go finish(first)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if _, err := r.ask(ctx, nil, "-o", "MaxConnections=1", "host", "true"); err == nil {
			t.Fatal("two sessions in one place")
		}
		time.Sleep(10 * time.Second)
		r.run("-o", "MaxConnections=1", "host", "true")
		r.wantLogins(1)
		if h := r.host(); h.leases != 0 {
			t.Errorf("%d leases left", h.leases)
		}
	})
}

// A LocalCommand that does not end takes nobody's place on the server.
func TestLocalCommandHoldsNoPlace(t *testing.T) {
	inBubble(t, sshtest.Options{MaxSessions: 1}, func(t *testing.T, r *rig) {
		one := []string{"-o", "MaxConnections=1", "host"}
		s := r.open(append(one, "sleep", "1h")...)
		waits := make(chan outcome, 1)
		req := r.request(append(one, "true")...)
		go func() { s, err := r.m.Session(context.Background(), req, nil); waits <- outcome{s, err} }()
		time.Sleep(time.Second)
		s.Close()
		o := <-waits
		if o.err != nil {
			t.Fatal(o.err)
		}
		finish(o.s)
		if n := r.host().places.limit; n != 1 {
			t.Fatalf("learned %d places, want 1", n)
		}
		ctx, cancel := context.WithCancel(t.Context())
		stuck := says("")
		stuck.OnRun = func(ctx context.Context, _ control.Command) (control.Ran, error) {
			<-ctx.Done()
			return control.Ran{}, ctx.Err()
		}
		ended := make(chan error, 1)
		go func() {
			_, err := r.ask(ctx, stuck, append([]string{"-o", "PermitLocalCommand=yes", "-o", "LocalCommand=hang"}, append(one, "true")...)...)
			ended <- err
		}()
		time.Sleep(time.Second)
		start := time.Now()
		r.run(append(one, "true")...)
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("after %v", took)
		}
		cancel()
		if err := <-ended; err == nil {
			t.Error("a session of a request that was given up")
		}
		r.wantLogins(1)
	})
}

// A further connection that cannot be had is tried again by the ladder, as a
// first one, and a server that is too busy is left alone.
func TestFurtherConnectionsBackOff(t *testing.T) {
	for _, c := range []struct {
		greeting string
		most     int // attempts in five minutes
	}{{"", 250}, {"Exceeded MaxStartups\r\n", 10}} {
		inBubble(t, sshtest.Options{MaxSessions: 1}, func(t *testing.T, r *rig) {
			s := r.open("host", "sleep", "9h")
			out := r.down(errDown)
			if c.greeting != "" {
				out.heal()
				r.srv.Update(func(o *sshtest.Options) { o.Greeting = c.greeting })
			}
			got := make(chan error, 1)
			go func() { _, err := r.ask(t.Context(), nil, "-oWaitForReady=yes", "host", "sleep", "9h"); got <- err }()
			time.Sleep(5 * time.Minute)
			if n := len(out.times()); n < 2 || n > c.most {
				t.Errorf("%q: %d attempts", c.greeting, n)
			}
			for i, at := range out.times()[1:] {
				if d := at.Sub(out.times()[i]); d < time.Second {
					t.Errorf("%q: attempt %d came %v after the one before", c.greeting, i+2, d)
				}
			}
			s.Close() // a place is free
			if err := <-got; err != nil {
				t.Error(err)
			}
		})
	}
}

// A connection that ends while somebody waits in line for a place is replaced as
// any other, and not by a further one that nobody can be asked for.
func TestNoFurtherConnectionWithoutAFirst(t *testing.T) {
	inBubble(t, sshtest.Options{MaxSessions: 1}, func(t *testing.T, r *rig) {
		r.open("host", "sleep", "9h")
		out := r.down(errDown)
		go r.ask(t.Context(), nil, "-oWaitForReady=yes", "host", "sleep", "9h")
		time.Sleep(placeSoon - wire.LastPackets - time.Millisecond)
		r.srv.Last().Drop()
		time.Sleep(10 * time.Second)
		if d := out.offset(0); d < time.Second {
			t.Errorf("dialled %v after the login before", d)
		}
		out.pauses(t, alive.CapWaiting)
		out.heal()
		time.Sleep(time.Minute)
	})
}
