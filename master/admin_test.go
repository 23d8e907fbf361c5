package master

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"muxd/control"
	"muxd/internal/history"
	"muxd/internal/sshtest"
)

// admin has muxd's own command carried out for host.
func (r *rig) admin(a control.AdminRequest, args ...string) (*control.Managed, error) {
	r.t.Helper()
	plan, err := r.plan(nil, append(args, "host")...)
	if err != nil {
		r.t.Fatal(err)
	}
	a.Dest = plan.Dest
	return r.m.Admin(r.t.Context(), &a)
}

// A check is a proof: within five seconds, or it fails.
func TestCheckIsAProof(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		s := r.open("host", "sleep", "9h")
		r.srv.Last().Pipe().Slow(20 * time.Millisecond)
		time.Sleep(14 * time.Second)
		start := time.Now()
		running := fmt.Sprintf("Master running (pid=%d)\n", os.Getpid())
		m, err := r.manage("check")
		if err != nil || m.Code != 0 || !strings.HasPrefix(m.Text, running+"host: last byte ") || !strings.HasSuffix(m.Text, ", round trip 40ms") {
			t.Errorf("%+v, %v", m, err)
		}
		if took := time.Since(start); took > 50*time.Millisecond {
			t.Errorf("it took %v", took)
		}
		r.silent()
		time.Sleep(5 * time.Second)
		start = time.Now()
		m, err = r.manage("check")
		if err != nil || m.Code != exitFailed || !strings.HasPrefix(m.Text, running+"host: the server does not answer: no byte for 10s") {
			t.Errorf("%+v, %v", m, err)
		}
		if took := time.Since(start); took != proofPatience {
			t.Errorf("it took %v", took)
		}
		s.Close()
	})
}

// Recycling gives new work a fresh connection and cuts nothing.
func TestRecycle(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		if _, err := r.admin(control.AdminRequest{Command: "recycle"}); err == nil {
			t.Error("recycled nothing")
		}
		s := r.open("host", "cat")
		m, err := r.admin(control.AdminRequest{Command: "recycle"})
		if err != nil || m.Code != 0 {
			t.Errorf("%+v, %v", m, err)
		}
		r.wantLinks("draining ready")
		if b := r.open("host", "cat"); b.Link() == s.Link() {
			t.Error("new work on the old one")
		} else {
			b.Close()
		}
		s.Write([]byte("still here"))
		s.CloseWrite()
		if out, exit, err := finish(s); out != "still here" || exit.Code != 0 || err != nil {
			t.Errorf("%q %v %v", out, exit, err)
		}
		r.wantLinks("ready")
		r.wantLogins(2)
	})
}

// A connection is kept where no other can be had without a person.
func TestRecycleKeepsWhatItCannotReplace(t *testing.T) {
	inBubble(t, sshtest.Options{Password: "secret"}, func(t *testing.T, r *rig) {
		if _, err := r.ask(t.Context(), says("secret"), "host", "sleep", "9h"); err != nil {
			t.Fatal(err)
		}
		_, err := r.admin(control.AdminRequest{Command: "recycle"})
		wantError(t, err, control.Refused, "host: the connection was kept: ")
		r.wantLinks("ready")
		r.wantState("ready")
	})
}

func TestReconnect(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		r.run("host", "true")
		out := r.down(errDown)
		r.srv.Last().Drop()
		time.Sleep(20 * time.Minute)
		m, err := r.admin(control.AdminRequest{Command: "reconnect"})
		if err != nil || m.Code != 1 || !strings.HasSuffix(m.Text, "ing: connect to host:22: connection refused") { // waiting, or connecting again
			t.Errorf("%+v, %v", m, err)
		}
		out.heal()
		start := time.Now()
		m, err = r.admin(control.AdminRequest{Command: "reconnect"})
		if err != nil || m.Code != 0 || m.Text != "host: ready" {
			t.Errorf("%+v, %v", m, err)
		}
		if took := time.Since(start); took > time.Second {
			t.Errorf("it took %v", took)
		}
		m, err = r.m.Admin(t.Context(), &control.AdminRequest{Command: "reconnect"})
		if err != nil || m.Text != "host: ready" {
			t.Errorf("all: %+v, %v", m, err)
		}
	})
}

func TestWait(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		out := r.down(errDown)
		start := time.Now()
		m, err := r.admin(control.AdminRequest{Command: "wait", Limit: 30 * time.Second})
		if err != nil || m.Code != 1 || m.Text != "host: not ready within 30s: connect to host:22: connection refused" {
			t.Errorf("%+v, %v", m, err)
		}
		if took := time.Since(start); took != 30*time.Second {
			t.Errorf("it took %v", took)
		}
		time.AfterFunc(10*time.Minute, out.heal)
		m, err = r.admin(control.AdminRequest{Command: "wait"})
		if err != nil || m.Code != 0 || m.Text != "" {
			t.Errorf("%+v, %v", m, err)
		}
		if took := time.Since(start); took < 10*time.Minute || took > 11*time.Minute {
			t.Errorf("it took %v", took)
		}
		r.wantLogins(1)
		start = time.Now()
		time.AfterFunc(time.Hour, func() { out.fail(errDown); r.srv.Last().Drop() })
		m, err = r.admin(control.AdminRequest{Command: "wait", Down: true}, "-o", "ControlPersist=yes")
		if err != nil || m.Code != 0 {
			t.Errorf("%+v, %v", m, err)
		}
		if took := time.Since(start); took > time.Hour {
			t.Errorf("it took %v", took)
		}
		m, err = r.admin(control.AdminRequest{Command: "wait", Down: true, Limit: time.Second})
		if err != nil || m.Code != 0 {
			t.Errorf("%+v, %v", m, err)
		}
	})
}

