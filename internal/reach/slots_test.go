package reach

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s Slots
		var order []int
		leaves := map[int]func(){}
		ctx, cancel := context.WithCancel(t.Context())
		for i := range 10 {
			own := t.Context()
			if i == 5 || i == 7 {
				own = ctx
			}
			go func() {
				leave, err := s.Enter(own, "a", false)
				if err == nil {
					order = append(order, i)
					leaves[i] = leave
				}
			}()
			synctest.Wait()
		}
		if !slices.Equal(order, []int{0, 1, 2, 3}) {
			t.Errorf("in: %v", order)
		}
		if _, err := s.Enter(t.Context(), "b", false); err != nil {
			t.Errorf("another server: %v", err)
		}
		cancel()
		synctest.Wait()
		for len(leaves) > 0 {
			first := slices.Min(slices.Collect(maps.Keys(leaves)))
			leave := leaves[first]
			delete(leaves, first)
			leave()
			synctest.Wait()
		}
		if !slices.Equal(order, []int{0, 1, 2, 3, 4, 6, 8, 9}) {
			t.Errorf("in: %v", order)
		}
		if s.Busy() != 1 {
			t.Errorf("%d servers busy", s.Busy())
		}
	})
}

// A slot that is handed over at the moment of giving up goes to the next one.
func TestSlotsMeetGivingUp(t *testing.T) {
	for range 500 {
		synctest.Test(t, func(t *testing.T) {
			var s Slots
			var held []func()
			for range PerServer {
				leave, _ := s.Enter(t.Context(), "a", true)
				held = append(held, leave)
			}
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				if leave, err := s.Enter(ctx, "a", true); err == nil {
					leave()
				}
			}()
			synctest.Wait()
			var wg sync.WaitGroup
			wg.Go(cancel)
			wg.Go(held[0])
			wg.Wait()
			synctest.Wait()
			for _, leave := range held[1:] {
				leave()
			}
			if s.Busy() != 0 || s.total != 0 || len(s.waiting) != 0 {
				t.Fatalf("%v of %d left, %d waiting", s.taken, s.total, len(s.waiting))
			}
		})
	}
}

// Whoever has given up already either gets a slot or leaves none taken.
func TestSlotsAfterGivingUp(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var s Slots
	for range 100 {
		if leave, err := s.Enter(ctx, "a", true); err == nil {
			leave()
		}
	}
	if s.Busy() != 0 || s.total != 0 {
		t.Errorf("%d slots taken", s.total)
	}
}

// stay is a connection that takes some time between its slot and its login.
type stay struct {
	key    string
	urgent bool
	at     time.Duration // when it wants to
	takes  time.Duration
	want   time.Duration // when it gets its slot
}

const whenever = time.Duration(-1)

func repeat(n int, s stay) []stay { return slices.Repeat([]stay{s}, n) }

// apart are stays at as many servers.
func apart(n int, s stay) (all []stay) {
	for i := range n {
		s.key = fmt.Sprint("s", i)
		all = append(all, s)
	}
	return all
}

func TestWhenASlotIsHad(t *testing.T) {
	const sec, ms = time.Second, time.Millisecond
	for name, stays := range map[string][]stay{
		"four to a server": slices.Concat(repeat(4, stay{"a", false, 0, sec, 0}), repeat(4, stay{"a", false, ms, sec, sec})),
		"sixteen at all": slices.Concat(apart(16, stay{takes: sec}), apart(16, stay{at: ms, takes: sec, want: sec}),
			apart(8, stay{at: 2 * ms, takes: sec, want: 2 * sec})),
		"urgent first": slices.Concat(apart(16, stay{takes: sec}), apart(16, stay{at: ms, takes: sec, want: 2 * sec}),
			apart(16, stay{urgent: true, at: 2 * ms, takes: sec, want: sec})),
		"urgent first at one server": slices.Concat(repeat(4, stay{"a", false, 0, sec, 0}), repeat(4, stay{"a", false, ms, sec, 2 * sec}),
			repeat(4, stay{"a", true, 2 * ms, sec, sec})),
		"urgent, in the order of their coming": slices.Concat(repeat(4, stay{"a", true, 0, sec, 0}), repeat(4, stay{"a", true, ms, sec, sec}),
			repeat(4, stay{"a", true, 2 * ms, sec, 2 * sec})),
		// A full server, whose line is long and urgent, holds four of all slots.
		"a full server holds nobody up": slices.Concat(repeat(4, stay{"a", true, 0, 100 * sec, 0}), repeat(20, stay{"a", true, ms, 0, 100 * sec}),
			apart(12, stay{at: 2 * ms, takes: sec, want: 2 * ms}), apart(12, stay{at: 3 * ms, takes: sec, want: sec + 2*ms})),
		// Others, who come first to every slot but one, do not keep a server's own
		// from whoever waits for it.
		"nobody is starved": slices.Concat(repeat(4, stay{"a", false, 0, 10 * sec, 0}), apart(12, stay{at: ms, takes: sec, want: ms}),
			repeat(1, stay{"a", false, 2 * ms, sec, 10 * sec}), apart(48, stay{at: 3 * ms, takes: 10 * sec, want: whenever})),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var s Slots
				var wg sync.WaitGroup
				defer wg.Wait()
				start := time.Now()
				for i, st := range stays {
					wg.Go(func() {
						time.Sleep(st.at)
						leave, err := s.Enter(t.Context(), st.key, st.urgent)
						if err != nil {
							t.Errorf("%d: %v", i, err)
							return
						}
						if got := time.Since(start); got != st.want && st.want != whenever {
							t.Errorf("%d (%s): a slot at %v, want %v", i, st.key, got, st.want)
						}
						time.Sleep(st.takes)
						leave()
					})
				}
			})
		})
	}
}

