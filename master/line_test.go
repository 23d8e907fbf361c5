package master

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"muxd/control"
	"muxd/internal/dest"
	"muxd/internal/sshtest"
)

// remembering is a Learned that knows of sessions only.
type remembering struct {
	nothing
	limit atomic.Int32 // of the one destination there is
}

func (m *remembering) SessionLimit(string) int         { return int(m.limit.Load()) }
func (m *remembering) SetSessionLimit(_ string, n int) { m.limit.Store(int32(n)) }
func (m *remembering) Forget(string)                   { m.limit.Store(0) }

// refusals are how many sessions the server had no place for.
func refusals(srv *sshtest.Server) int { return len(srv.Events(sshtest.ChannelRefused)) }

// of is a request of a client of its own.
func (r *rig) of(client int, args ...string) *control.SessionRequest {
	q := r.request(args...)
	q.PID = 1<<30 + client // no process
	return q
}

// queue has a request wait in line.
func (r *rig) inLine(q *control.SessionRequest, p control.Prompter) <-chan error {
	got := make(chan error, 1)
	go func() {
		s, err := r.m.Session(context.Background(), q, p)
		if err == nil {
			_, _, err = finish(s)
		}
		got <- err
	}()
	time.Sleep(2 * placeRetry)
	synctest.Wait()
	return got
}

// What one muxd learned the next one keeps to, and it asks for one more at the
// first chance: a server that takes more by now is found out within one request.
func TestLearnedLimitIsRemembered(t *testing.T) {
	mem := &remembering{}
	again := func(t *testing.T, most int, f func(r *rig)) {
		inBubble(t, sshtest.Options{MaxSessions: most}, func(t *testing.T, r *rig) {
			r.m.cfg.Learned = mem
			f(r)
		})
	}
	again(t, 4, func(r *rig) {
		for _, o := range r.many(persons(5), "host", "sleep", "1h") {
			if o.err != nil {
				t.Fatal(o.err)
			}
		}
		if mem.limit.Load() != 4 {
			t.Errorf("learned %v, want 4", mem.limit.Load())
		}
	})
	again(t, 4, func(r *rig) {
		for range 4 {
			r.open("host", "sleep", "1h")
		}
		if n := refusals(r.srv); n != 0 {
			t.Errorf("%d refusals of what is known to fit", n)
		}
		r.open("host", "sleep", "1h")
		r.open("host", "sleep", "1h")
		if n := refusals(r.srv); n > 1 {
			t.Errorf("%d refusals in the second life", n)
		}
		r.wantLinks("ready ready")
	})
	again(t, 7, func(r *rig) {
		for range 7 {
			r.open("host", "sleep", "1h")
		}
		synctest.Wait()
		if n := refusals(r.srv); n != 0 || mem.limit.Load() != 7 {
			t.Errorf("%d refusals, and %v learned, want 7", n, mem.limit.Load())
		}
		r.wantLogins(1)
	})
	again(t, 3, func(r *rig) { // fewer than it said before
		for range 4 {
			r.open("host", "sleep", "1h")
		}
		if mem.limit.Load() != 3 {
			t.Errorf("learned %v, want 3", mem.limit.Load())
		}
		r.wantLinks("ready ready")
		if _, err := r.m.Admin(context.Background(), &control.AdminRequest{Command: "reconnect", Dest: r.host().dest, Forget: true}); err != nil {
			t.Error(err)
		}
		if n := r.host().places.limit; n != 0 || mem.limit.Load() != 0 {
			t.Errorf("%d and %v after it was to be forgotten", n, mem.limit.Load())
		}
	})
}

// A server that takes no session says so at once, and that is not how many it
// takes; what needs no session goes through.
func TestNoSessionsAtAll(t *testing.T) {
	inBubble(t, sshtest.Options{MaxSessions: -1}, func(t *testing.T, r *rig) {
		mem := &remembering{}
		r.m.cfg.Learned = mem
		r.forward("db:5432", "host").Close()
		start := time.Now()
		_, err := r.ask(t.Context(), nil, "host", "true")
		wantError(t, err, control.Refused, "refused a session", "MaxSessions")
		if d := time.Since(start); d > 10*time.Millisecond {
			t.Errorf("told after %v", d)
		}
		if n := refusals(r.srv); n != 1 || mem.limit.Load() != 0 {
			t.Errorf("asked %d times, learned %v", n, mem.limit.Load())
		}
		r.forward("db:5432", "host").Close()
		r.wantLogins(1)
		r.srv.Update(func(o *sshtest.Options) { o.MaxSessions = 0 })
		r.run("host", "true")
	})
}

