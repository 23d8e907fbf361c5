package master

import (
	"maps"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"muxd/alive"
	"muxd/control"
	"muxd/internal/dest"
	"muxd/internal/sshtest"
)

// memory is a Learned in memory.
type memory struct {
	nothing
	mu     sync.Mutex
	warm   map[string]alive.Warmth // guarded by mu
	forgot []string                // guarded by mu
}

func (m *memory) Warmth(dest, network string) alive.Warmth {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.warm[dest+" "+network]
}

func (m *memory) SetWarmth(dest, network string, w alive.Warmth) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.warm[dest+" "+network] = w
}

func (m *memory) Forget(dest string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.forgot = append(m.forgot, dest)
	maps.DeleteFunc(m.warm, func(k string, _ alive.Warmth) bool { return dest == "" || k[:len(dest)] == dest })
}

// forgetful has every connection that is silent for longer than life forgotten
// by something on the way: nothing passes any more, in either direction.
func (r *rig) forgetful(life time.Duration) {
	go func() {
		seen, last := map[*sshtest.Peer]int64{}, map[*sshtest.Peer]time.Time{}
		for r.m.ctx.Err() == nil {
			sleep(r.m.ctx, 500*time.Millisecond)
			for _, p := range r.srv.Peers() {
				if n := p.Pipe().In().Delivered() + p.Pipe().Out().Delivered(); n != seen[p] || last[p].IsZero() {
					seen[p], last[p] = n, time.Now()
				} else if time.Since(last[p]) > life {
					p.Pipe().Stall()
				}
			}
		}
	}()
}

func learning(t *testing.T, config string, f func(t *testing.T, r *rig, mem *memory)) {
	t.Helper()
	inBubble(t, sshtest.Options{}, func(t *testing.T, r *rig) {
		r.write(".config/muxd/config", config)
		mem := &memory{warm: map[string]alive.Warmth{}}
		r.m.cfg.Learned, r.m.cfg.Network = mem, func() string { return "home" }
		f(t, r, mem)
	})
}

// every is the keep-warm interval that is in force for the one destination.
func (m *memory) every() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, w := range m.warm {
		return w.Interval()
	}
	return alive.Warmth{}.Interval()
}

// A path that forgets idle connections is learned, at the price of one of them.
func TestAForgetfulPathIsLearned(t *testing.T) {
	day := long(24) * time.Hour
	learning(t, "Pinned yes\n", func(t *testing.T, r *rig, mem *memory) {
		r.forgetful(10 * time.Second)
		r.run("host", "true")
		time.Sleep(time.Minute)
		r.wantLogins(2)
		if got := mem.every(); got != 7500*time.Millisecond {
			t.Errorf("keeps warm every %v", got)
		}
		time.Sleep(day)
		n := r.srv.Logins() // it felt its way up to what the path bears
		if n > 4 {
			t.Errorf("%d logins in a day", n)
		}
		time.Sleep(day)
		r.wantLogins(n)
		// And is remembered for the next connection.
		r.srv.Last().Drop()
		time.Sleep(day)
		r.wantLogins(n + 1)
		if m, err := r.m.Admin(t.Context(), adminAllForget); err != nil || len(mem.forgot) != 1 || mem.forgot[0] != "" {
			t.Errorf("%+v, %v, forgot %q", m, err, mem.forgot)
		}
	})
}

// Where nothing was ever lost the interval grows to 30 s, and no further.
func TestAQuietPathIsLeftAlone(t *testing.T) {
	learning(t, "Pinned yes\n", func(t *testing.T, r *rig, mem *memory) {
		r.run("host", "true")
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		if got := mem.every(); got != 30*time.Second {
			t.Errorf("keeps warm every %v", got)
		}
		n := r.probes()
		time.Sleep(time.Hour)
		synctest.Wait()
		if n = r.probes() - n; n != 120 {
			t.Errorf("%d probes in an hour", n)
		}
	})
}

// Neither a network that was away nor one that changed says anything of how long
// an idle connection lives.
func TestWhatTeachesNothing(t *testing.T) {
	for name, during := range map[string]func(r *rig){
		"an outage": func(r *rig) { r.down(errDown); time.AfterFunc(time.Minute, func() { r.through(nil) }) },
		"a moment":  func(r *rig) { r.down(errDown); time.AfterFunc(19*time.Second, func() { r.through(nil) }) }, // the doubt comes after 17 s
		"a change":  func(r *rig) { r.m.NetworkChanged() },
	} {
		t.Run(name, func(t *testing.T) {
			learning(t, "Pinned yes\n", func(t *testing.T, r *rig, mem *memory) {
				r.run("host", "true")
				r.silent()
				time.Sleep(time.Second)
				during(r)
				time.Sleep(5 * time.Minute)
				r.wantLogins(2)
				if got := mem.every(); got != 15*time.Second {
					t.Errorf("keeps warm every %v", got)
				}
			})
		})
	}
}

// A connection that answers after all was late, and what its silence taught is
// taken back.
func TestALateAnswerUnteaches(t *testing.T) {
	learning(t, "Pinned yes\n", func(t *testing.T, r *rig, mem *memory) {
		s := r.open("host", "sleep", "1h")
		defer finish(s)
		c := r.silent()
		time.Sleep(time.Minute)
		r.wantLogins(2)
		if got := mem.every(); got != 7500*time.Millisecond {
			t.Fatalf("keeps warm every %v", got)
		}
		c.Resume()
		time.Sleep(time.Minute)
		if got := mem.every(); got != 15*time.Second {
			t.Errorf("keeps warm every %v", got)
		}
	})
}

// Nothing forgets a connection within two seconds: a question that is not answered
// then met a machine that is busy.
func TestAShortSilenceTeachesNothing(t *testing.T) {
	learning(t, "Pinned yes\n", func(t *testing.T, r *rig, mem *memory) {
		s := r.open("-o", "ServerAliveInterval=2", "host", "sleep", "1h")
		defer finish(s)
		r.silent()
		time.Sleep(time.Minute)
		r.wantLogins(2)
		if got := mem.every(); got != 15*time.Second {
			t.Errorf("keeps warm every %v", got)
		}
	})
}

// What was said wins over what was learned, and none means none.
func TestKeepWarmIsObeyed(t *testing.T) {
	for config, want := range map[string]int{"KeepWarm 40\n": 90, "KeepWarm 0\n": 0, "KeepWarm no\n": 0, "ServerAliveInterval 0\n": 0, "ServerAliveInterval 60\n": 60} {
		learning(t, "Pinned yes\n"+config, func(t *testing.T, r *rig, mem *memory) {
			plan, err := r.plan(nil, "host")
			if err != nil {
				t.Fatal(err)
			}
			var w alive.Warmth
			w.Lost(20*time.Second, time.Now())
			mem.SetWarmth(plan.Dest.(*dest.Destination).Key, "home", w)
			r.run("host", "true")
			time.Sleep(time.Hour)
			synctest.Wait()
			if n := r.probes(); n != want {
				t.Errorf("%q: %d probes in an hour, want %d", config, n, want)
			}
		})
	}
}

var adminAllForget = &control.AdminRequest{Command: "reconnect", Forget: true}
