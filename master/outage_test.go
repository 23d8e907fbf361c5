package master

import (
	"context"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"

	"muxd/alive"
	"muxd/control"
	"muxd/internal/sshtest"
)

// attempts counts the dials of a rig, and makes them fail until it is told
// otherwise.
type attempts struct {
	r    *rig
	from time.Time

	mu  sync.Mutex
	err error       // guarded by mu
	at  []time.Time // guarded by mu
}

// down has every dial fail from now on.
func (r *rig) down(err error) *attempts {
	a := &attempts{r: r, err: err, from: time.Now()}
	r.through(func(ctx context.Context, network, addr string) (net.Conn, error) {
		a.mu.Lock()
		a.at = append(a.at, time.Now())
		err := a.err
		a.mu.Unlock()
		if err != nil {
			return nil, err
		}
		return r.srv.DialContext(ctx, network, addr)
	})
	return a
}

func (a *attempts) heal() { a.fail(nil) }

// fail has every dial fail from now on, or with nil none.
func (a *attempts) fail(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.err = err
}

// times is when the attempts were made.
func (a *attempts) times() []time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.at)
}

// pauses checks that no two attempts lie closer than a second or, once the first
// two were made, further apart than limit.
func (a *attempts) pauses(t *testing.T, limit time.Duration) {
	t.Helper()
	for i, at := range a.times()[1:] {
		switch d := at.Sub(a.times()[i]); {
		case d < time.Second:
			t.Errorf("attempt %d came %v after the one before", i+2, d)
		case d > limit:
			t.Errorf("attempt %d came %v after the one before, more than %v", i+2, d, limit)
		}
	}
}

// offset is when an attempt was made.
func (a *attempts) offset(i int) time.Duration { return a.times()[i].Sub(a.from) }

var errDown = &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}

// A command that is given during an outage runs when that is over, and its
// client is told of every step in between.
func TestACommandWaitsThroughAnOutage(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		r.run("host", "true")
		time.Sleep(time.Minute)
		out := r.down(errDown)
		r.srv.Last().Drop()
		time.Sleep(812 * time.Second)
		p, got := says(""), make(chan string, 1)
		asked := time.Now()
		go func() {
			s, err := r.ask(t.Context(), p, "-o", "WaitForReady=yes", "host", "echo", "back")
			if err != nil {
				got <- err.Error()
				return
			}
			text, _, _ := finish(s)
			got <- text
		}()
		time.Sleep(5 * time.Minute)
		begun := slices.IndexFunc(out.times(), func(at time.Time) bool { return !at.Before(asked) })
		want := asked // or, where one has just been made, a second after that
		if begun > 0 {
			want = later(want, out.times()[begun-1].Add(time.Second))
		}
		if out.times()[begun] != want {
			t.Errorf("a request did not begin an attempt at once, but after %v", out.times()[begun].Sub(asked))
		}
		while := &attempts{at: out.times()[begun:]}
		while.pauses(t, alive.CapWaiting)
		if n := len(while.at); n < 100 {
			t.Errorf("%d attempts in five minutes", n)
		}
		out.heal()
		time.Sleep(alive.CapWaiting)
		synctest.Wait()
		if text := <-got; text != "back\n" {
			t.Errorf("%q", text)
		}
		r.wantLogins(2)
		saw := p.Waits()
		last := saw[len(saw)-1]
		if !slices.ContainsFunc(saw, func(w control.Waiting) bool {
			return w.Silence >= 812*time.Second && w.Next > 0 && w.Cause == "connection refused" && !w.Dialling && w.Attempt > 0
		}) {
			t.Errorf("told %+v", saw)
		}
		if last != (control.Waiting{}) {
			t.Errorf("the last word was %+v", last)
		}
	})
}