// Who waits for a place waits as long as WaitForReady says, hears for what, and
// is told so in one line.
func TestWaitForAPlaceIsBounded(t *testing.T) {
	inBubble(t, sshtest.Options{MaxSessions: 1}, func(t *testing.T, r *rig) {
		one := func(wait string) []string {
			return []string{"-oMaxConnections=1", "-oWaitForReady=" + wait, "host", "true"}
		}
		r.open("-oMaxConnections=1", "host", "sleep", "9h")
		for wait, bound := range map[string]time.Duration{"30": 30 * time.Second, "no": placeLeast} {
			p := says("")
			q := r.request(one(wait)...)
			asked := time.Now()
			got := r.inLine(q, p)
			var err error
			just(t, time.Until(asked.Add(bound)), "wait with WaitForReady "+wait, func() bool {
				select {
				case err = <-got:
					return false
				default:
					return true
				}
			})
			wantError(t, err, control.Refused, "host: the server takes one session on a connection, one has to end; MaxConnections is 1 (no place for "+bound.String())
			if n := len(p.Waits()); n == 0 || !strings.Contains(p.Waits()[n-1].Cause, "one has to end") {
				t.Errorf("told %+v", p.Waits())
			}
		}
		forever := r.inLine(r.request(one("yes")...), says(""))
		time.Sleep(time.Hour)
		synctest.Wait()
		select {
		case err := <-forever:
			t.Error("who waits without a bound:", err)
		default:
		}
		if h := r.host(); len(h.held) != 1 || h.held[0] != 1 {
			t.Errorf("places held: %v", h.held)
		}
	})
}

// While the line moves nobody in it is sent away, and one that stands still again
// is no longer waited in than one that never moved.
func TestALineThatMovesIsWaitedIn(t *testing.T) {
	inBubble(t, sshtest.Options{MaxSessions: 1}, func(t *testing.T, r *rig) {
		one := []string{"-oMaxConnections=1", "-oWaitForReady=no", "host", "sleep"}
		r.open(append(one, "3s")...)
		start := time.Now()
		var line []<-chan error
		for range 20 {
			line = append(line, r.inLine(r.request(append(one, "3s")...), nil))
		}
		last := r.inLine(r.request(append(one, "9h")...), nil)
		for i, got := range line {
			if err := <-got; err != nil {
				t.Errorf("%d of 20 after %v: %v", i, time.Since(start), err)
			}
		}
		if took := time.Since(start); took < 60*time.Second {
			t.Errorf("all took %v", took)
		}
		time.Sleep(placeProbeMax + time.Second)
		begun := time.Now()
		wantError(t, <-r.inLine(r.request(append(one, "1s")...), nil), control.Refused, "no place for 5s")
		if took := time.Since(begun); took > placeLeast+time.Second {
			t.Errorf("the last was sent away after %v", took)
		}
		select {
		case err := <-last:
			t.Error("the one that sleeps:", err)
		default:
		}
	})
}

// stall has run look at nothing for d, as where muxd is stopped.
func (r *rig) stall(d time.Duration) { r.host().post(func() { time.Sleep(d) }) }

// The time during which muxd itself stood still sends nobody away: what happened
// meanwhile is looked at first. Where that is nothing, it is over.
func TestAStallSendsNobodyAway(t *testing.T) {
	inBubble(t, sshtest.Options{MaxSessions: 1}, func(t *testing.T, r *rig) {
		args := func(command ...string) []string {
			return append([]string{"-oMaxConnections=1", "-oWaitForReady=no", "host"}, command...)
		}
		r.open(args("sleep", "3s")...)
		next, after := r.inLine(r.request(args("sleep", "9h")...), nil), r.inLine(r.request(args("true")...), nil)
		time.Sleep(time.Second)
		r.stall(time.Minute)
		time.Sleep(time.Minute + placeLeast/2)
		synctest.Wait()
		if n := len(r.execs()); n != 2 {
			t.Errorf("%d commands began, want 2", n)
		}
		select {
		case err := <-next:
			t.Error("the next in line:", err)
		default:
		}
		r.stall(time.Minute)
		time.Sleep(time.Minute + lastLook)
		synctest.Wait()
		select {
		case err := <-after:
			wantError(t, err, control.Refused, "no place for 5s")
		default:
			t.Error("waits still")
		}
	})
}