// A connection that is silent is not ready, whatever it says of itself.
func TestWaitIsAProof(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		s := r.open("host", "sleep", "9h")
		r.silent()
		r.down(errDown)
		time.Sleep(5 * time.Second)
		m, err := r.admin(control.AdminRequest{Command: "wait", Limit: time.Minute})
		if err != nil || m.Code != 1 {
			t.Errorf("%+v, %v", m, err)
		}
		s.Close()
	})
}

// Every change is told, in order, to whoever listens.
func TestEvents(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		plan, err := r.plan(nil, "host")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var mu sync.Mutex
		var got []string
		ended := make(chan error, 1)
		go func() {
			ended <- r.m.Events(ctx, &control.EventsRequest{Dest: plan.Dest}, func(e control.Event) error {
				mu.Lock()
				defer mu.Unlock()
				got = append(got, strings.TrimRight(fmt.Sprintf("%s %s>%s %s", e.Kind, e.From, e.To, e.Text), " "))
				return nil
			})
		}()
		synctest.Wait()
		r.run("host", "true")
		time.Sleep(time.Second)
		out := r.down(errDown)
		r.srv.Last().Drop()
		time.Sleep(500 * time.Millisecond)
		out.heal()
		r.m.NetworkChanged()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		cancel()
		<-ended
		want := []string{
			"host >idle", "host idle>connecting", "link >ready", "host connecting>ready",
			"link ready>dead the server closed the connection", "host ready>waiting connection lost (the server closed the connection)",
			"host waiting>connecting", "dial > connect to host:22: connection refused",
			"host connecting>waiting connection refused",
			"network >", "host waiting>connecting", "link >ready", "host connecting>ready",
		}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	})
}

// A reader that is far behind loses events, is told how many, and holds up
// nobody.
func TestEventsAreBounded(t *testing.T) {
	var b hub
	l := b.listen("")
	for range eventsHeld + 7 {
		b.tell(control.Event{Kind: control.EventHost}, "k")
	}
	es := l.take()
	if last := es[len(es)-1]; len(es) != eventsHeld+1 || last.Kind != control.EventLost || last.To != "7" {
		t.Errorf("%d events, the last is %+v", len(es), es[len(es)-1])
	}
	one := b.listen("k")
	b.tell(control.Event{Host: "other"}, "j")
	b.tell(control.Event{Host: "mine"}, "k")
	b.tell(control.Event{Kind: control.EventWake}, "")
	if es := one.take(); len(es) != 2 || es[0].Host != "mine" || es[1].Kind != control.EventWake {
		t.Errorf("%+v", es)
	}
	l.take()
	b.leave(l)
	b.tell(control.Event{}, "")
	if es := l.take(); len(es) != 0 {
		t.Errorf("%+v", es)
	}
}

// What happened before comes first, without a gap to what happens now, and alone
// where no more is wanted.
func TestEventsSince(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		r.run("host", "true")
		time.Sleep(10 * time.Minute)
		r.hangUp()
		past := func(since time.Duration, key string) (got []string) {
			q := &control.EventsRequest{Since: since, Only: true}
			if key != "" {
				plan, err := r.plan(nil, key)
				if err != nil {
					t.Fatal(err)
				}
				q.Dest = plan.Dest
			}
			if err := r.m.Events(t.Context(), q, func(e control.Event) error {
				got = append(got, fmt.Sprintf("%s %s>%s", e.Kind, e.From, e.To))
				return nil
			}); err != nil {
				t.Error(err)
			}
			return got
		}
		up := []string{"host idle>connecting", "link >ready", "host connecting>ready"}
		down := []string{"host ready>idle", "link draining>dead", "link ready>draining"} // in any order
		if got := past(time.Hour, "host"); len(got) != 6 || !slices.Equal(got[:3], up) {
			t.Errorf("of an hour: %q", got)
		}
		if got := past(time.Minute, "host"); !slices.Equal(slices.Sorted(slices.Values(got)), down) {
			t.Errorf("of a minute: %q", got)
		}
		if got := past(0, "host"); got != nil {
			t.Errorf("of no time: %q", got)
		}
		if got := past(time.Hour, "other"); got != nil {
			t.Errorf("of another host: %q", got)
		}
		ctx, cancel := context.WithCancel(t.Context())
		got := make(chan string, 99)
		go r.m.Events(ctx, &control.EventsRequest{Since: time.Minute}, func(e control.Event) error {
			got <- fmt.Sprintf("%s %s>%s", e.Kind, e.From, e.To)
			return nil
		})
		synctest.Wait()
		r.run("host", "true")
		cancel()
		synctest.Wait()
		close(got)
		var all []string
		for s := range got {
			all = append(all, s)
		}
		if want := append([]string{"host >idle"}, up...); len(all) != 7 || !slices.Equal(all[3:], want) {
			t.Errorf("and goes on: %q", all)
		}
	})
}

// Of what is forgotten one is told, and how many.
func TestEventsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b hub
		for range history.Most + 3 {
			b.tell(control.Event{Time: time.Now(), Kind: control.EventHost}, "k")
		}
		l, past := b.listenSince("k", time.Second)
		if len(past) != history.Most+1 || past[0].Kind != control.EventLost || past[0].To != "3" {
			t.Errorf("%d events, the first is %+v", len(past), past[0])
		}
		b.leave(l)
		time.Sleep(time.Minute)
		b.tell(control.Event{Time: time.Now(), Kind: control.EventWake}, "")
		if _, past = b.listenSince("k", time.Second); len(past) != 1 || past[0].Kind != control.EventWake {
			t.Errorf("%+v", past)
		}
	})
}