// How long a request waits is WaitForReady's to say: unset, a minute where no
// person sees the wait.
func TestWaitForReady(t *testing.T) {
	for _, c := range []struct {
		option string
		want   time.Duration
		tries  int // at least
	}{
		{"no", 0, 1}, {"0", 0, 1}, {"30", 30 * time.Second, 10}, {"", time.Minute, 20},
	} {
		inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
			r.patient()
			out := r.down(errDown)
			args := []string{"host", "true"}
			if c.option != "" {
				args = append([]string{"-o", "WaitForReady=" + c.option}, args...)
			}
			_, err := r.ask(t.Context(), nil, args...)
			wantError(t, err, control.Refused, "host: connect to host:22: connection refused")
			if took := time.Since(out.from); took != c.want {
				t.Errorf("%q: it took %v, want %v", c.option, took, c.want)
			}
			if n := len(out.times()); n < c.tries || c.want == 0 && n != 1 {
				t.Errorf("%q: %d attempts", c.option, n)
			}
			if told := err.Error(); c.want > 0 != strings.Contains(told, "WaitForReady sets how long") {
				t.Errorf("%q: %s", c.option, told)
			}
			// Nobody waits, and it was never used: nobody wants it.
			n := len(out.times())
			time.Sleep(time.Hour)
			if len(out.times()) != n {
				t.Errorf("%q: %d attempts for nobody", c.option, len(out.times())-n)
			}
		})
	}
}

// The time in which a person is asked counts for nothing.
func TestAQuestionIsNotAnOutage(t *testing.T) {
	inBubble(t, sshtest.Options{Password: "secret"}, func(t *testing.T, r *rig) {
		p := &person{OnPrompt: func(context.Context, control.Prompt) (control.Answer, error) {
			time.Sleep(time.Minute)
			return control.Answer{Text: "secret"}, nil
		}}
		if _, err := r.ask(t.Context(), p, "-o", "WaitForReady=5", "host", "true"); err != nil {
			t.Error(err)
		}
	})
}

// A name that never was is a mistake and no outage; one that was is an outage.
func TestNoSuchName(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		gone := &net.DNSError{Err: "no such host", Name: "host", IsNotFound: true}
		out := r.down(gone)
		_, err := r.ask(t.Context(), nil, "-o", "WaitForReady=yes", "host", "true")
		wantError(t, err, control.Refused, "host: ")
		if took := time.Since(out.from); took != 0 {
			t.Errorf("it took %v", took)
		}
		out.heal()
		time.Sleep(time.Second)
		r.run("host", "true")
		out.fail(gone)
		r.hangUp()
		go func() { time.Sleep(time.Hour); out.heal() }()
		if _, err := r.ask(t.Context(), nil, "-o", "WaitForReady=yes", "host", "true"); err != nil {
			t.Error(err)
		}
	})
}

// Enter makes the next attempt due at once.
func TestImpatience(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		out := r.down(errDown)
		p := says("")
		p.Hurry = make(chan struct{}, 1)
		go r.ask(t.Context(), p, "-o", "WaitForReady=yes", "host", "true")
		time.Sleep(time.Hour)
		for range 20 {
			n := len(out.times())
			last := out.times()[n-1]
			p.Hurry <- struct{}{}
			synctest.Wait()
			if wait := time.Second - time.Since(last); wait > 0 {
				time.Sleep(wait)
				synctest.Wait()
			}
			if len(out.times()) != n+1 {
				t.Errorf("%d attempts, want %d", len(out.times()), n+1)
			}
			time.Sleep(1500 * time.Millisecond)
		}
		out.pauses(t, alive.CapWaiting)
		out.heal()
		time.Sleep(time.Minute)
	})
}

// A dial that gets nowhere is given up for a new one when a person wants that,
// and costs nobody his place.
func TestImpatienceWithADial(t *testing.T) {
	inBubble(t, sshtest.Options{DialDelay: 14 * time.Second}, func(t *testing.T, r *rig) {
		p := says("")
		p.Hurry = make(chan struct{}, 1)
		got := make(chan error, 1)
		go func() { _, err := r.ask(t.Context(), p, "-o", "WaitForReady=no", "host", "true"); got <- err }()
		time.Sleep(5 * time.Second)
		r.srv.Update(func(o *sshtest.Options) { o.DialDelay = 0 })
		p.Hurry <- struct{}{}
		answered(t, got)
	})
}

// A loop of requests that each make one attempt dials once a second.
func TestALoopOfRequests(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		out := r.down(errDown)
		for time.Since(out.from) < time.Minute {
			_, err := r.ask(t.Context(), nil, "host", "true")
			wantError(t, err, control.Refused, "connection refused")
		}
		out.pauses(t, time.Second)
		if n := len(out.times()); n < 60 || n > 61 {
			t.Errorf("%d attempts in a minute", n)
		}
	})
}