// model is Slots as one would write it down: who is in, and who waits.
type model struct {
	in, line []*ticket
}

type ticket struct {
	p      *place
	number int
}

func (m *model) count(key string) (n int) {
	for _, k := range m.in {
		if k.p.key == key {
			n++
		}
	}
	return n
}

// next is who must be let in, nil if nobody can be.
func (m *model) next() *ticket {
	var best *ticket
	for _, k := range m.line {
		if len(m.in) >= Overall || m.count(k.p.key) >= PerServer {
			continue
		}
		if best == nil || k.p.urgent && !best.p.urgent || k.p.urgent == best.p.urgent && cmp.Less(k.number, best.number) {
			best = k
		}
	}
	return best
}

// settle lets in whoever must be, and returns an error where Slots differs.
func (m *model) settle() error {
	for k := m.next(); k != nil; k = m.next() {
		m.line = slices.DeleteFunc(m.line, func(o *ticket) bool { return o == k })
		m.in = append(m.in, k)
	}
	for _, k := range m.in {
		if !k.p.has() {
			return fmt.Errorf("%d (%s, urgent %v) waits, and could go", k.number, k.p.key, k.p.urgent)
		}
		if n := m.count(k.p.key); n > PerServer {
			return fmt.Errorf("%d at %s", n, k.p.key)
		}
	}
	for _, k := range m.line {
		if k.p.has() {
			return fmt.Errorf("%d (%s, urgent %v) was let in out of turn", k.number, k.p.key, k.p.urgent)
		}
	}
	if len(m.in) > Overall {
		return fmt.Errorf("%d at a time", len(m.in))
	}
	return nil
}

func (p *place) has() bool {
	select {
	case <-p.turn:
		return true
	default:
		return false
	}
}

// Whatever comes, leaves and gives up: the limits hold, nobody waits who could
// go, and who goes is the first of the urgent, or of all, who can.
func TestSlotsByModel(t *testing.T) {
	most := 0
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		var s Slots
		var m model
		servers := 1 + r.IntN(12)
		for i := range 400 {
			switch n := r.IntN(10); {
			case n < 5:
				m.line = append(m.line, &ticket{s.join(fmt.Sprint(r.IntN(servers)), r.IntN(3) == 0), i})
			case n < 9 && len(m.in) > 0:
				j := r.IntN(len(m.in))
				s.leave(m.in[j].p.key)
				m.in = slices.Delete(m.in, j, j+1)
			case len(m.line) > 0:
				j := r.IntN(len(m.line))
				if !s.quit(m.line[j].p) {
					t.Fatalf("seed %d, step %d: cannot leave the line", seed, i)
				}
				m.line = slices.Delete(m.line, j, j+1)
			}
			if err := m.settle(); err != nil {
				t.Fatalf("seed %d, step %d: %v", seed, i, err)
			}
			most = max(most, len(m.in))
		}
		for len(m.in) > 0 {
			s.leave(m.in[0].p.key)
			m.in = m.in[1:]
			if err := m.settle(); err != nil {
				t.Fatalf("seed %d, at the end: %v", seed, err)
			}
		}
		if len(m.line) > 0 || len(s.taken) > 0 || s.total != 0 || len(s.waiting) > 0 {
			t.Fatalf("seed %d: %d left in line, %v of %d taken", seed, len(m.line), s.taken, s.total)
		}
	}
	if most != Overall {
		t.Errorf("at most %d at a time: the test never met the limit", most)
	}
}
