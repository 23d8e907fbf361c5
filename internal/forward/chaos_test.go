package forward

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"muxd/control"
)

// harbour is the addresses of one machine, and who has them.
type harbour struct {
	mu   sync.Mutex
	had  map[control.Endpoint]any
	next int
}

func (h *harbour) take(at control.Endpoint, who any) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.had[at] != nil {
		return false
	}
	h.had[at] = who
	return true
}

func (h *harbour) free(at control.Endpoint, who any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.had[at] == who {
		delete(h.had, at)
	}
}

func (h *harbour) freeAll(who any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for at, x := range h.had {
		if x == who {
			delete(h.had, at)
		}
	}
}

func (h *harbour) ports() (all []int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for at := range h.had {
		all = append(all, at.Port)
	}
	slices.Sort(all)
	return all
}

// sshd is a server that takes its time and answers in order; what it was asked for
// it does, whether or not somebody still waits for the answer.
type sshd struct {
	h    *harbour
	lag  func() time.Duration
	done chan struct{}
	turn chan struct{} // holds one
}

func (s *sshd) Done() <-chan struct{} { return s.done }

// request has f done in its turn, and waits for that or ctx.
func (s *sshd) request(ctx context.Context, f func()) error {
	answered := make(chan struct{})
	go func() {
		s.turn <- struct{}{}
		defer func() { <-s.turn }()
		time.Sleep(s.lag())
		if !over(s) {
			f()
			close(answered)
		}
	}()
	select {
	case <-answered:
		return nil
	case <-s.done:
		return io.EOF
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *sshd) Listen(ctx context.Context, at control.Endpoint) (int, error) {
	got := make(chan int, 1) // -1 is a refusal
	err := s.request(ctx, func() {
		at := at
		if at.Port == 0 {
			s.h.mu.Lock()
			s.h.next++
			at.Port = s.h.next
			s.h.mu.Unlock()
		}
		switch {
		case !s.h.take(at, s):
			at.Port = -1
		case ctx.Err() != nil:
			s.h.free(at, s) // as link.Listen has it
		}
		got <- at.Port
	})
	if err != nil {
		return 0, err
	}
	port := <-got
	if port < 0 {
		return 0, ErrRefused
	}
	return port, nil
}

func (s *sshd) Unlisten(ctx context.Context, at control.Endpoint) error {
	return s.request(ctx, func() { s.h.free(at, s) })
}

func (s *sshd) die() {
	close(s.done)
	time.AfterFunc(s.lag(), func() { s.h.freeAll(s) })
}

// berth is a listener that takes a moment to be gone.
type berth struct {
	*fakeListener
	h    *harbour
	at   control.Endpoint
	once sync.Once
}

func (b *berth) Close() error {
	b.once.Do(func() { b.fakeListener.Close(); b.h.free(b.at, b) })
	return nil
}

// TestChaos has clients come and go, and servers too, at random: in the end what
// is wanted stands, on this machine and at the one server, and nothing else.
func TestChaos(t *testing.T) {
	for seed := range uint64(300) {
		bubble(t, func(t *testing.T) { chaos(t, rand.New(rand.NewPCG(seed, 1))) })
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func chaos(t *testing.T, rnd *rand.Rand) {
	here, there := &harbour{had: map[control.Endpoint]any{}}, &harbour{had: map[control.Endpoint]any{}, next: 40000}
	fx := newFixture(t, func(fx *fixture) {
		fx.cfg.Listen = func(at control.Endpoint, _ control.ForwardOptions) ([]net.Listener, error) {
			b := &berth{fakeListener: newFakeListener(), h: here, at: at}
			if !here.take(at, b) {
				return nil, syscall.EADDRINUSE
			}
			return []net.Listener{b}, nil
		}
	})
	var lags sync.Mutex
	lagRnd := rand.New(rand.NewPCG(rnd.Uint64(), 2))
	lag := func() time.Duration {
		lags.Lock()
		defer lags.Unlock()
		return time.Duration(lagRnd.IntN(20)) * time.Duration(lagRnd.IntN(300)) * time.Millisecond
	}
	var living []*sshd
	serve := func() {
		s := &sshd{h: there, lag: lag, done: make(chan struct{}), turn: make(chan struct{}, 1)}
		living = append(living, s)
		fx.Serve(s)
	}
	kill := func(i int) {
		living[i].die()
		living = slices.Delete(living, i, i+1)
	}
	forwards := []control.Forward{local(1, "a"), local(2, "b"), dynamic(3), remote(4, "c"), remote(5, "d"), remote(0, "e"), remoteDynamic(0), remoteDynamic(6)}
	owners := []*Owner{{PID: 1}, {PID: 2}, {Sticky: true}}
	some := func() (control.Forward, *Owner) {
		return forwards[rnd.IntN(len(forwards))], owners[rnd.IntN(len(owners))]
	}
	var adding sync.WaitGroup
	add := func(f control.Forward, o *Owner, most time.Duration, keep bool) {
		adding.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), most)
			defer cancel()
			fx.Add(ctx, f, control.ForwardOptions{}, o, keep)
		})
	}
	for range 150 {
		f, o := some()
		switch rnd.IntN(14) {
		case 0, 1, 2, 3:
			add(f, o, time.Duration(rnd.IntN(5000)+1)*time.Millisecond, rnd.IntN(2) == 0)
		case 4:
			fx.Release(o)
		case 5, 6:
			fx.Cancel(f)
		case 7:
			if rnd.IntN(8) == 0 {
				fx.CancelAll()
			}
		case 8:
			serve()
		case 9:
			fx.Serve(nil)
		case 10:
			if len(living) > 0 {
				fx.Serve(living[len(living)-1])
			}
		case 11:
			if len(living) > 0 {
				kill(rnd.IntN(len(living)))
			}
		default:
			time.Sleep(time.Duration(rnd.IntN(4000)) * time.Millisecond)
		}
	}
	serve()
	adding.Wait()
	for _, f := range forwards[:5] { // one more time, whatever stands
		add(f, owners[0], time.Hour, true)
	}
	time.Sleep(10 * time.Minute)
	adding.Wait()
	synctest.Wait()
	wantHere, wantThere := []int{}, []int{}
	for _, st := range fx.Status() {
		if st.State != control.ForwardActive || len(st.Owners) == 0 && !st.Sticky || st.Waiting != 0 || st.Open != 0 {
			t.Errorf("%s is %s, %+v", st.Forward, st.State, st)
		}
		if st.Kind.Remote() {
			wantThere = append(wantThere, st.Listen.Port)
		} else {
			wantHere = append(wantHere, st.Listen.Port)
		}
	}
	slices.Sort(wantHere)
	slices.Sort(wantThere)
	if got, want := fmt.Sprint(here.ports(), there.ports()), fmt.Sprint(wantHere, wantThere); got != want {
		t.Errorf("what listens is %s, want %s", got, want)
	}
	for _, o := range owners {
		fx.Release(o)
	}
	time.Sleep(time.Minute)
	if n, got := fx.Standing(), fmt.Sprint(here.ports(), there.ports()); n != 0 || got != "[] []" {
		t.Errorf("%d forwards stand, and listeners %s", n, got)
	}
	for len(living) > 0 {
		kill(0)
	}
	fx.Close()
	time.Sleep(time.Minute)
}