// What was used within ControlPersist comes back by itself, and is given up for
// good when that time is over.
func TestRecentUseIsWanted(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		r.run("-o", "ControlPersist=1h", "host", "true")
		time.Sleep(time.Second)
		out := r.down(errDown)
		r.srv.Last().Drop()
		time.Sleep(30 * time.Minute)
		r.wantState("waiting")
		if d := out.offset(0); d != returnAfter {
			t.Errorf("the first attempt came after %v", d)
		}
		out.pauses(t, alive.CapForwards)
		out.heal()
		time.Sleep(alive.CapForwards)
		r.wantState("ready")
		r.wantLogins(2)
		out.fail(errDown)
		r.srv.Last().Drop()
		just(t, 30*time.Minute-alive.CapForwards-time.Second, "wanted", func() bool { return r.state() == "waiting" })
		r.wantState("idle")
		n := len(out.times())
		time.Sleep(10 * time.Minute)
		if len(out.times()) != n {
			t.Error("an attempt for nobody")
		}
		r.wantState("forgotten")
	})
}

// What is pinned comes back for as long as muxd runs, at most 30 s apart, and
// never expires.
func TestPinned(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		r.write(".config/muxd/config", "Pinned yes\nControlPersist 10\n")
		r.run("host", "true")
		hours := long(24)
		time.Sleep(hours * time.Hour)
		r.wantLinks("ready")
		out := r.down(errDown)
		r.srv.Last().Drop()
		time.Sleep(hours * time.Hour)
		out.pauses(t, alive.CapPinned)
		if n := len(out.times()); n < int(hours)*120 {
			t.Errorf("%d attempts", n)
		}
		out.heal()
		time.Sleep(alive.CapPinned)
		r.wantState("ready")
		// Closed by request it stays closed, until the next one.
		r.wantManaged("exit", "Exit request sent.")
		time.Sleep(9 * time.Minute)
		r.wantState("idle")
		r.run("host", "true")
		time.Sleep(time.Hour)
		r.wantState("ready")
	})
}

// The first retry is at once, also when a connection is lost again and again:
// but then the ladder goes on, and does not begin anew with each login.
func TestALoginIsNoHealth(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		r.write(".config/muxd/config", "Pinned yes\n")
		r.run("host", "true")
		start := time.Now()
		made := r.down(nil)
		direct := r.dial
		r.dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := direct(ctx, network, addr)
			time.AfterFunc(2*time.Second, func() { c.Close() })
			return c, err
		}
		r.srv.Last().Drop()
		time.Sleep(time.Hour)
		at := made.times()
		if n := len(at); n < 60 || n > 400 {
			t.Errorf("%d logins in an hour of a server that drops everybody after 2 s", n)
		}
		if d := at[0].Sub(start); d != time.Second && d != returnAfter {
			t.Errorf("the first came after %v", d)
		}
	})
}

// A server that sends newcomers away is left alone for a while, whoever asks.
func TestABusyServer(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		r.patient()
		r.srv.Update(func(o *sshtest.Options) { o.Greeting = "Exceeded MaxStartups\r\n" })
		out := r.down(nil)
		_, err := r.ask(t.Context(), nil, "-o", "WaitForReady=5m", "host", "true")
		wantError(t, err, control.Refused, `host: the server refused the connection: "Exceeded MaxStartups"`)
		want := []time.Duration{0, 5 * time.Second, 10 * time.Second, 20 * time.Second, 40 * time.Second, 60 * time.Second, 60 * time.Second, 60 * time.Second}
		if len(out.times()) < 7 || len(out.times()) > 8 {
			t.Fatalf("%d attempts", len(out.times()))
		}
		for i, at := range out.times()[1:] {
			if d := at.Sub(out.times()[i]); d < want[i+1] || d > want[i+1]+alive.CapWaiting {
				t.Errorf("attempt %d after %v, want %v", i+2, d, want[i+1])
			}
		}
		// Another request does not make it come sooner, and one that makes a
		// single attempt is told at once.
		n, start := len(out.times()), time.Now()
		_, err = r.ask(t.Context(), nil, "-o", "WaitForReady=no", "host", "true")
		wantError(t, err, control.Refused, "Exceeded MaxStartups")
		if len(out.times()) != n || time.Since(start) != 0 {
			t.Errorf("%d attempts more, after %v", len(out.times())-n, time.Since(start))
		}
	})
}