// Nor is it time that somebody waited for a connection.
func TestAStallIsNoAttempt(t *testing.T) {
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		r.down(unix.ECONNREFUSED)
		got := r.inLine(r.request("-oWaitForReady=5", "host", "true"), nil)
		time.Sleep(time.Second)
		r.stall(time.Minute)
		r.through(nil)
		time.Sleep(time.Minute + lastLook)
		answered(t, got)
	})
}

// What needs no session's place passes by all who wait for one.
func TestForwardsDoNotStandInLine(t *testing.T) {
	inBubble(t, sshtest.Options{MaxSessions: 1}, func(t *testing.T, r *rig) {
		r.patient()
		one := []string{"-oMaxConnections=1", "host"}
		s := r.open(append(one, "sleep", "9h")...)
		var line []<-chan error
		for range 5 {
			line = append(line, r.inLine(r.request(append(one, "true")...), nil))
		}
		start := time.Now()
		r.forward("db:5432", one...).Close()
		_, release, err := r.m.forward(t.Context(), forwardOf(r, one...), nil)
		if err != nil {
			t.Error(err)
		} else {
			release()
		}
		if d := time.Since(start); d > 10*time.Millisecond {
			t.Errorf("took %v", d)
		}
		s.Close()
		for _, got := range line {
			if err := <-got; err != nil {
				t.Error(err)
			}
		}
		r.wantLogins(1)
	})
}

// forwardOf is a request for a forward.
func forwardOf(r *rig, args ...string) *control.ForwardRequest {
	plan, err := r.plan(nil, append([]string{"-N", "-R", "0:db:5432"}, args...)...)
	if err != nil {
		r.t.Fatal(err)
	}
	return plan.Forward
}

// One client's many do not keep another's one out, and the many go on.
func TestClientsShareTheLine(t *testing.T) {
	stay := func(*sshtest.Session, []string) sshtest.Exit { time.Sleep(time.Second); return sshtest.Exit{} }
	inBubble(t, sshtest.Options{MaxSessions: 2, Commands: map[string]sshtest.Command{"stay": stay}}, func(t *testing.T, r *rig) {
		args := func(name string) []string {
			return []string{"-oMaxConnections=1", "-oWaitForReady=yes", "host", "stay", name}
		}
		for i := range 20 {
			r.inLine(r.of(1, args(fmt.Sprint("many", i))...), nil)
		}
		for i := range 3 {
			r.inLine(r.of(2, args(fmt.Sprint("few", i))...), nil)
		}
		r.inLine(r.of(3, args("one")...), nil)
		time.Sleep(time.Minute)
		synctest.Wait()
		var order []string
		for _, e := range r.execs() {
			order = append(order, strings.TrimPrefix(e, "stay "))
		}
		if len(order) != 24 {
			t.Fatalf("%d of 24 ran: %q", len(order), order)
		}
		// Two had begun when the others came. Of what came free, each second place
		// went to who came first.
		for name, last := range map[string]int{"few0": 6, "one": 8, "few2": 12, "many4": 10} {
			if i := slices.Index(order, name); i > last {
				t.Errorf("%s ran as number %d: %q", name, i, order)
			}
		}
		var many []string
		for _, name := range order {
			if strings.HasPrefix(name, "many") {
				many = append(many, name)
			}
		}
		for i, name := range many {
			// Two places that become free at once are taken at once.
			if n, _ := strconv.Atoi(strings.TrimPrefix(name, "many")); n < i-1 || n > i+1 {
				t.Errorf("one client's own order: %q", many)
				break
			}
		}
	})
}

// Commands on a server that takes one session on a connection: connections that
// are idle are used again, and go when they are not.
func TestOneSessionAConnection(t *testing.T) {
	inBubble(t, sshtest.Options{MaxSessions: 1}, func(t *testing.T, r *rig) {
		three := func(args ...string) {
			for _, o := range r.many(persons(3), args...) {
				if o.err != nil {
					t.Fatal(o.err)
				}
				finish(o.s)
			}
		}
		three("host", "sleep", "10s")
		r.wantLinks("ready ready ready")
		for range 5 {
			time.Sleep(furtherIdle / 2)
			three("host", "sleep", "1s")
		}
		r.wantLogins(3)
		r.run("host", "true")
		time.Sleep(furtherIdle - time.Second)
		r.wantLinks("ready ready ready")
		time.Sleep(2 * time.Second)
		r.wantLinks("ready")
		r.wantLogins(3)
		r.run("host", "true")
		time.Sleep(dest.DefaultPersist)
		r.wantLinks("")
	})
}