// What only a person can mend is tried once by itself, then never by a timer,
// and once by every request.
func TestBlockedIsNotTriedByATimer(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		r.write(".config/muxd/config", "Pinned yes\n")
		r.run("host", "true")
		time.Sleep(time.Minute)
		key := r.srv.RotateHostKey()
		out := r.down(nil)
		r.srv.Last().Drop()
		time.Sleep(long(6) * time.Hour)
		r.wantState("blocked")
		if n := len(out.times()); n != 1 {
			t.Errorf("%d attempts", n)
		}
		_, err := r.ask(t.Context(), nil, "-o", "WaitForReady=yes", "host", "true")
		wantError(t, err, control.Refused, "host: ", "the host key has changed")
		if n := len(out.times()); n != 2 {
			t.Errorf("%d attempts", n)
		}
		time.Sleep(long(6) * time.Hour)
		if n := len(out.times()); n != 2 {
			t.Errorf("%d attempts", n)
		}
		time.Sleep(time.Millisecond) // so as not to meet the look of this instant
		// The cause is mended: one attempt, soon, and nobody had to ask.
		r.know(key)
		r.wantState("blocked")
		time.Sleep(causeEvery)
		r.wantState("ready")
		if n := len(out.times()); n != 3 {
			t.Errorf("%d attempts", n)
		}
	})
}

// The configuration is such a cause too, also when it leads elsewhere.
func TestAChangedConfigurationUnblocks(t *testing.T) {
	inBubble(t, sshtest.Options{Password: "secret"}, func(t *testing.T, r *rig) {
		r.write(".config/muxd/config", "Pinned yes\n")
		if _, err := r.ask(t.Context(), says("secret"), "host", "true"); err != nil {
			t.Fatal(err)
		}
		out := r.down(nil)
		r.srv.Last().Drop()
		time.Sleep(time.Hour)
		r.wantState("blocked")
		n := len(out.times())
		key := sshtest.NewKey()
		path := key.WriteFile(t, r.home, "key", "")
		r.srv.Update(func(o *sshtest.Options) { o.AuthorizedKeys = []ssh.PublicKey{key.PublicKey()} })
		r.write(".config/muxd/config", "Pinned yes\nIdentityFile "+path+"\n")
		time.Sleep(2 * causeEvery)
		synctest.Wait()
		ready := 0
		for _, h := range r.m.all() {
			if h.State() == Ready {
				ready++
			}
		}
		if ready != 1 || len(out.times()) != n+1 {
			t.Errorf("%d hosts ready, %d attempts", ready, len(out.times())-n)
		}
	})
}

// A key that is back lets the next request in, and the request before it is
// refused at once: cron recovers.
func TestCronRecovers(t *testing.T) {
	key := sshtest.NewKey()
	inBubble(t, sshtest.Options{AuthorizedKeys: []ssh.PublicKey{key.PublicKey()}}, func(t *testing.T, r *rig) {
		r.patient()
		key.WriteFile(t, r.home+"/.ssh", "id_ed25519", "")
		r.run("host", "true")
		other := sshtest.NewKey().PublicKey()
		r.srv.Update(func(o *sshtest.Options) { o.AuthorizedKeys = []ssh.PublicKey{other} })
		r.srv.Last().Drop()
		time.Sleep(time.Minute)
		r.wantState("blocked")
		start := time.Now()
		_, err := r.ask(t.Context(), nil, "host", "true")
		wantError(t, err, control.Refused, "Permission denied")
		if d := time.Since(start); d != 0 {
			t.Errorf("refused after %v", d)
		}
		r.srv.Update(func(o *sshtest.Options) { o.AuthorizedKeys = []ssh.PublicKey{key.PublicKey()} })
		time.Sleep(time.Second)
		r.run("host", "true")
	})
}
